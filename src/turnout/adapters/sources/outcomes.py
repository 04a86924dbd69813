"""The outcomes that services reported, as a source."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from turnout.analysis.policy import by_first_errors
from turnout.domain.durations import format_duration
from turnout.domain.errors import SourceError, Unavailable
from turnout.domain.experiments import Experiment
from turnout.domain.metrics import metric_of
from turnout.domain.outcomes import beyond_stable, capped, exceedance
from turnout.domain.plan import SAMPLE_RATIO, Gate
from turnout.domain.stats import ArmStats, Minute
from turnout.ports import ArmReading, ExperimentReading, OutcomeStatistics, Question, SeriesReading, SplitReading

Answer = ArmReading | SplitReading | SeriesReading | ExperimentReading

_MOMENTS: Final = 16
"""Moments whose reads are kept, to be shared by the gates that ask about the same."""

_MINUTE: Final = timedelta(minutes=1)

T = TypeVar("T")


class OutcomesSource:
    """Reads the statistics of the question's generation from ``store``.

    Gates that ask about the same at the same moment share one read of the store.
    """

    def __init__(self, store: OutcomeStatistics, timeout: timedelta = timedelta(seconds=10)) -> None:
        self._store = store
        self._timeout = timeout
        self._looks: OrderedDict[tuple[str, int, datetime], _Look] = OrderedDict()

    async def read(self, question: Question) -> Answer:
        """Both arms, the split of the users for ``sample_ratio``, the minutes of a scorecard, or all arms of a test.

        An arm without outcomes is empty. A quantile is read as the share above its limit: that of the gate, or
        stable's own frozen one. A comparison of rates by ratio is read of the error rate.

        Raises:
            SourceError: the store did not answer, or not within the timeout.
        """
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                return await _reading(self._look(question), question)
        except TimeoutError as error:
            raise SourceError(f"the outcome store did not answer within {format_duration(self._timeout)}") from error
        except Unavailable as error:
            raise SourceError(f"the outcome store did not answer: {error}") from error

    def _look(self, question: Question) -> _Look:
        key = question.flag, question.generation, question.now
        look = self._looks.setdefault(key, _Look(self._store, question.flag, question.generation))
        self._looks.move_to_end(key)
        while len(self._looks) > _MOMENTS:
            self._looks.popitem(last=False)
        return look


@dataclass(slots=True)
class _Kept(Generic[T]):
    value: T


class _Once(Generic[T]):
    """One read. Whoever comes while it is made waits for it; if it fails or is given up, the next one makes it."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._kept: _Kept[T] | None = None

    async def made(self, read: Callable[[], Awaitable[T]]) -> T:
        """The answer, made now if there is none."""
        async with self._turn:
            if self._kept is None:
                self._kept = _Kept(await read())
            return self._kept.value


class _Look:
    """The reads of one moment: each is made once, however many gates ask for it; one that failed is made again."""

    def __init__(self, store: OutcomeStatistics, flag: str, generation: int) -> None:
        self._store = store
        self._window = flag, generation
        self._stats = dict[str, _Once[Mapping[str, ArmStats]]]()
        self._minutes = dict[str, _Once[Mapping[str, Sequence[Minute]]]]()
        self._frozen = _Once[Mapping[str, float]]()

    async def stats(self, metric: str) -> Mapping[str, ArmStats]:
        once = self._stats.setdefault(metric, _Once())
        return await once.made(lambda: self._store.stats(*self._window, metric))

    async def minutes(self, metric: str) -> Mapping[str, Sequence[Minute]]:
        once = self._minutes.setdefault(metric, _Once())
        return await once.made(lambda: self._store.minutes(*self._window, metric))

    async def frozen(self) -> Mapping[str, float]:
        return await self._frozen.made(lambda: self._store.frozen(*self._window))

    async def units(self) -> Mapping[str, int]:
        return await self._store.units(*self._window)


