"""The port through which gates read their metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from turnout.domain.plan import Gate
from turnout.domain.stats import ArmStats


@dataclass(frozen=True, slots=True)
class Question:
    """What a gate wants to know: its metric on the traffic of one generation, from ``since`` to ``now``."""

    gate: Gate
    flag: str
    stable: str
    candidate: str
    generation: int
    since: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class ArmReading:
    """Statistics of the single outcomes of both arms. ``rate`` says whether the values are 0 or 1."""

    candidate: ArmStats
    stable: ArmStats
    rate: bool


@dataclass(frozen=True, slots=True)
class FractionReading:
    """Counts of the candidate from an aggregating source: ``events`` of ``total``; total 0 means no data."""

    events: float
    total: float


@dataclass(frozen=True, slots=True)
class PointReading:
    """One aggregated number without a sample; None when the source has no value (absent, NaN, empty)."""

    value: float | None


Reading = ArmReading | FractionReading | PointReading


class MetricSource(Protocol):
    """Answers questions from one kind of source."""

    async def read(self, question: Question) -> Reading:
        """The metric's reading. Having no data is a reading, not an error.

        Raises:
            SourceError: the source did not answer, or answered something that is no reading.
        """
        ...
