"""Flags as a person writes them, and the traffic that is published for them.

A stored flag has two halves. The definition (``Flag``) is what somebody applied; the traffic (``Traffic``) is what the
flag serves to whom no rule applies, and a rollout moves it. It begins as the definition's ``serve`` or ``split``; when
a rollout completes, its ``stable`` becomes the candidate.

The order of a split's arms decides who gets which arm. JSON text keeps it; PostgreSQL's ``jsonb`` does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Final, Literal, cast

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from turnout.domain import targeting
from turnout.domain.breaking import BreakerPolicy
from turnout.domain.bucketing import TOTAL
from turnout.domain.budget import Budget
from turnout.domain.channels import Channel
from turnout.domain.errors import InvalidInput, Problem
from turnout.domain.flag_checks import exact_weight, flag_problems, rule_problems
from turnout.domain.model import Frozen
from turnout.domain.names import Name
from turnout.domain.problems import problems_of, suggestion

_PREFIX: Final = re.compile(r"[A-Z][A-Z0-9_]{0,48}_")


class _Faults(ValueError):
    """Faults that ``flag_checks`` found, so that they are not reported twice."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))


def _percentage(value: object) -> Decimal:
    if exact_weight(value) is None:
        raise ValueError("is not a percentage; write a number of 0 to 100 with at most three decimals")
    return Decimal(str(value))


def _as_number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _seed(value: object) -> object:
    if isinstance(value, str) and not (value.isascii() and value.isprintable() and 0 < len(value) <= 200):
        raise ValueError("is not a seed; use 1 to 200 printable ASCII characters: engines hash others differently")
    return value


def _prefix(value: object) -> object:
    if isinstance(value, str) and (not _PREFIX.fullmatch(value) or value.startswith("TURNOUT_")):
        raise ValueError("is not a prefix; use capitals, digits and _ with a _ at the end, such as LIGHTRAG_")
    return value


def _weights(value: dict[str, int]) -> dict[str, int]:
    if sum(value.values()) != TOTAL:
        raise ValueError(f"the weights sum to {sum(value.values())}; make them sum to {TOTAL}")
    return value


Percentage = Annotated[
    Decimal,
    BeforeValidator(_percentage),
    PlainSerializer(_as_number, return_type=int | float, when_used="json"),
]
"""0 to 100 with at most three decimals, exact; a plain number in JSON."""

Weights = Annotated[
    dict[Name, Annotated[int, Field(strict=True, ge=0, le=TOTAL)]],
    Field(min_length=1),
]
"""Variant -> share in 1/100000, in the order in which the arms are laid out."""


class Rule(Frozen):
    """Whom it applies to (``if``, see ``turnout.domain.targeting``), and what they get: one variant, or a split."""

    model_config = ConfigDict(serialize_by_alias=True)

    name: Name
    condition: JsonValue = Field(alias="if")
    serve: Name | None = None
    split: dict[Name, Percentage] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Rule:
        _raise_faults(rule_problems(self.model_dump(mode="json", by_alias=True)))
        return self


class Holdout(Frozen):
    """A share of all units, ``percentage`` of them, that no rollout ever includes: they get the stable variant.

    Who is in it follows from its ``name`` alone: flags that name the same holdout leave out the same units, and a
    smaller share is a part of a larger one.
    """

    name: Name
    percentage: Percentage

    @property
    def seed(self) -> str:
        """What is hashed before the unit."""
        return f"holdout:{self.name}:"


class Layer(Frozen):
    """The part of all units that a flag's rollouts and tests may include: from ``start`` to ``end`` percent of a layer.

    Flags with disjoint parts of the layer called ``name`` exclude each other: no unit is in two of their tests. Units
    outside the flag's part get the stable variant.
    """

    name: Name
    start: Percentage = Field(alias="from")
    end: Percentage = Field(alias="to")

    model_config = ConfigDict(serialize_by_alias=True)

    @model_validator(mode="after")
    def _has_units(self) -> Layer:
        if self.start >= self.end:
            raise ValueError(f"from {self.start} is not below to {self.end}; write for example {{from: 0, to: 50}}")
        return self

    @property
    def seed(self) -> str:
        """What is hashed before the unit."""
        return f"layer:{self.name}:"

    def overlaps(self, other: Layer) -> bool:
        """Whether both have units in common."""
        return self.name == other.name and self.start < other.end and other.start < self.end


