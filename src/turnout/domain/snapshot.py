"""Flags compiled to one flagd flag-definition document: what every resolver evaluates.

One flag becomes at most ``state, variants, defaultVariant, targeting, metadata``. With rules, or with traffic that is
split, its targeting is ``{"if": [condition, served, condition, served, …, served]}``: the rules, then the segments of
the traffic, then the rest. Served is a variant's name or a split.

What is hashed before the unit, always ASCII:

========================  ===================================================
the traffic, all segments  ``{seed}``, where the seed is the flag's key unless set
a rule's split             ``{seed}:{rule name}:``
========================  ===================================================

Names hold no colon, so no two splits of a flag share their hash: who is in a rule's arm says nothing about who is
exposed to a rollout. Renaming a rule draws its arms anew. A split without a unit gives null, hence the stable variant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import JsonValue, model_validator

from turnout.domain.flags import Flag, Rule, Traffic, percentages_to_weights
from turnout.domain.model import Frozen
from turnout.domain.targeting import UNIT, published_form

FLAG_SET: Final = "turnout"
"""The ``flagSetId`` of every document."""


class PublishedFlag(Frozen):
    """A definition with the traffic that is published for it; ``stopped`` sends everybody to the stable variant."""

    definition: Flag
    traffic: Traffic
    stopped: bool = False

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
        "flags": {flag.definition.key: definition(flag) for flag in flags},
        "metadata": {
            "flagSetId": FLAG_SET,
            "version": str(revision),
            "revision": revision,
            "storeId": store_id,
        },
    }


def definition(published: PublishedFlag) -> dict[str, JsonValue]:
    """One flag as a flagd definition.

    Its metadata: ``generation``, ``stable``, ``rollout`` (the id, if one made the traffic), ``stopped`` (only if so),
    ``rules`` and ``segments`` (names in the order of the targeting, comma-separated; only if there are any).
    """
    flag, traffic = published.definition, published.traffic
    targeting = None if published.stopped else _targeting(flag, traffic)
    only = _only(traffic.weights)
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


def _targeting(flag: Flag, traffic: Traffic) -> JsonValue:
    """The targeting; None when everybody gets one variant."""
    rest = _served(flag, flag.hash_seed, traffic.weights)
    if not flag.rules and not traffic.segments:
        return None if isinstance(rest, str) else rest
    chain: list[JsonValue] = []
    for rule in flag.rules:
        chain += [published_form(rule.condition), _rule_serves(flag, rule)]
    for segment in traffic.segments:
        chain += [published_form(segment.condition), _served(flag, flag.hash_seed, segment.weights)]
    return {"if": [*chain, rest]}


def _rule_serves(flag: Flag, rule: Rule) -> JsonValue:
    if rule.split is None:
        return rule.serve
    return _served(flag, rule_seed(flag, rule), percentages_to_weights(rule.split))


def _served(flag: Flag, seed: str, weights: Mapping[str, int]) -> JsonValue:
    """A variant's name when it has everything, else the split; arms without a share are left out."""
    only = _only(weights)
    if only is not None:
        return only
    arms: list[JsonValue] = [[name, weight] for name, weight in weights.items() if weight]
    if seed == flag.key:
        return {"fractional": arms}
    # Without a unit the engines would hash different texts here, or fall back to another seed.
    unit: JsonValue = {"var": UNIT}
    seeded: JsonValue = {"fractional": [{"cat": [seed, unit]}, *arms]}
    return {"if": [unit, seeded, None]}


def _only(weights: Mapping[str, int]) -> str | None:
    names = [name for name, weight in weights.items() if weight]
    return names[0] if len(names) == 1 else None


def _metadata(published: PublishedFlag) -> dict[str, JsonValue]:
    flag, traffic = published.definition, published.traffic
    metadata: dict[str, JsonValue] = {"generation": traffic.generation, "stable": traffic.stable}
    if traffic.rollout_id is not None:
        metadata["rollout"] = traffic.rollout_id
    if published.stopped:
        return {**metadata, "stopped": True}
    if flag.rules:
        metadata["rules"] = ",".join(rule.name for rule in flag.rules)
    if traffic.segments:
        metadata["segments"] = ",".join(segment.name for segment in traffic.segments)
    return metadata
