"""Flags compiled to one flagd flag-definition document: what every resolver evaluates.

One flag becomes at most ``state, variants, defaultVariant, targeting, metadata``. With rules, or with traffic that is
split, its targeting is ``{"if": [condition, served, condition, served, …, served]}``: whose prerequisites are not met,
the rules, then who is held out, outside the flag's layer or not exposed to a test, then the segments of the traffic,
then the rest. Served is a variant's name or a split.

What is hashed before the unit, always ASCII:

========================  ===================================================
the traffic, its segments  ``{seed}``, where the seed is the flag's key unless set
a segment that is apart    ``{seed}:segment:{segment name}:``
a rule's split             ``{seed}:{rule name}:``
a holdout, a layer         ``holdout:{name}:``, ``layer:{name}:``
who is exposed to a test   ``exposure:{seed}:``
a shadow's sample          ``{seed}:shadow:``
========================  ===================================================

Names hold no colon, so no two splits of a flag share their hash: who is in a rule's arm says nothing about who is
exposed to a rollout. Renaming a rule, or a segment that is apart, draws its arms anew. A split without a unit gives
null, hence the stable variant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple

from pydantic import Field, JsonValue, model_validator

from turnout.domain.breaking import BreakerKind
from turnout.domain.bucketing import TOTAL
from turnout.domain.flag_checks import env_variant, exact_weight
from turnout.domain.flags import Flag, Rule, Segment, Traffic, percentages_to_weights
from turnout.domain.model import Frozen
from turnout.domain.names import Name
from turnout.domain.prerequisites import Definition, unmet
from turnout.domain.targeting import UNIT, Membership, published_form

FLAG_SET: Final = "turnout"
"""The ``flagSetId`` of every document."""

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


EXPOSURE: Final = "test"
"""What leaves a unit out that is not exposed, by name."""


class PublishedFlag(Frozen):
    """A definition with the traffic that is published for it; ``stopped`` sends everybody to the stable variant.

    ``blocked`` variants keep so many of 100000 of their traffic, the probes of their breakers; the rest gets stable.
    ``blocked_by`` is what the breakers opened on.
    """

    definition: Flag
    traffic: Traffic
    stopped: bool = False
    blocked: dict[Name, Annotated[int, Field(ge=0, le=TOTAL)]] = Field(default_factory=dict[str, int])
    blocked_by: BreakerKind | None = None

    @model_validator(mode="after")
    def _consistent(self) -> PublishedFlag:
        missing = sorted(self.traffic.variants - self.definition.variants.keys())
        if missing:
            raise ValueError(
                f"the traffic names no variant of the flag: {', '.join(missing)}; keep the variants it needs"
            )
        return self


def document(flags: Iterable[PublishedFlag], revision: int, store_id: str) -> dict[str, JsonValue]:
    """All ``flags`` as one flagd document.

    Its metadata carries ``revision``, which grows with every change of the store named ``store_id`` (revisions of
    different stores do not compare), and the same as ``version`` for telemetry.
    """
    return {
        "flags": dict(definitions(flags)),
        "metadata": {
            "flagSetId": FLAG_SET,
            "version": str(revision),
            "revision": revision,
            "storeId": store_id,
        },
    }


def definitions(flags: Iterable[PublishedFlag]) -> dict[str, dict[str, JsonValue]]:
    """All ``flags`` as flagd definitions, by key, each with the conditions of its prerequisites among them."""
    by_key = {flag.definition.key: flag for flag in flags}
    made: dict[str, dict[str, JsonValue]] = {}

    def make(key: str, above: frozenset[str]) -> Definition | None:
        if key not in made and key in by_key and key not in above:
            required = by_key[key].definition.requires
            made[key] = definition(by_key[key], {other: make(other, above | {key}) for other in required})
        return made.get(key)

    for key in by_key:
        make(key, frozenset())
    return {key: made[key] for key in by_key}


def definition(published: PublishedFlag, others: Mapping[str, Definition | None] = _NONE) -> dict[str, JsonValue]:
    """One flag as a flagd definition. ``others`` has those of the flags that it requires.

    Its metadata: ``generation``, ``stable``, ``rollout`` (the id, if one made the traffic), ``stopped`` (only if so),
    ``test`` (true, only while the traffic is that of an A/B or multivariate test),
    ``requires``, ``rules`` and ``segments`` (names in the order of the targeting, comma-separated; only if there are
    any), ``holdout`` and ``layer`` (names, likewise), ``exposure`` (``test``, where one leaves units out), ``shadow``,
    ``shadowSample`` and ``shadowSeed`` (the variant that answers in the background for so many units in 100000, drawn
    by the hash of seed and unit), ``shadowComparator`` (how both answers are compared; only if the rollout says);
    ``envPrefix``, ``envVariant``, ``envFallback`` and ``envSeed`` (under which names the environment of a resolver may
    set the flag, whose share it sets, what the others get, by which seed; only if the flag declares them); ``budgets``
    (variants whose calls are paid from a budget, comma-separated). Where breakers block a variant: ``blocked`` (the
    variants, comma-separated), ``blockedBy`` (``errors`` or ``quality``) and ``breaker``, the arms that breakers gave
    to stable, counted from 0, by the part of the flag they are of: ``traffic:0,rule:beta:1``.
    """
    flag, traffic = published.definition, published.traffic
    targeting = None if published.stopped else _targeting(published, others)
    only = _only(_laid(published, traffic.weights))
    fixed = targeting is None and not published.stopped and only is not None
    compiled: dict[str, JsonValue] = {
        "state": "ENABLED" if flag.enabled else "DISABLED",
        "variants": dict(flag.variants),
        "defaultVariant": only if fixed else traffic.stable,
    }
    if targeting is not None:
        compiled["targeting"] = targeting
    return {**compiled, "metadata": _metadata(published)}


def rule_seed(flag: Flag, rule: Rule) -> str:
    """What a rule's split hashes before the unit."""
    return f"{flag.hash_seed}:{rule.name}:"