class Flag(Frozen):
    """A decision point, as applied.

    ``variants`` maps names to JSON values of one type: boolean, number, text or object. ``stable`` is the fallback. The
    first of ``rules`` whose condition holds decides; otherwise ``serve`` or ``split`` (percentages), or ``stable`` when
    neither is given. Below the rules, a ``holdout`` and what lies outside the flag's part of a ``layer`` get the stable
    variant, whatever a rollout does. ``seed`` replaces the key in the hash; flags with the same seed expose the same
    units first. Where another flag does not give the variant that ``requires`` names for it, the stable variant is
    served, whatever the rules say. ``env_prefix`` begins the variables by which the environment of a process may set
    the flag there, see `turnout.domain.bound`. A flag that is not ``enabled`` gives every caller its own default.

    ``budgets`` are what variants may cost a day; see `turnout.domain.budget`. ``breakers`` says how a variant comes
    back once a service found it bad; see `turnout.domain.breaking`. ``notify`` is told what happens to both. Raises
    ValidationError.
    """

    key: Name
    variants: dict[Name, JsonValue]
    stable: Name
    rules: tuple[Rule, ...] = ()
    serve: Name | None = None
    split: dict[Name, Percentage] | None = None
    holdout: Holdout | None = None
    layer: Layer | None = None
    seed: Annotated[str | None, BeforeValidator(_seed)] = None
    requires: dict[Name, Name] = Field(default_factory=dict)
    env_prefix: Annotated[str | None, BeforeValidator(_prefix)] = None
    enabled: bool = True
    description: str = ""
    budgets: dict[Name, Budget] = Field(default_factory=dict[str, Budget])
    breakers: dict[Name, BreakerPolicy] = Field(default_factory=dict[str, BreakerPolicy])
    notify: Annotated[tuple[Channel, ...], Field(max_length=20)] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Flag:
        _raise_faults(flag_problems(self.model_dump(mode="json", by_alias=True)))
        return self

    @property
    def hash_seed(self) -> str:
        """What is hashed before the unit."""
        return self.seed or self.key


