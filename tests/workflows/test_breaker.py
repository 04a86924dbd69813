"""The life of a shared breaker, on virtual time, over real stores in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.switchboard import StoreSwitchboard
from tests.integration.stores.builders import FLAG, a_flag, a_plan, a_rollout
from turnout.domain.breaking import BreakerPolicy, BreakerReport, SharedBreaker
from turnout.domain.outcomes import Outcome
from turnout.ports import Stores
from turnout.testing.stores import memory_stores
from workers.worker import sandbox
from workflows.breaker import BreakerWorkflow
from workflows.messages import (
    BREAKER_NAME,
    BreakerInput,
    BreakerSignal,
    CloseBreaker,
    CommandRequest,
    breaker_id,
    workflow_id,
)

POLICY = BreakerPolicy(recovery_timeout=timedelta(seconds=30), probe_share=10, probes=2, calm=timedelta(minutes=5))


@workflow.defn(name="Listening")
class Listening:
    """Stands for a rollout: remembers what it was told, and ends with it."""

    def __init__(self) -> None:
        self._heard: list[str] = []

    @workflow.run
    async def run(self) -> list[str]:
        """Until it has heard something."""
        await workflow.wait_condition(lambda: bool(self._heard))
        return self._heard

    @workflow.signal(name="pause")
    def pause(self, request: CommandRequest) -> None:
        """As a rollout's."""
        self._heard.append(f"pause by {request.actor}: {request.reason}")

    @workflow.signal(name="rollback")
    def rollback(self, request: CommandRequest) -> None:
        """As a rollout's."""
        self._heard.append(f"rollback by {request.actor}: {request.reason}")


@dataclass
class Shared:
    """A running breaker and the stores it publishes to."""

    env: WorkflowEnvironment
    stores: Stores
    queue: str
    handle: WorkflowHandle[Any, Any]

    async def report(self, circuit: str, why: str = "5 failures in a row") -> None:
        """A process reports."""
        report = BreakerReport.model_validate({"circuit": circuit, "why": why, "reporter": "api-1"})
        await self.handle.signal("report", BreakerSignal(report=report, policy=POLICY))

    async def published(self, circuit: str) -> SharedBreaker:
        """The breaker once it is published so."""
        async with asyncio.timeout(20):
            while True:
                known = (await self.stores.flags.get(FLAG)).breakers.get("new")
                if known is not None and known.circuit == circuit:
                    return known
                await asyncio.sleep(0.01)

    async def probes(self) -> SharedBreaker:
        """Let the recovery time pass."""
        opened = await self.published("open")
        assert opened.until is not None
        await self.env.sleep(opened.until - opened.at)
        return await self.published("half_open")

    async def serve(self, *ok: bool) -> None:
        """Requests served with the variant are reported as so many outcomes."""
        now = await self.env.get_current_time()
        outcomes = [Outcome(id=uuid4().hex, flag=FLAG, variant="new", unit="u", ok=one, at=now) for one in ok]
        await self.stores.outcomes.record(outcomes, now)


@pytest.fixture
async def shared(skipping: WorkflowEnvironment) -> AsyncGenerator[Shared]:
    """The breaker of a variant that half of the users have, opened by a first report."""
    stores, queue = memory_stores(), uuid4().hex
    await stores.flags.apply([a_flag(split={"new": 50, "old": 50})], "ann", await skipping.get_current_time())
    board = StoreSwitchboard(stores)
    async with Worker(
        skipping.client,
        task_queue=queue,
        workflows=[BreakerWorkflow, Listening],
        activities=[board.switch, board.watch],
        workflow_runner=sandbox(),
    ):
        report = BreakerReport(circuit="open", why="5 failures in a row", reporter="api-1")
        handle: WorkflowHandle[Any, Any] = await skipping.client.start_workflow(
            BREAKER_NAME,
            BreakerInput(flag=FLAG, variant="new"),
            id=breaker_id(FLAG, "new"),
            task_queue=queue,
            result_type=SharedBreaker,
            start_signal="report",
            start_signal_args=[BreakerSignal(report=report, policy=POLICY)],
        )
        yield Shared(skipping, stores, queue, handle)


async def test_good_probes_close_it_and_calm_ends_it(shared: Shared) -> None:
    """Blocked for the recovery time, then a tenth probes; outcomes of probes that go well close it."""
    opened = await shared.published("open")
    assert (await shared.stores.flags.get(FLAG)).published.blocked == {"new": 0}
    assert (opened.why, opened.actor, opened.trips) == ("5 failures in a row", "api-1", 1)
    probing = await shared.probes()
    assert probing.at - opened.at >= POLICY.recovery_timeout
    assert (await shared.stores.flags.get(FLAG)).published.blocked == {"new": 10_000}
    await shared.serve(True, True)
    closed = await shared.published("closed")
    assert closed.why == "2 probes went well"
    assert (await shared.stores.flags.get(FLAG)).published.blocked == {}
    last: SharedBreaker = await shared.handle.result()
    assert last == closed


async def test_a_bad_probe_opens_it_again_for_twice_as_long(shared: Shared) -> None:
    """Also after it had closed, as long as it was not calm: one that flaps comes to rest."""
    lengths: list[timedelta] = []
    for turn in range(3):
        await shared.probes()
        opened = await shared.published("half_open")
        await shared.serve(True, False) if turn < 2 else await shared.report("closed", "the probes went well")
        state = await shared.published("open" if turn < 2 else "closed")
        if state.until is not None:
            lengths.append(state.until - state.at)
            assert state.why == "1 of 2 probes failed"
        assert state.newer(opened)
    await shared.report("open")
    again = await shared.published("open")
    assert again.until is not None
    assert [*lengths, again.until - again.at] == [timedelta(seconds=60), timedelta(seconds=120), timedelta(seconds=240)]


async def test_a_person_closes_it_at_once(shared: Shared) -> None:
    """With a name and a reason in the log; more reports of an open breaker change nothing before."""
    opened = await shared.published("open")
    for _ in range(3):
        await shared.report("open", "again")
    await shared.handle.signal("close", CloseBreaker(actor="bob", reason="the provider is back"))
    closed = await shared.published("closed")
    assert (closed.actor, closed.why, closed.seq) == ("bob", "the provider is back", opened.seq + 1)


@pytest.mark.parametrize("word", ["rollback", "pause"])
async def test_a_running_rollout_is_told(shared: Shared, word: str) -> None:
    """It pauses or rolls back, as its spec says."""
    await shared.published("open")
    plan = a_plan().model_copy(update={"on_breaker": word})
    await shared.stores.rollouts.open(a_rollout(plan=plan))
    rollout: WorkflowHandle[Any, Any] = await shared.env.client.start_workflow(
        "Listening", id=workflow_id(FLAG), task_queue=shared.queue
    )
    await shared.handle.signal("close", CloseBreaker(actor="bob"))
    await shared.published("closed")
    await shared.report("open", "the mean quality is low")
    heard: list[str] = await rollout.result()
    assert heard == [f"{word} by breaker: the breaker of new opened: the mean quality is low"]


async def test_it_ends_when_its_flag_is_gone(shared: Shared) -> None:
    """There is nothing left to block."""
    await shared.published("open")
    await shared.stores.flags.delete(FLAG, "ann", await shared.env.get_current_time())
    last: SharedBreaker = await shared.handle.result()
    assert last.circuit == "open"
