"""What a metric source can answer: statistics of both arms, a split, series, a fraction of counts, or a bare number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from turnout.domain.stats import ArmStats, Minute


@dataclass(frozen=True, slots=True)
class ArmReading:
    """Statistics of the single outcomes of both arms. ``rate`` says whether the values are 0 or 1.

    ``share`` is the candidate's planned share of the units of both arms together, 0..1. The minutes of either arm are
    in order, those without a value left out; the stage began in minute ``began`` (since the epoch) and is planned to
    take ``planned`` minutes. ``limit`` is what single values were held against where that is not in the gate: the
    frozen quantile of stable, or the cap; ``uncapped`` are both means without the cap (candidate, stable).
    """

    candidate: ArmStats
    stable: ArmStats
    rate: bool
    share: float = 0.0
    candidate_minutes: Sequence[Minute] = ()
    stable_minutes: Sequence[Minute] = ()
    began: int = 0
    planned: int = 1
    limit: float | None = None
    uncapped: tuple[float | None, float | None] | None = None


@dataclass(frozen=True, slots=True)
class SplitReading:
    """How many distinct units reported by variant, against the planned ``shares`` of the variants (any scale)."""

    units: Mapping[str, int]
    shares: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SeriesReading:
    """The minutes of several metrics on both arms, in order: by metric, the candidate's and stable's."""

    metrics: Mapping[str, tuple[Sequence[Minute], Sequence[Minute]]] = field(
        default_factory=dict[str, tuple[Sequence[Minute], Sequence[Minute]]]
    )


@dataclass(frozen=True, slots=True)
class FractionReading:
    """Counts of the candidate from an aggregating source: ``events`` of ``total``; total 0 means no data."""

    events: float
    total: float


@dataclass(frozen=True, slots=True)
class PointReading:
    """One aggregated number without a sample; None when the source has no value (absent, NaN, empty).

    ``note`` says in words what lies behind the number, where there is something to say.
    """

    value: float | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class ExperimentReading:
    """The statistics of every metric of a test by metric and arm, the users of each arm, and whether its time is up."""

    metrics: Mapping[str, Mapping[str, ArmStats]]
    users: Mapping[str, int]
    over: bool = False


Reading = ArmReading | SplitReading | SeriesReading | FractionReading | PointReading | ExperimentReading
