"""Rollouts with a router: the real workflow on virtual time, over a router in memory."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import BLUE_GREEN, Bench, Rollout, bench_on
from tests.workflows.script import Script, blocked, guardrail, quiet, recovered
from turnout.domain.errors import InvalidInput, Problem, Unavailable
from turnout.domain.rollout import ZERO, State
from turnout.domain.splits import Preview
from turnout.domain.verdicts import Verdict

AWAY = Unavailable("no answer at /run/haproxy.sock")


async def in_the_switch(bench: Bench) -> Rollout:
    """A rollout that somebody has promoted to its first step, 50 %."""
    rollout = await bench.start(BLUE_GREEN)
    await bench.journal.recorded("started")
    for _ in range(2):
        await rollout.calm()
        await rollout.update("promote")
    await rollout.calm()
    return rollout


async def test_the_router_gets_the_traffic_of_every_decision(skipping: WorkflowEnvironment) -> None:
    """It follows every change, under the generation that was published; the preview stays until the bake ends."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start(BLUE_GREEN)
        await rollout.ends(State.COMPLETED)
    router = bench.routing.router
    published = [d for d in bench.journal.decisions if d.weights is not None]
    assert bench.routing.log == bench.journal.shares == [0, 0, 0.5, 1, 1]
    assert [split.generation for split in router.applied] == [d.generation for d in published]
    preview = Preview(variant="green", header="x-preview", value="green")
    assert [split.preview for split in router.applied] == [None, preview, preview, preview, None]
    assert bench.journal.decisions[-1].text.endswith("; the router does as planned")


async def test_a_failed_guardrail_takes_the_router_back(skipping: WorkflowEnvironment) -> None:
    """The withdrawal reaches the router before the end is reported, and ends the preview."""
    async with bench_on(skipping, Script({3: [guardrail()]})) as bench:
        rollout = await bench.start(BLUE_GREEN)
        await rollout.ends(State.ROLLED_BACK)
    assert bench.routing.log == [0, 0, 0.5, 1, 0]
    assert bench.routing.router.state.shares == {"blue": 100_000, "green": 0}
    assert bench.routing.router.state.preview is None


async def test_a_move_that_the_router_does_not_take_holds_the_stage(skipping: WorkflowEnvironment) -> None:
    """The stage waits as for a source, the watch says when it goes on, and commands are heard meanwhile."""
    async with bench_on(skipping, Script({0: [recovered(ZERO), blocked(Verdict.SOURCE_ERROR, ZERO), quiet]})) as bench:
        bench.routing.router.failure = AWAY
        rollout = await bench.start(BLUE_GREEN)
        held = await bench.journal.recorded("held")
        assert "the router has not taken the change, which is tried again: no answer at /run/haproxy.sock" in held.text
        assert (held.state, held.verdict, held.stage) == (State.HOLDING, Verdict.SOURCE_ERROR, 0)
        await bench.journal.recorded("held", 2)
        bench.routing.router.failure = None
        result = await rollout.update("abort", reason="not today")
        assert result.state is State.ABORTED
    assert bench.lookout.requests[0].blocked is Verdict.SOURCE_ERROR
    assert bench.journal.kinds == ["started", "held", "recovered", "held", "withdrawn", "ended"]


@pytest.mark.parametrize("failure", [AWAY, InvalidInput([Problem("router.backend", "is no backend of HAProxy")])])
async def test_an_end_is_reported_only_once_the_router_has_it(
    skipping: WorkflowEnvironment, failure: Exception
) -> None:
    """A withdrawal is tried for as long as it takes, whether the router is away or refuses; it is told, and nothing
    ends before."""
    async with bench_on(skipping, Script({0: [quiet], 1: [quiet], 2: [quiet]})) as bench:
        rollout = await in_the_switch(bench)
        bench.routing.router.failure = failure
        asking = asyncio.create_task(rollout.update("rollback", reason="complaints"))
        await bench.journal.recorded("held")
        bench.routing.refused.clear()
        await asyncio.wait_for(bench.routing.refused.wait(), 20)
        assert "ended" not in bench.journal.kinds
        assert bench.routing.router.state.shares["green"] == 50_000
        bench.routing.router.failure = None
        assert (await asking).state is State.ROLLED_BACK
    assert bench.journal.kinds[-3:] == ["withdrawn", "held", "ended"]
    assert bench.routing.router.state.shares == {"blue": 100_000, "green": 0}


async def test_a_router_that_follows_another_rollout_is_left_alone(skipping: WorkflowEnvironment) -> None:
    """Whoever has the router under a newer generation keeps it; the end says so, and comes."""
    async with bench_on(skipping, Script({0: [quiet], 1: [quiet], 2: [quiet]})) as bench:
        rollout = await in_the_switch(bench)
        taken = {"rollout_id": "another", "generation": 1000, "shares": {"blue": 30_000, "green": 70_000}}
        bench.routing.router.state = bench.routing.router.state.model_copy(update=taken)
        assert (await rollout.update("rollback")).state is State.ROLLED_BACK
    assert bench.routing.router.state.shares["green"] == 70_000
    assert "follows another rollout by now" in bench.journal.decisions[-1].text
