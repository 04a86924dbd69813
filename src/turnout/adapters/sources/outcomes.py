"""The outcomes that services reported, as a source."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from turnout.domain.durations import format_duration
from turnout.domain.errors import SourceError, Unavailable
from turnout.domain.metrics import metric_of
from turnout.domain.outcomes import exceedance
from turnout.domain.plan import Gate
from turnout.domain.stats import ArmStats
from turnout.ports import ArmReading, OutcomeStore, Question


class OutcomesSource:
    """Reads both arms' statistics of the question's generation from ``store``."""

    def __init__(self, store: OutcomeStore, timeout: timedelta = timedelta(seconds=10)) -> None:
        self._store = store
        self._timeout = timeout

    async def read(self, question: Question) -> ArmReading:
        """Both arms; an arm without outcomes is empty. A quantile is read as the share above its limit.

        Raises:
            SourceError: the store did not answer, or not within the timeout.
        """
        metric, rate = _metric(question.gate)
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                arms = await self._store.stats(question.flag, question.generation, metric)
        except TimeoutError as error:
            raise SourceError(f"the outcome store did not answer within {format_duration(self._timeout)}") from error
        except Unavailable as error:
            raise SourceError(f"the outcome store did not answer: {error}") from error
        empty = ArmStats()
        return ArmReading(arms.get(question.candidate, empty), arms.get(question.stable, empty), rate)


def _metric(gate: Gate) -> tuple[str, bool]:
    """The name to ask the store for, and whether its values are 0 or 1."""
    if gate.quantile is not None and gate.max is not None:
        return exceedance(gate.metric, gate.max), True
    return gate.metric, metric_of(gate.metric).kind == "rate"
