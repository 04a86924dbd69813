"""The port through which outcomes are kept and summed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from turnout.domain.histogram import Histogram
from turnout.domain.outcomes import Outcome
from turnout.domain.stats import ArmStats, Minute


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch: ``accepted`` new ones, ``duplicates`` known by id, ``unknown`` for flags or variants
    that do not exist (counted, not kept). The three sum to the size of the batch.

    ``rejected`` counts, by metric, single values of accepted outcomes outside the bounds that the rollout's spec
    declares: the outcome is kept, the value counts for nothing.
    """

    accepted: int
    duplicates: int
    unknown: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict[str, int])


class OutcomeStatistics(Protocol):
    """The statistics of outcomes that gates ask for."""

    async def stats(self, flag: str, generation: int, metric: str) -> Mapping[str, ArmStats]:
        """Statistics by variant of ``metric`` for the traffic of one generation.

        ``metric`` may be one of the derived names of `turnout.domain.outcomes`: an exceedance, a capped number.
        """
        ...

    async def minutes(self, flag: str, generation: int, metric: str) -> Mapping[str, Sequence[Minute]]:
        """The same by variant and minute, in order; minutes without a value are left out."""
        ...

    async def histogram(self, flag: str, generation: int, metric: str) -> Mapping[str, Histogram]:
        """The distribution of a metric's values by variant, in bins of one percent."""
        ...

    async def units(self, flag: str, generation: int) -> Mapping[str, int]:
        """How many distinct units have reported by variant, whatever they reported."""
        ...

    async def rejected(self, flag: str, generation: int) -> Mapping[str, int]:
        """How many values were outside their declared bounds, by metric."""
        ...

    async def frozen(self, flag: str, generation: int) -> Mapping[str, float]:
        """The limits that were frozen for one generation, by the name of what they limit.

        See `turnout.domain.outcomes.beyond_stable` and `turnout.domain.outcomes.capped`.
        """
        ...


class OutcomeStore(OutcomeStatistics, Protocol):
    """Keeps outcomes and their statistics, all of them kept up with every batch."""

    async def record(self, outcomes: Sequence[Outcome], received: datetime) -> Receipt:
        """Keep ``outcomes``; returns only once they are durable. An id seen before counts nothing again."""
        ...

    async def served(self, flag: str, variant: str, since: datetime) -> tuple[int, int]:
        """How many requests served with ``variant`` since then went well, and how many failed."""
        ...

    def replay(self, flag: str, generation: int) -> AsyncIterator[Outcome]:
        """The outcomes of one generation in the order of their times, to decide about them once more."""
        ...
