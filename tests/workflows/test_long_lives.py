"""Rollouts that outlive the history of one workflow run."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import GRADUAL, Bench, Rollout, bench_on
from tests.workflows.script import DAY, HOUR, Script, fails, guardrail, passes, quiet
from turnout.domain.rollout import State

LEAST = 50
"""The smallest history limit: a run that long hands over to the next."""


async def run_of(rollout: Rollout) -> str:
    """The id of the present run."""
    return (await rollout.handle.describe()).run_id or ""


async def test_a_rollout_goes_on_in_a_new_run(skipping: WorkflowEnvironment) -> None:
    """Stages are neither skipped nor repeated, and failures stay counted, across as many runs as it takes."""
    script = Script({2: [fails, passes], 4: [fails, fails, passes]})
    strategy = {"kind": "gradual", "stages": [1, 5, 25, 50, 75, 100], "stage_duration": "24h"}
    async with bench_on(skipping, script) as bench:
        rollout = await bench.start(GRADUAL | {"strategy": strategy}, history_limit=LEAST)
        first = await run_of(rollout)
        await rollout.ends(State.COMPLETED)
        assert await run_of(rollout) != first
    assert bench.journal.shares == [
        *(0.01, 0.05, 0.25, 0.05, 0.25, 0.5, 0.75, 0.5, 0.75, 0.5, 0.75, 1.0),
        1.0,
    ]
    assert {d.rollout_id for d in bench.journal.decisions} == {first}
    assert [d.seq for d in bench.journal.decisions] == list(range(1, 15))


async def test_a_new_run_keeps_the_clock(skipping: WorkflowEnvironment) -> None:
    """Handing over in the middle of a stage costs it none of the time it has counted, and gives it none."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start(history_limit=LEAST)
        first = await run_of(rollout)
        for number in range(10):
            await rollout.sleep(2 * HOUR)
            await rollout.signal("resume", id=f"refused {number}")
        assert (await rollout.sleep(3 * HOUR)).stage == 0
        assert await run_of(rollout) != first
        assert (await rollout.sleep(2 * HOUR)).stage == 1
    assert bench.journal.kinds == ["started", *["refused"] * 10, "advanced"]


@pytest.mark.parametrize("before", range(6))
async def test_a_stage_entered_by_hand_is_held_in_full(skipping: WorkflowEnvironment, before: int) -> None:
    """However the history falls, what the stage before has counted is not taken for time in the next one."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start(history_limit=LEAST)
        await rollout.sleep(10 * HOUR)
        for number in range(before):
            await rollout.signal("resume", id=f"refused {number}")
            await bench.journal.recorded("refused", number + 1)
            await rollout.calm()
        await rollout.update("promote")
        assert (await rollout.sleep(23 * HOUR)).stage == 1
        assert (await rollout.sleep(2 * HOUR)).stage == 2


async def test_a_pause_survives_a_new_run(skipping: WorkflowEnvironment) -> None:
    """What a pause goes back to, who asked for it, and which ids were acted on are carried over."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start(history_limit=LEAST)
        await rollout.sleep(10 * HOUR)
        await rollout.update("pause", id="p1", reason="lunch")
        for number in range(10):
            await rollout.signal("approve", id=f"refused {number}")
        status = await rollout.sleep(3 * DAY)
        assert status.state is State.PAUSED
        assert status.pause is not None
        assert status.pause.by == "bob"
        await rollout.signal("pause", id="p1")
        assert (await rollout.update("pause", id="p1")).text == "acted on before"
        await rollout.update("resume")
        assert (await rollout.sleep(13 * HOUR)).stage == 0
        assert (await rollout.sleep(2 * HOUR)).stage == 1


@pytest.mark.parametrize("limit", range(LEAST, LEAST + 24, 2))
async def test_the_run_that_withdraws_confirms(skipping: WorkflowEnvironment, limit: int) -> None:
    """However the history falls, the revision that takes everybody back is the one that is confirmed."""
    async with bench_on(skipping, Script({3: [guardrail()]})) as bench:
        rollout = await bench.start(history_limit=limit)
        await rollout.ends(State.ROLLED_BACK)
    assert bench.journal.log[-3:] == [("publish", 5), ("confirm", 5), ("ended", 6)]


async def _ask(rollout: Rollout, kind: str, number: int) -> str | None:
    """Send one command with its number as id, twice by signal or once as an update; the id if it must be recorded."""
    name = f"{kind} {number}"
    if number % 3 == 0:
        await rollout.signal(kind, id=name)
        await rollout.signal(kind, id=name)
        return name
    try:
        result = await rollout.update(kind, id=name)
    except WorkflowUpdateFailedError:
        return None
    assert result.id == name
    return name


async def test_no_command_is_lost_or_doubled(skipping: WorkflowEnvironment) -> None:
    """Of a stream of signals and updates across many runs, each is acted on, or refused, exactly once."""
    async with bench_on(skipping, Script({0: [quiet]})) as bench:
        rollout = await bench.start(history_limit=LEAST)
        await rollout.idle()
        first, recorded = await run_of(rollout), list[str | None]()
        for burst in range(20):
            kinds = ("pause", "resume", "approve", "resume", "pause", "resume", "approve", "pause", "resume", "resume")
            asked = [_ask(rollout, kind, 10 * burst + i) for i, kind in enumerate(kinds)]
            recorded += await asyncio.gather(*asked)
        await rollout.idle()
        assert await run_of(rollout) != first
        await rollout.update("abort")
        assert (await rollout.ended()).state is State.ABORTED
    acted = Counter(d.command_id for d in bench.journal.decisions if d.command_id)
    due = {name for name in recorded if name is not None}
    assert len(due) >= 100
    assert {name for name in acted if name in due} == due
    assert max(acted.values()) == 1
    assert_toggles(bench)


def assert_toggles(bench: Bench) -> None:
    """Nothing is paused twice without having been resumed, nor resumed without having been paused."""
    toggles = [kind for kind in bench.journal.kinds if kind in ("paused", "resumed")]
    assert all(kind == ("paused", "resumed")[i % 2] for i, kind in enumerate(toggles))
    assert toggles.count("paused") > 10
    assert bench.journal.shares == [0.05, 0.0]