def segment_seed(flag: Flag, segment: Segment) -> str:
    """What the split of a segment hashes before the unit."""
    return f"{flag.hash_seed}:segment:{segment.name}:" if segment.apart else flag.hash_seed


class _Arm(NamedTuple):
    """One arm of a split; ``breaker`` if a breaker gave it to the stable variant."""

    variant: str
    weight: int
    breaker: bool = False


def _laid(published: PublishedFlag, weights: Mapping[str, int]) -> tuple[_Arm, ...]:
    """The arms of ``weights``, without those that have no share.

    What a blocked variant may not have goes to stable in its place, so that nobody else's arm changes.
    """
    stable, arms = published.traffic.stable, list[_Arm]()
    for name, weight in weights.items():
        share = TOTAL if name == stable else published.blocked.get(name, TOTAL)
        kept = weight * share // TOTAL
        arms += [_Arm(name, kept)] if kept else []
        arms += [_Arm(stable, weight - kept, breaker=True)] if weight > kept else []
    return tuple(arms)


def _parts(published: PublishedFlag) -> dict[str, tuple[_Arm, ...]]:
    """The arms of every part of the flag that serves something but stable alone, by the name that it decides under."""
    flag, traffic = published.definition, published.traffic
    parts = {f"rule:{rule.name}": _laid(published, _rule_weights(rule)) for rule in flag.rules}
    parts |= {f"segment:{segment.name}": _laid(published, segment.weights) for segment in traffic.segments}
    return parts | {"traffic": _laid(published, traffic.weights)}


def _targeting(published: PublishedFlag, others: Mapping[str, Definition | None]) -> JsonValue:
    """The targeting; None when everybody gets one variant."""
    flag, traffic, parts = published.definition, published.traffic, _parts(published)
    requires = _requires(flag, traffic)
    rest = _served(flag, flag.hash_seed, parts["traffic"])
    apart = _apart(flag, traffic)
    if not requires and not flag.rules and not apart and not traffic.segments:
        return None if isinstance(rest, str) else rest
    chain: list[JsonValue] = []
    for key, variant in requires.items():
        chain += [unmet(key, others.get(key), variant), traffic.stable]
    for rule in flag.rules:
        chain += [published_form(rule.condition), _served(flag, rule_seed(flag, rule), parts[f"rule:{rule.name}"])]
    for condition in apart.values():
        chain += [condition.published(), traffic.stable]
    for segment in traffic.segments:
        served = _served(flag, segment_seed(flag, segment), parts[f"segment:{segment.name}"])
        chain += [published_form(segment.condition), served]
    return {"if": [*chain, rest]}


def _requires(flag: Flag, traffic: Traffic) -> Mapping[str, str]:
    """The prerequisites of a flag that gives anybody another variant than stable."""
    same = traffic.weights.get(traffic.stable) == TOTAL and not traffic.segments and not flag.rules
    return _NONE if same else flag.requires


