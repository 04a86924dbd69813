"""``python -m tests.replay.breakers``: record the life of a shared breaker, on a real server in real time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from activities.switchboard import StoreSwitchboard
from tests.integration.stores.builders import FLAG, a_flag
from tests.replay.histories import BREAKERS, write
from tests.replay.record import folder, server
from tests.workflows.fakes import MemoryHerald, MemoryJournal, MemoryRouting, ScriptedLookout
from tests.workflows.script import Script
from turnout.domain.breaking import BreakerPolicy, BreakerReport
from turnout.domain.outcomes import Outcome
from turnout.ports import Stores
from turnout.testing.stores import memory_stores
from workers.worker import build_worker
from workflows.messages import BREAKER_NAME, BreakerInput, BreakerSignal, CloseBreaker, breaker_id

POLICY = BreakerPolicy(recovery_timeout=timedelta(seconds=0.3), calm=timedelta(seconds=1), probes=2)


async def until(stores: Stores, circuit: str) -> None:
    """Wait until the breaker is published so."""
    while (await stores.flags.get(FLAG)).breakers["new"].circuit != circuit:
        await asyncio.sleep(0.02)


async def serve(stores: Stores, ok: bool) -> None:
    """Two probes are reported."""
    now = datetime.now(UTC)
    rows = [Outcome(id=uuid4().hex, flag=FLAG, variant="new", unit="u", ok=ok, at=now) for _ in range(2)]
    await stores.outcomes.record(rows, now)


async def live(env: WorkflowEnvironment, stores: Stores, queue: str) -> WorkflowHandle[Any, Any]:
    """Opens; a bad probe opens it again, good ones close it; it opens once more and a person closes it; then calm."""
    opens = BreakerSignal(report=BreakerReport(circuit="open", why="5 failures in a row"), policy=POLICY)
    handle: WorkflowHandle[Any, Any] = await env.client.start_workflow(
        BREAKER_NAME,
        BreakerInput(flag=FLAG, variant="new"),
        id=breaker_id(FLAG, "new"),
        task_queue=queue,
        start_signal="report",
        start_signal_args=[opens],
    )
    for ok, then in ((False, "open"), (True, "closed")):
        while not (await stores.flags.get(FLAG)).breakers:
            await asyncio.sleep(0.02)
        await until(stores, "half_open")
        await serve(stores, ok)
        await until(stores, then)
    await handle.signal("report", opens)
    await until(stores, "open")
    await handle.signal("close", CloseBreaker(actor="bob", reason="the provider is back"))
    await handle.result()
    return handle


async def main() -> None:
    """Record."""
    stores, queue = memory_stores(), uuid4().hex
    flag = a_flag(split={"new": 50, "old": 50}, notify=[{"stdout": True}])
    await stores.flags.apply([flag], "ann", datetime.now(UTC))
    async with server() as env:
        journal, lookout = MemoryJournal(), ScriptedLookout(Script(), [])
        board = StoreSwitchboard(stores)
        async with build_worker(
            env.client, journal, lookout, MemoryHerald(), MemoryRouting(), queue, switchboard=board
        ):
            handle = await live(env, stores, queue)
            write(BREAKERS / folder().name / "opened-and-closed.json", await handle.fetch_history())


if __name__ == "__main__":
    asyncio.run(main())