async def _reading(look: _Look, question: Question) -> Answer:
    gate = question.gate
    if gate.experiment is not None:
        return await _tested(look, gate.experiment, over=question.over)
    if gate.metric == SAMPLE_RATIO:
        return _split(await look.units(), question)
    if gate.score is not None:
        names = [scored.metric for scored in gate.score.metrics]
        return SeriesReading({name: _pair(await look.minutes(name), question) for name in names})
    if gate.versus is not None and gate.quantile is not None:
        name = beyond_stable(gate.metric, gate.quantile)
        arms = _arms(await look.stats(name), question)
        return ArmReading(*arms, rate=True, share=_share(question), limit=(await look.frozen()).get(name))
    if gate.versus is not None and metric_of(gate.metric).kind == "number":
        return await _compared(look, question)
    return await _timed(look, question)


def _split(units: Mapping[str, int], question: Question) -> SplitReading:
    """Users by variant. What nobody is planned to get comes from elsewhere and is no part of the split."""
    shares = {variant: float(weight) for variant, weight in question.weights.items() if weight > 0}
    return SplitReading({variant: units.get(question.arm(variant), 0) for variant in shares}, shares)


async def _tested(look: _Look, experiment: Experiment, *, over: bool) -> ExperimentReading:
    """Every metric of all arms; an arm without a value is empty."""
    empty = ArmStats()
    metrics = dict[str, Mapping[str, ArmStats]]()
    for metric in experiment.metrics:
        found = await look.stats(metric.metric)
        metrics[metric.metric] = {arm: found.get(arm, empty) for arm in experiment.arms}
    units = await look.units()
    return ExperimentReading(metrics, {arm: units.get(arm, 0) for arm in experiment.arms}, over)


async def _compared(look: _Look, question: Question) -> ArmReading:
    """Two means; those of cost without single values that are out of all proportion."""
    metric = question.gate.metric
    plain = _arms(await look.stats(metric), question)
    limit = (await look.frozen()).get(capped(metric)) if metric == "cost" else None
    if limit is None:
        return ArmReading(*plain, rate=False, share=_share(question))
    arms = _arms(await look.stats(capped(metric)), question)
    uncapped = _mean(plain[0]), _mean(plain[1])
    return ArmReading(*arms, rate=False, share=_share(question), limit=limit, uncapped=uncapped)


async def _timed(look: _Look, question: Question) -> ArmReading:
    """Both arms, and for rates their minutes as well: trouble that begins later shows in them."""
    metric, rate = _metric(question.gate)
    candidate, stable = _arms(await look.stats(metric), question)
    ours, theirs = _pair(await look.minutes(metric), question) if rate else ((), ())
    return ArmReading(
        candidate,
        stable,
        rate,
        share=_share(question),
        candidate_minutes=ours,
        stable_minutes=theirs,
        began=int(question.since.timestamp()) // 60,
        planned=max(1, -(-question.hold // _MINUTE)),
    )


def _metric(gate: Gate) -> tuple[str, bool]:
    """The name to ask the store for, and whether its values are 0 or 1."""
    if gate.quantile is not None and gate.max is not None:
        return exceedance(gate.metric, gate.max), True
    if by_first_errors(gate):
        return "error_rate", True
    return gate.metric, metric_of(gate.metric).kind == "rate"


def _share(question: Question) -> float:
    """The candidate's planned share of the users of both arms; 0 where neither has any. In shadow all have both."""
    if question.shadow:
        return 0.5
    ours, theirs = (question.weights.get(variant, 0) for variant in (question.candidate, question.stable))
    return ours / (ours + theirs) if ours + theirs else 0.0


def _arms(arms: Mapping[str, ArmStats], question: Question) -> tuple[ArmStats, ArmStats]:
    empty = ArmStats()
    return arms.get(question.candidate_arm, empty), arms.get(question.stable_arm, empty)


def _pair(minutes: Mapping[str, Sequence[Minute]], question: Question) -> tuple[Sequence[Minute], Sequence[Minute]]:
    return minutes.get(question.candidate_arm, ()), minutes.get(question.stable_arm, ())


def _mean(stats: ArmStats) -> float | None:
    return stats.total / stats.samples if stats.samples else None
