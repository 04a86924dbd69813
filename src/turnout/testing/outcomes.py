"""The outcome store in memory, for tests: the statistics of one on a database, forgotten at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from turnout.adapters.intake import Attributed, FlagFacts, attributed
from turnout.adapters.tally import ENOUGH_TO_FREEZE, Series, Window, WindowKey, gathered, rejected_by
from turnout.domain.histogram import Histogram
from turnout.domain.outcomes import ANY_METRIC, Outcome
from turnout.domain.stats import ArmStats, Minute
from turnout.ports.outcomes import Receipt


class MemoryOutcomeStore:
    """A `turnout.ports.outcomes.OutcomeStore` in memory; ``facts`` gives what intake has to know of all flags."""

    def __init__(self, facts: Callable[[], Mapping[str, FlagFacts]]) -> None:
        self._facts = facts
        self._outcomes: dict[str, Attributed] = {}
        self._windows: dict[WindowKey, Window] = {}

    async def record(self, outcomes: Sequence[Outcome], received: datetime) -> Receipt:
        """See `OutcomeStore.record`."""
        facts = self._facts()
        kept, unknown = attributed(outcomes, facts, received)
        new = sorted(kept.keys() - self._outcomes.keys())
        self._outcomes |= {id: kept[id] for id in new}
        batch = gathered((kept[id] for id in new), facts)
        for key, arrivals in batch.items():
            window = self._windows.setdefault(key, Window(arrivals.facts.stable))
            for metric, limits in window.thawed(arrivals).items():
                window.freeze(metric, limits, self._earlier(key, metric, window.stable))
            window.add(arrivals)
        return Receipt(len(new), len(outcomes) - unknown - len(new), unknown, rejected_by(batch))

    async def stats(self, flag: str, generation: int, metric: str) -> Mapping[str, ArmStats]:
        """See `OutcomeStore.stats`. Variants without a value are left out."""
        return {variant: series.stats() for variant, series in self._series(flag, generation, metric).items()}

    async def minutes(self, flag: str, generation: int, metric: str) -> Mapping[str, Sequence[Minute]]:
        """See `OutcomeStore.minutes`. Variants without a value are left out."""
        arrived = self._series(flag, generation, ANY_METRIC)
        return {
            variant: [
                Minute(minute=minute, **asdict(sums) | {"units": arrived[variant].minutes[minute].units})
                for minute, sums in sorted(series.minutes.items())
            ]
            for variant, series in self._series(flag, generation, metric).items()
        }

    async def histogram(self, flag: str, generation: int, metric: str) -> Mapping[str, Histogram]:
        """See `OutcomeStore.histogram`. Derived metrics have none."""
        found = self._series(flag, generation, metric).items()
        return {variant: Histogram(counts=dict(series.bins)) for variant, series in found if series.bins}

    async def units(self, flag: str, generation: int) -> Mapping[str, int]:
        """See `OutcomeStore.units`. Variants without one are left out."""
        return {variant: series.units for variant, series in self._series(flag, generation, ANY_METRIC).items()}

    async def rejected(self, flag: str, generation: int) -> Mapping[str, int]:
        """See `OutcomeStore.rejected`."""
        window = self._windows.get(WindowKey(flag, generation))
        return dict(window.rejected) if window else {}

    async def frozen(self, flag: str, generation: int) -> Mapping[str, float]:
        """See `OutcomeStore.frozen`."""
        window = self._windows.get(WindowKey(flag, generation))
        return dict(window.frozen) if window else {}

    async def replay(self, flag: str, generation: int) -> AsyncIterator[Outcome]:
        """See `OutcomeStore.replay`."""
        its = [kept for kept in self._outcomes.values() if (kept.outcome.flag, kept.generation) == (flag, generation)]
        for outcome, _, at in sorted(its, key=lambda kept: (kept.at, kept.outcome.id)):
            yield outcome.model_copy(update={"generation": generation, "at": at})

    def _series(self, flag: str, generation: int, metric: str) -> dict[str, Series]:
        window = self._windows.get(WindowKey(flag, generation))
        arms = window.arms.items() if window else ()
        return {variant: arm.series[metric] for variant, arm in arms if metric in arm.series}

    def _earlier(self, key: WindowKey, metric: str, stable: str) -> Mapping[int, int] | None:
        generations = sorted({g for flag, g in self._windows if flag == key.flag and g < key.generation}, reverse=True)
        found = (self._series(key.flag, generation, metric).get(stable) for generation in generations)
        return next((series.bins for series in found if series and series.samples >= ENOUGH_TO_FREEZE), None)
