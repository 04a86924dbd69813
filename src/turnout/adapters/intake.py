"""Which outcomes of a batch count, for which generation and when, whatever keeps them. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from turnout.domain.metrics import AGREEMENT, metric_of
from turnout.domain.outcomes import Outcome, beyond_stable, capped, exceedance
from turnout.domain.plan import Bounds, Gate, Plan

CAPPED: Final = frozenset({"cost"})
"""The metrics that are kept capped as well."""

CAP_QUANTILE: Final = 0.999

_SKEW: Final = timedelta(seconds=60)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Measuring:
    """What is asked of the values of one metric, beyond their sums.

    Values below ``low`` or above ``high`` are rejected. ``exceedances`` are the 0/1 metrics that say whether a value is
    above a limit: names and limits. ``frozen`` are the derived metrics whose limit is a quantile of stable: names and
    quantiles; see `turnout.domain.outcomes.beyond_stable` and `turnout.domain.outcomes.capped`.
    """

    low: float = -math.inf
    high: float = math.inf
    exceedances: tuple[tuple[str, float], ...] = ()
    frozen: tuple[tuple[str, float], ...] = ()


def measuring_of(plan: Plan | None) -> dict[str, Measuring]:
    """What ``plan`` asks of each metric: its bounds and the limits of its quantile gates, each once; and the caps.

    Rates have no bounds: they are 0 or 1. Agreement is between the two.
    """
    stages = plan.stages if plan is not None else ()
    gates = [gate for stage in stages for gate in (*stage.gates, *stage.guardrails) if gate.source.kind == "outcomes"]
    bounds = {name: b for name, b in (plan.bounds if plan else {}).items() if metric_of(name).kind == "number"}
    if any(gate.metric == AGREEMENT for gate in gates):
        bounds[AGREEMENT] = Bounds(min=0, max=1)
    names = CAPPED | bounds.keys() | {gate.metric for gate in gates if gate.quantile is not None}
    return {name: _measuring(name, bounds.get(name), [g for g in gates if g.metric == name]) for name in sorted(names)}


@dataclass(frozen=True, slots=True)
class FlagFacts:
    """What intake has to know of a flag: ``measuring`` comes from the plan of its latest rollout.

    ``starts`` says when the generations of that rollout were published.
    """

    generation: int
    variants: frozenset[str]
    stable: str
    measuring: Mapping[str, Measuring] = field(default_factory=dict[str, Measuring])
    starts: Mapping[int, datetime] = field(default_factory=dict[int, datetime])


class Attributed(NamedTuple):
    """An outcome of a known flag and variant, with the generation and the time it counts for."""

    outcome: Outcome
    generation: int
    at: datetime


def attributed(
    outcomes: Sequence[Outcome], facts: Mapping[str, FlagFacts], received: datetime
) -> tuple[dict[str, Attributed], int]:
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
            generation = min(claimed, known.generation)
            at = counted_at(outcome.at, received, known.starts.get(generation, _EPOCH))
            kept[outcome.id] = Attributed(outcome, generation, at)
    return kept, unknown


def counted_at(reported: datetime | None, received: datetime, start: datetime) -> datetime:
    """The time an outcome counts for: the reported one, if it can be.

    Without one, or when the reporter's clock is evidently wrong (more than 60 s ahead of ``received``, or before the
    outcome's generation began at ``start``), it is the time at which the outcome was received.
    """
    if reported is None or reported < start or reported > received + _SKEW:
        return received
    return reported


def _measuring(metric: str, bounds: Bounds | None, gates: Iterable[Gate]) -> Measuring:
    asked = [gate for gate in gates if gate.quantile is not None]
    frozen = {beyond_stable(metric, g.quantile): g.quantile for g in asked if g.quantile and g.versus == "stable"}
    if metric in CAPPED:
        frozen[capped(metric)] = CAP_QUANTILE
    return Measuring(
        low=-math.inf if bounds is None or bounds.min is None else bounds.min,
        high=math.inf if bounds is None or bounds.max is None else bounds.max,
        exceedances=tuple({exceedance(metric, g.max): g.max for g in asked if g.max is not None}.items()),
        frozen=tuple(frozen.items()),
    )
