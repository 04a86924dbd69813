"""How a batch of outcomes becomes statistics, whatever keeps them. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from turnout.domain.outcomes import Outcome, exceedance
from turnout.domain.plan import Gate, Plan


@dataclass(frozen=True, slots=True)
class Threshold:
    """The 0/1 metric ``name`` says whether ``metric`` is above ``limit``."""

    name: str
    metric: str
    limit: float


@dataclass(frozen=True, slots=True)
class FlagFacts:
    """What intake has to know of a flag."""

    generation: int
    variants: frozenset[str]
    thresholds: tuple[Threshold, ...] = ()


class Attributed(NamedTuple):
    """An outcome of a known flag and variant, with the generation it counts for."""

    outcome: Outcome
    generation: int
    thresholds: tuple[Threshold, ...]


class StatKey(NamedTuple):
    """What one sum belongs to."""

    flag: str
    generation: int
    metric: str
    variant: str
    unit: str


# PostgreSQL refuses products that underflow, and a gate would never be answered again.
_TINY = 1e-100

Sums = tuple[int, float, float]
"""Number of values, their sum, the sum of their squares."""


def thresholds_of(plan: Plan) -> tuple[Threshold, ...]:
    """The limits by which the quantile gates of ``plan`` judge outcomes, each once."""
    gates = [gate for stage in plan.stages for gate in (*stage.gates, *stage.guardrails)]
    found = {t.name: t for t in map(_threshold, gates) if t is not None}
    return tuple(found.values())


def attributed(outcomes: Sequence[Outcome], facts: Mapping[str, FlagFacts]) -> tuple[dict[str, Attributed], int]:
    """The outcomes of known flags and variants by id, the first of each id; and how many are of unknown ones.

    A generation above the flag's own does not exist yet, and nothing may count for it in advance.
    """
    kept: dict[str, Attributed] = {}
    unknown = 0
    for outcome in outcomes:
        known = facts.get(outcome.flag)
        if known is None or outcome.variant not in known.variants:
            unknown += 1
        elif outcome.id not in kept:
            claimed = known.generation if outcome.generation is None else outcome.generation
            kept[outcome.id] = Attributed(outcome, min(claimed, known.generation), known.thresholds)
    return kept, unknown


def summed(outcomes: Iterable[Attributed]) -> dict[StatKey, Sums]:
    """The sums by flag, generation, metric, variant and unit. A number closer to 0 than 1e-100 counts as 0."""
    sums: dict[StatKey, Sums] = {}
    for outcome, generation, thresholds in outcomes:
        for metric, measured in _values(outcome, thresholds):
            value = measured if abs(measured) >= _TINY else 0.0
            key = StatKey(outcome.flag, generation, metric, outcome.variant, outcome.unit)
            samples, total, squares = sums.get(key, (0, 0.0, 0.0))
            sums[key] = (samples + 1, total + value, squares + value * value)
    return sums


def _threshold(gate: Gate) -> Threshold | None:
    if gate.quantile is None or gate.max is None or gate.source.kind != "outcomes":
        return None
    return Threshold(exceedance(gate.metric, gate.max), gate.metric, gate.max)


def _values(outcome: Outcome, thresholds: tuple[Threshold, ...]) -> Iterator[tuple[str, float]]:
    measured = outcome.measurements()
    yield from measured.items()
    for threshold in thresholds:
        value = measured.get(threshold.metric)
        if value is not None:
            yield threshold.name, float(value > threshold.limit)