class Segment(Frozen):
    """A part of the traffic that a rollout moves on its own: whom ``if`` holds for, and their weights.

    It hashes with the flag's seed, so that whoever has the candidate in it is among the first to have it elsewhere.
    One that is ``apart`` hashes with its name as well: who has the candidate in it says nothing about any other split.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    name: Name
    condition: JsonValue = Field(alias="if")
    weights: Weights
    apart: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Segment:
        _weights(self.weights)
        _raise_faults(targeting.check(self.condition, "if"))
        return self


Comparator = Literal["exact", "token_overlap"]
"""How services compare two answers: whether they are equal, or how many words they share."""


class Shadow(Frozen):
    """A ``variant`` that also answers, in the background, the requests of ``sample`` units in 100000.

    Services compare both answers by ``comparator``, unless they have a comparison of their own; None leaves it to them.
    """

    variant: Name
    sample: Annotated[int, Field(strict=True, ge=0, le=TOTAL)] = TOTAL
    comparator: Comparator | None = None


class Traffic(Frozen):
    """What a flag serves where no rule applies.

    The first of ``segments`` whose condition holds gives the weights, otherwise ``weights`` does. Candidate first:
    nobody loses the candidate when a segment's share, or the share of all, grows.
    Only ``exposed`` units in 100000, drawn by a hash of their own, are in a test at all; the others get stable.
    ``test`` tells that the weights are those of an A/B or multivariate test that goes on. ``shadow`` is served to
    nobody. ``generation`` grows with every change; ``rollout_id`` names the rollout that made it.
    """

    stable: Name
    weights: Weights
    segments: tuple[Segment, ...] = ()
    shadow: Shadow | None = None
    exposed: Annotated[int, Field(strict=True, ge=1, le=TOTAL)] = TOTAL
    test: bool = False
    generation: int = Field(default=1, ge=1)
    rollout_id: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Traffic:
        _weights(self.weights)
        names = [segment.name for segment in self.segments]
        if len(set(names)) < len(names):
            raise ValueError("two segments have the same name; give each its own")
        return self

    @property
    def variants(self) -> frozenset[str]:
        """Every variant that is named."""
        arms = [self.weights, *(segment.weights for segment in self.segments)]
        return frozenset({self.stable}.union(*arms, {self.shadow.variant} if self.shadow else ()))


def initial_traffic(flag: Flag) -> Traffic:
    """The traffic of a flag that no rollout has touched: its ``serve`` or ``split``, generation 1."""
    if flag.split is not None:
        return Traffic(stable=flag.stable, weights=percentages_to_weights(flag.split))
    return Traffic(stable=flag.stable, weights={flag.serve or flag.stable: TOTAL})


def percentages_to_weights(split: Mapping[str, Decimal | float]) -> dict[str, int]:
    """Percentages as weights in 1/100000, in the same order.

    Raises InvalidInput unless every one has at most three decimals and they sum to 100.
    """
    weights = {name: _exact(share, f"split.{name}") for name, share in split.items()}
    if sum(weights.values()) != TOTAL:
        shown = f"{Decimal(sum(weights.values())) / 1000:f}"
        raise InvalidInput([Problem("split", "the percentages do not sum to 100", "make them sum to 100", shown)])
    return weights


def exposure(candidate: str, stable: str, percent: Decimal | float) -> dict[str, int]:
    """Weights that give ``candidate`` so many percent and ``stable`` the rest.

    The candidate comes first, so that whoever has it keeps it while its share grows. Raises InvalidInput.
    """
    if candidate == stable:
        remedy = "name another variant"
        raise InvalidInput([Problem("candidate", "is the stable variant", remedy, candidate)])
    weight = _exact(percent, "percentage")
    return {candidate: weight, stable: TOTAL - weight}


def parse_flags(document: object) -> tuple[Flag, ...]:
    """The flags of a ``flags.yaml``, read into ``{"flags": {key: {…}}}``; raises InvalidInput with every fault."""
    if not isinstance(document, dict):
        raise InvalidInput([Problem("", "is not a list of flags", "begin with flags: and the key of a flag")])
    written = cast("dict[object, object]", document)
    problems = [
        Problem(str(field), "unknown field", suggestion(str(field), ["flags"])) for field in written if field != "flags"
    ]
    bodies = written.get("flags")
    if not isinstance(bodies, dict):
        remedy = "write flags: {key: {variants: {…}, stable: …}}"
        raise InvalidInput([*problems, Problem("flags", "is not a mapping of keys to flags", remedy)])
    flags: list[Flag] = []
    for key, body in cast("dict[object, object]", bodies).items():
        flag = _parse(key, body)
        if isinstance(flag, Flag):
            flags.append(flag)
        else:
            problems += flag
    if problems:
        raise InvalidInput(problems)
    return tuple(flags)


def _parse(key: object, body: object) -> Flag | list[Problem]:
    path = f"flags.{key}"
    if not isinstance(body, dict):
        return [Problem(path, "is not a flag", "write {variants: {…}, stable: …}", repr(body))]
    written = cast("dict[str, JsonValue]", body)
    if "key" in written:
        return [Problem(f"{path}.key", "unknown field", "the key stands above the flag's fields")]
    keyed = {**written, "key": cast("JsonValue", key)}
    try:
        return Flag.model_validate(keyed)
    except ValidationError as error:
        found = [*_shape_problems(error), *flag_problems(keyed)]
        return [_below(path, problem) for problem in found]


def _shape_problems(error: ValidationError) -> Iterator[Problem]:
    for item, problem in zip(error.errors(include_url=False), problems_of(error, Flag), strict=True):
        if not isinstance(item.get("ctx", {}).get("error"), _Faults):
            yield problem


def _below(path: str, problem: Problem) -> Problem:
    """``problem`` with ``path`` before its own; the key is the end of ``path``, and no field of the flag."""
    own = problem.path.removesuffix(".[key]")
    full = path if own in {"", "key"} else f"{path}.{own}"
    return Problem(full, problem.message, problem.remedy, problem.value)


def _raise_faults(problems: Iterator[Problem] | list[Problem]) -> None:
    if found := list(problems):
        raise _Faults(found)


def _exact(percent: Decimal | float, path: str) -> int:
    weight = exact_weight(percent)
    if weight is None:
        remedy = "write a number of 0 to 100 with at most three decimals"
        raise InvalidInput([Problem(path, "is not a percentage", remedy, str(percent))])
    return weight
