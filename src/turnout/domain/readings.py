"""What a metric source can answer: statistics of both arms, a fraction of counts, or one bare number."""

from __future__ import annotations

from dataclasses import dataclass

from turnout.domain.stats import ArmStats


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
