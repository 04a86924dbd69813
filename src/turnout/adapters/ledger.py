"""The statistics of outcomes in memory: what a database keeps, for as long as somebody holds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from turnout.adapters.intake import Attributed, FlagFacts
from turnout.adapters.tally import (
    ENOUGH_TO_FREEZE,
    Arrivals,
    Series,
    Window,
    WindowKey,
    gathered,
)
from turnout.domain.histogram import Histogram
from turnout.domain.outcomes import ANY_METRIC
from turnout.domain.stats import ArmStats, Minute


class Ledger:
    """A `turnout.ports.outcomes.OutcomeStatistics` in memory. Every outcome is added once."""

    def __init__(self) -> None:
        self._windows: dict[WindowKey, Window] = {}

    def add(self, outcomes: Iterable[Attributed], facts: Mapping[str, FlagFacts]) -> Mapping[WindowKey, Arrivals]:
        """Count a batch of new ``outcomes`` of the flags in ``facts``; gives what it brought to each window."""
        batch = gathered(outcomes, facts)
        for key, arrivals in batch.items():
            window = self._windows.setdefault(key, Window(arrivals.facts.stable))
            for metric, limits in window.thawed(arrivals).items():
                window.freeze(metric, limits, self._earlier(key, metric, window.stable))
            window.add(arrivals)
        return batch

    def recall(self, flag: str, generation: int, variant: str, metric: str, histogram: Histogram) -> None:
        """Put the distribution of an earlier generation in place, for limits of later ones to be frozen from."""
        window = self._windows.setdefault(WindowKey(flag, generation), Window(variant))
        series = window.arms[variant].series[metric]
        series.bins.update(histogram.counts)
        series.samples += sum(histogram.counts.values())

    def settle(self, flag: str, generation: int) -> None:
        """Forget the single units of a generation to which nothing is added any more; its statistics stay."""
        window = self._windows.get(WindowKey(flag, generation))
        for arm in window.arms.values() if window else ():
            arm.marks.clear()

    async def stats(self, flag: str, generation: int, metric: str) -> Mapping[str, ArmStats]:
        """See `OutcomeStatistics.stats`. Variants without a value are left out."""
        return {variant: series.stats() for variant, series in self._series(flag, generation, metric).items()}

    async def minutes(self, flag: str, generation: int, metric: str) -> Mapping[str, Sequence[Minute]]:
        """See `OutcomeStatistics.minutes`. Variants without a value are left out."""
        arrived = self._series(flag, generation, ANY_METRIC)
        return {
            variant: [
                Minute(minute=minute, **asdict(sums) | {"units": arrived[variant].minutes[minute].units})
                for minute, sums in sorted(series.minutes.items())
            ]
            for variant, series in self._series(flag, generation, metric).items()
        }

    async def histogram(self, flag: str, generation: int, metric: str) -> Mapping[str, Histogram]:
        """See `OutcomeStatistics.histogram`. Derived metrics have none."""
        found = self._series(flag, generation, metric).items()
        return {variant: Histogram(counts=dict(series.bins)) for variant, series in found if series.bins}

    async def units(self, flag: str, generation: int) -> Mapping[str, int]:
        """See `OutcomeStatistics.units`. Variants without one are left out."""
        return {variant: series.units for variant, series in self._series(flag, generation, ANY_METRIC).items()}

    async def rejected(self, flag: str, generation: int) -> Mapping[str, int]:
        """See `OutcomeStatistics.rejected`."""
        window = self._windows.get(WindowKey(flag, generation))
        return dict(window.rejected) if window else {}

    async def frozen(self, flag: str, generation: int) -> Mapping[str, float]:
        """See `OutcomeStatistics.frozen`."""
        window = self._windows.get(WindowKey(flag, generation))
        return dict(window.frozen) if window else {}

    def _series(self, flag: str, generation: int, metric: str) -> dict[str, Series]:
        window = self._windows.get(WindowKey(flag, generation))
        arms = window.arms.items() if window else ()
        return {variant: arm.series[metric] for variant, arm in arms if metric in arm.series}

    def _earlier(self, key: WindowKey, metric: str, stable: str) -> Mapping[int, int] | None:
        generations = sorted({g for flag, g in self._windows if flag == key.flag and g < key.generation}, reverse=True)
        found = (self._series(key.flag, generation, metric).get(stable) for generation in generations)
        return next((series.bins for series in found if series and series.samples >= ENOUGH_TO_FREEZE), None)
