"""Several engines and processes on one database: one wins, nothing is lost, nothing counts twice."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from tests.integration.stores.builders import (
    FLAG,
    NOW,
    a_flag,
    a_move,
    a_rollout,
    an_outcome,
    applied,
    begun,
)
from turnout.adapters.sql import open_stores
from turnout.adapters.sql.engine import create_engine
from turnout.adapters.sql.engine import database_url as parsed
from turnout.adapters.sql.rows import rollout_values
from turnout.adapters.sql.tables import rollouts
from turnout.domain.errors import RolloutOpen, StaleGeneration
from turnout.ports.outcomes import Receipt
from turnout.ports.stores import Stores

# What another process does: intake under its own ids, as often as it is told, with an acknowledgement for every batch.
_WRITER = """
import asyncio, sys
from tests.integration.stores.builders import NOW, an_outcome
from turnout.adapters.sql import open_stores

async def main(url, name, batches):
    async with open_stores(url) as stores:
        for batch in range(int(batches)):
            outcomes = [an_outcome(f"{name}-{batch}-{i}", f"u{i}") for i in range(20)]
            await stores.outcomes.record(outcomes, NOW)
            print(batch, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


def _writer(url: str, name: str, batches: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _WRITER, url, name, str(batches)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def _several(stack: AsyncExitStack, url: str, count: int = 2) -> list[Stores]:
    return [await stack.enter_async_context(open_stores(url)) for _ in range(count)]


async def test_of_two_commits_for_one_generation_one_wins(database_url: str) -> None:
    """Two engines that publish different traffic under one generation: one succeeds, the other is stale."""
    async with AsyncExitStack() as stack:
        one, two = await _several(stack, database_url)
        await begun(one)
        results = await asyncio.gather(
            one.rollouts.commit(a_move(2, 3, 0.25)),
            two.rollouts.commit(a_move(3, 3, 0.75)),
            return_exceptions=True,
        )
        assert sorted(type(result).__name__ for result in results) == ["StaleGeneration", "int"]
        share = 0.25 if isinstance(results[0], int) else 0.75
        assert (await two.flags.get(FLAG)).traffic.weights["new"] == share * 100_000
        assert len(await one.rollouts.decisions("r1")) == 2


async def test_one_decision_committed_from_two_places_is_recorded_once(database_url: str) -> None:
    """The same decision delivered twice at once is published once, and both get its revision."""
    async with AsyncExitStack() as stack:
        one, two = await _several(stack, database_url)
        await begun(one)
        before = await one.flags.revision()
        revisions = await asyncio.gather(*(s.rollouts.commit(a_move(2, 3, 0.5)) for s in (one, two, one, two)))
        assert revisions == [before + 1] * 4
        assert len(await one.rollouts.decisions("r1")) == 2


async def test_of_two_rollouts_opened_at_once_one_wins(database_url: str) -> None:
    """However many open a rollout of one flag at the same time, one does."""
    async with AsyncExitStack() as stack:
        engines = await _several(stack, database_url)
        await applied(engines[0], a_flag())
        results = await asyncio.gather(
            *(engines[i % 2].rollouts.open(a_rollout(f"r{i}")) for i in range(6)), return_exceptions=True
        )
        assert sum(isinstance(result, RolloutOpen) for result in results) == 5
        assert len(await engines[1].rollouts.list(open_only=True)) == 1


async def test_the_database_itself_allows_one_open_rollout(database_url: str) -> None:
    """A second open rollout of a flag violates a unique index, whoever writes it."""
    engine = create_engine(parsed(database_url))
    rows = [rollout_values(a_rollout(f"r{number}")) | {"number": number} for number in (1, 2)]
    try:
        with pytest.raises(IntegrityError):
            async with engine.begin() as connection:
                await connection.execute(insert(rollouts), rows)
        async with engine.begin() as connection:
            ended = [row | {"ended_at": NOW} for row in rows]
            await connection.execute(insert(rollouts), ended)
    finally:
        await engine.dispose()


async def test_an_apply_and_a_rollout_that_meet_do_not_both_win(database_url: str) -> None:
    """Either the flag changes before the rollout opens, at its new generation, or the change is refused."""
    async with AsyncExitStack() as stack:
        one, two = await _several(stack, database_url)
        await applied(one, a_flag())
        change, opened = await asyncio.gather(
            applied(one, a_flag(split={"new": 1, "old": 99})),
            two.rollouts.open(a_rollout()),
            return_exceptions=True,
        )
        assert not isinstance(opened, BaseException)
        assert opened.generation == (1 if isinstance(change, RolloutOpen) else 2)
        assert (await one.flags.get(FLAG)).traffic.generation == opened.generation


async def test_every_change_has_its_own_revision(database_url: str) -> None:
    """Changes from two engines at once never share or lose a revision."""
    async with AsyncExitStack() as stack:
        engines = await _several(stack, database_url)
        await asyncio.gather(*(applied(engines[i % 2], a_flag(f"f{i}")) for i in range(12)))
        assert await engines[0].flags.revision() == 12
        assert len((await engines[1].flags.published()).flags) == 12


async def test_duplicates_delivered_at_once_count_once(database_url: str) -> None:
    """One batch sent from several places at the same time, in different orders, is counted once and never deadlocks."""
    async with AsyncExitStack() as stack:
        engines = await _several(stack, database_url, 3)
        await applied(engines[0], a_flag())
        batch = [an_outcome(str(i), f"u{i % 7}", latency_ms=i) for i in range(100)]
        orders = [batch, batch[::-1], batch[50:] + batch[:50]] * 2
        receipts: list[Receipt] = await asyncio.gather(
            *(engines[i % 3].outcomes.record(order, NOW) for i, order in enumerate(orders))
        )
        assert sum(receipt.accepted for receipt in receipts) == 100
        assert sum(receipt.duplicates for receipt in receipts) == 500
        stats = (await engines[0].outcomes.stats(FLAG, 1, "response_time"))["old"]
        assert (stats.units, stats.samples, stats.total) == (7, 100, sum(range(100)))


async def test_large_batches_in_opposite_orders_do_not_deadlock(database_url: str) -> None:
    """The same thousands of outcomes from two places, back to front: each waits for the other, none fails."""
    async with AsyncExitStack() as stack:
        one, two = await _several(stack, database_url)
        await applied(one, a_flag())
        for turn in range(3):
            batch = [an_outcome(f"{turn}-{i}", f"u{i % 5}") for i in range(3_000)]
            receipts = await asyncio.gather(one.outcomes.record(batch, NOW), two.outcomes.record(batch[::-1], NOW))
            assert sorted(receipt.accepted for receipt in receipts) == [0, 3_000]


async def test_different_outcomes_of_the_same_units_at_once_all_count(database_url: str) -> None:
    """Batches that touch the same units at the same time add up."""
    async with AsyncExitStack() as stack:
        engines = await _several(stack, database_url, 3)
        await applied(engines[0], a_flag())
        batches = [[an_outcome(f"{b}-{i}", f"u{(i * 7 + b) % 10}") for i in range(40)] for b in range(12)]
        await asyncio.gather(*(engines[b % 3].outcomes.record(batch, NOW) for b, batch in enumerate(batches)))
        stats = (await engines[0].outcomes.stats(FLAG, 1, "success_rate"))["old"]
        assert (stats.units, stats.samples) == (10, 480)


async def test_processes_write_at_the_same_time_without_locking_each_other_out(database_url: str) -> None:
    """Two processes taking outcomes in and a third changing flags all succeed, and nothing is lost."""
    async with open_stores(database_url) as stores:
        await applied(stores, a_flag())
        writers = [_writer(database_url, name, 15) for name in ("one", "two")]
        try:
            for i in range(30):
                await applied(stores, a_flag("other", description=f"change {i}"))
                await stores.flags.published()
            codes = [await asyncio.to_thread(writer.wait) for writer in writers]
        finally:
            for writer in writers:
                writer.kill()
                writer.communicate()
        assert codes == [0, 0]
        stats = (await stores.outcomes.stats(FLAG, 1, "success_rate"))["old"]
        assert (stats.units, stats.samples) == (20, 600)
        assert await stores.flags.revision() == 31


async def test_acknowledged_outcomes_survive_kill_9(database_url: str) -> None:
    """Every batch that a process acknowledged before it was killed is there, counted once, whole batches only."""
    async with open_stores(database_url) as stores:
        await applied(stores, a_flag())
        writer = _writer(database_url, "w", 10_000)
        output = writer.stdout
        assert output is not None
        acknowledged = [int(await asyncio.to_thread(output.readline)) for _ in range(10)]
        writer.kill()
        acknowledged += map(int, writer.communicate()[0].split())
        again = [an_outcome(f"w-{batch}-{i}", f"u{i}") for batch in acknowledged for i in range(20)]
        assert (await stores.outcomes.record(again, NOW)).accepted == 0
        stats = (await stores.outcomes.stats(FLAG, 1, "success_rate"))["old"]
        assert stats.samples in (len(again), len(again) + 20)


async def test_a_cancelled_call_leaves_nothing_behind(database_url: str) -> None:
    """Cancelling writers in the middle neither keeps the database locked nor leaves half a batch."""
    async with AsyncExitStack() as stack:
        one, two = await _several(stack, database_url)
        await applied(one, a_flag())
        for step in range(12):
            batch = [an_outcome(f"{step}-{i}", f"u{i}") for i in range(50)]
            task = asyncio.ensure_future(one.outcomes.record(batch, NOW))
            for _ in range(step * 3):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await two.outcomes.record(batch, NOW)
        for metric in ("success_rate", "error_rate"):
            stats = (await two.outcomes.stats(FLAG, 1, metric))["old"]
            assert (stats.units, stats.samples) == (50, 600)


async def test_a_fenced_commit_does_not_disturb_the_winner(database_url: str) -> None:
    """After losing a race, the loser's engine still commits its next, properly numbered move."""
    async with AsyncExitStack() as stack:
        one, two = await _several(stack, database_url)
        await begun(one)
        await one.rollouts.commit(a_move(2, 3, 0.25))
        with pytest.raises(StaleGeneration):
            await two.rollouts.commit(a_move(3, 3, 0.75))
        await two.rollouts.commit(a_move(3, 4, 0.75))
        assert (await one.flags.get(FLAG)).traffic.weights == {"new": 75_000, "old": 25_000}
