"""Gates that ask the outcome store for the same at the same moment share one read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from turnout.adapters.sources.outcomes import OutcomesSource
from turnout.domain.errors import SourceError, Unavailable
from turnout.domain.plan import Gate
from turnout.domain.stats import ArmStats
from turnout.ports import Question
from turnout.testing.stores import memory_stores

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Counting:
    """An outcome store that counts what it is asked, one read at a time taking a turn of the loop."""

    def __init__(self, failures: int = 0) -> None:
        self._store = memory_stores().outcomes
        self.asked = list[str]()
        self.failures = failures

    async def stats(self, flag: str, generation: int, metric: str) -> Mapping[str, ArmStats]:
        self.asked.append(metric)
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise Unavailable("database is locked")
        return await self._store.stats(flag, generation, metric)

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


def question(metric: str, limit: float, seconds: int = 0) -> Question:
    gate = Gate(metric=metric, max=limit)
    return Question(gate, "flag", "old", "new", 7, NOW, NOW + timedelta(seconds=seconds))


async def test_one_read_for_all() -> None:
    """Side by side or one after the other, one read a metric and moment."""
    store = Counting()
    source = OutcomesSource(store)  # type: ignore[arg-type]
    await asyncio.gather(*(source.read(question(metric, limit)) for metric in ("cost", "tokens") for limit in (1, 2)))
    await source.read(question("cost", 3))
    assert sorted(store.asked) == ["cost", "tokens"]
    await source.read(question("cost", 3, seconds=30))
    assert sorted(store.asked) == ["cost", "cost", "tokens"]


async def test_a_failed_read_is_not_kept() -> None:
    """The next gate asks the store again after a failure."""
    store = Counting(failures=1)
    source = OutcomesSource(store)  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="database is locked"):
        await source.read(question("cost", 1))
    assert (await source.read(question("cost", 1))) is not None
    assert store.asked == ["cost", "cost"]


async def test_moments_are_forgotten() -> None:
    """What was read at earlier moments is not kept for ever."""
    store = Counting()
    source = OutcomesSource(store)  # type: ignore[arg-type]
    for seconds in range(40):
        await source.read(question("cost", 1, seconds))
    await source.read(question("cost", 1, 39))
    assert len(store.asked) == 40
    await source.read(question("cost", 1, 0))
    assert len(store.asked) == 41