def _apart(flag: Flag, traffic: Traffic) -> dict[str, Membership]:
    """Who is kept out of traffic that gives anybody another variant than stable, and by what."""
    found: dict[str, Membership] = {}
    if traffic.weights.get(traffic.stable) == TOTAL and not traffic.segments:
        return found
    if flag.holdout is not None and (held := exact_weight(flag.holdout.percentage)):
        parts = tuple((name, weight) for name, weight in (("in", held), ("out", TOTAL - held)) if weight)
        found["holdout"] = Membership(flag.holdout.seed, parts, "in")
    if flag.layer is not None:
        start, end = exact_weight(flag.layer.start) or 0, exact_weight(flag.layer.end) or 0
        every = (("before", start), ("here", end - start), ("after", TOTAL - end))
        parts = tuple((name, weight) for name, weight in every if weight)
        if len(parts) > 1:
            found["layer"] = Membership(flag.layer.seed, parts, "here", inside=False)
    if traffic.exposed < TOTAL:
        parts = (("in", traffic.exposed), ("out", TOTAL - traffic.exposed))
        found["exposure"] = Membership(f"exposure:{flag.hash_seed}:", parts, "out")
    return found


def _rule_weights(rule: Rule) -> Mapping[str, int]:
    if rule.split is not None:
        return percentages_to_weights(rule.split)
    return {rule.serve: TOTAL} if rule.serve is not None else {}


def _served(flag: Flag, seed: str, arms: tuple[_Arm, ...]) -> JsonValue:
    """A variant's name when it has everything, else the split."""
    only = _only(arms)
    if only is not None:
        return only
    written: list[JsonValue] = [[arm.variant, arm.weight] for arm in arms]
    if seed == flag.key:
        return {"fractional": written}
    # Without a unit the engines would hash different texts here, or fall back to another seed.
    unit: JsonValue = {"var": UNIT}
    seeded: JsonValue = {"fractional": [{"cat": [seed, unit]}, *written]}
    return {"if": [unit, seeded, None]}


def _only(arms: tuple[_Arm, ...]) -> str | None:
    return arms[0].variant if len(arms) == 1 else None


def _metadata(published: PublishedFlag) -> dict[str, JsonValue]:
    flag, traffic = published.definition, published.traffic
    metadata: dict[str, JsonValue] = {"generation": traffic.generation, "stable": traffic.stable}
    if traffic.rollout_id is not None:
        metadata["rollout"] = traffic.rollout_id
    if flag.budgets:
        metadata["budgets"] = ",".join(flag.budgets)
    if flag.env_prefix is not None:
        metadata |= _bound(flag, flag.env_prefix, traffic.stable)
    if published.stopped:
        return {**metadata, "stopped": True}
    if requires := _requires(flag, traffic):
        metadata["requires"] = ",".join(requires)
    if flag.rules:
        metadata["rules"] = ",".join(rule.name for rule in flag.rules)
    for kind, condition in _apart(flag, traffic).items():
        metadata[kind] = EXPOSURE if kind == "exposure" else condition.seed.split(":")[1]
    if traffic.segments:
        metadata["segments"] = ",".join(segment.name for segment in traffic.segments)
    if traffic.test:
        metadata["test"] = True
    return metadata | _breakers(published) | _shadow(published)


def _breakers(published: PublishedFlag) -> dict[str, JsonValue]:
    if not published.blocked:
        return {}
    marks = (f"{part}:{i}" for part, arms in _parts(published).items() for i, arm in enumerate(arms) if arm.breaker)
    told: dict[str, JsonValue] = {"blocked": ",".join(published.blocked), "breaker": ",".join(marks)}
    return told | ({"blockedBy": published.blocked_by} if published.blocked_by else {})


def _shadow(published: PublishedFlag) -> dict[str, JsonValue]:
    shadow = published.traffic.shadow
    if shadow is None or not shadow.sample or shadow.variant in published.blocked:
        return {}
    told: dict[str, JsonValue] = {"shadow": shadow.variant, "shadowSample": shadow.sample}
    told["shadowSeed"] = f"{published.definition.hash_seed}:shadow:"
    return told | ({"shadowComparator": shadow.comparator} if shadow.comparator is not None else {})


def _bound(flag: Flag, prefix: str, stable: str) -> dict[str, JsonValue]:
    """Which variant the settings under ``prefix`` are about, and what is served without it."""
    variant = env_variant(prefix, flag.variants, flag.stable) or flag.stable
    # After a completed rollout the variant is the stable one: without it means as it was before.
    others = [name for name in (stable, flag.stable, *flag.variants) if name != variant]
    bound: dict[str, JsonValue] = {"envPrefix": prefix, "envVariant": variant, "envFallback": others[0]}
    return bound | ({"envSeed": flag.seed} if flag.seed else {})
