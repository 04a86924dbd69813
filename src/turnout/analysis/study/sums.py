"""From rows to sums per unit to the statistics of an arm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from turnout.analysis.evidence import Floats
from turnout.analysis.study.metrics import Metric
from turnout.analysis.study.outcomes import Codes
from turnout.domain.stats import ArmStats


@dataclass(frozen=True, slots=True)
class Arm:
    """One metric on one arm: the units with a value (numbers ``unit``), how many each has and what they sum to.

    Values are ``centre`` less than recorded: sums of numbers that are large against their spread would lose it.
    Differences between arms of one centre are the recorded ones.
    """

    unit: Codes
    n: Floats
    y: Floats
    squares: float
    centre: float = 0.0

    @property
    def stats(self) -> ArmStats:
        """The sums of the centred values."""
        return ArmStats(
            units=self.unit.size,
            samples=int(self.n.sum()),
            total=float(self.y.sum()),
            squares=self.squares,
            nn=float(self.n @ self.n),
            yy=float(self.y @ self.y),
            ny=float(self.n @ self.y),
            hits=int(np.sum(self.y > 0)),
        )

    @property
    def plain(self) -> ArmStats:
        """The sums of the values as recorded."""
        return Arm(self.unit, self.n, self.y + self.centre * self.n, self._plain_squares()).stats

    @property
    def value(self) -> float | None:
        """The ratio mean as recorded; None without values."""
        samples = float(self.n.sum())
        return float(self.y.sum()) / samples + self.centre if samples else None

    @property
    def means(self) -> Floats:
        """One mean a unit, centred."""
        return self.y / self.n

    @property
    def missed(self) -> int:
        """Of a rate: units with at least one 0."""
        return int(np.sum(self.y < self.n))

    @property
    def single(self) -> bool:
        """Whether every unit has one value."""
        return bool(np.all(self.n == 1))

    def _plain_squares(self) -> float:
        centre = self.centre
        return self.squares + 2 * centre * float(self.y.sum()) + centre * centre * float(self.n.sum())


def arm_of(unit: Codes, values: Floats, units: int, centre: float = 0.0) -> Arm:
    """The arm of rows with units 0.. < ``units`` and values, NaN for a missing one."""
    here = ~np.isnan(values)
    unit, values = unit[here], values[here] - centre
    n = np.bincount(unit, minlength=units).astype(np.float64)
    y = np.bincount(unit, weights=values, minlength=units).astype(np.float64)
    seen = np.flatnonzero(n)
    return Arm(seen, n[seen], y[seen], float(values @ values), centre)


def centre_of(values: Floats) -> float:
    """A recorded value near the middle, to sum deviations from; 0 without values."""
    known = values[~np.isnan(values)]
    return float(np.partition(known, known.size // 2)[known.size // 2]) if known.size else 0.0


def events_of(metric: Metric, values: Floats, threshold: float | None) -> Floats:
    """What a quantile or rate counts, 1 or 0 a value, NaN for a missing one.

    Of a quantile, values beyond ``threshold`` on the bad side; of a rate the ones; of a rate that must not be below
    a limit the zeros.
    """
    if metric.kind == "rate":
        return 1 - values if metric.limit is not None and metric.better == "higher" else values
    if threshold is None:
        return np.full(values.shape, np.nan)
    beyond = values > threshold if metric.better == "lower" else values < threshold
    return np.where(np.isnan(values), np.nan, beyond)
