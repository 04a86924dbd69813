"""``python -m tests.replay.record [LIFE...]``: record the histories of this version that are missing, or those named.

Histories of earlier versions are never touched: rollouts that were started by them may still be open.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import os
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from tests.replay.histories import FOLDER, NOTICES, write
from tests.replay.lives import LIVES, Life
from tests.workflows.conftest import Rollout
from workers.embedded import temporal_binary
from workers.temporal import register_search_attributes


def folder() -> Path:
    """Where the histories of this version are."""
    return FOLDER / importlib.metadata.version("turnout")


@asynccontextmanager
async def server() -> AsyncGenerator[WorkflowEnvironment]:
    """A real Temporal server, whose histories do not name the machine they were recorded on."""
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(temporal_binary()),
        data_converter=pydantic_data_converter,
        identity="recorder",
        dev_server_extra_args=["--dynamic-config-value", "history.transferProcessorMaxPollRPS=1000"],
    ) as env:
        await register_search_attributes(env.client)
        yield env


async def runs(client: Client, rollout: Rollout) -> list[WorkflowHistory]:
    """The histories of all runs of ``rollout``, the first one first."""
    histories, run_id = list[WorkflowHistory](), rollout.handle.first_execution_run_id
    while run_id:
        history = await client.get_workflow_handle(rollout.handle.id, run_id=run_id).fetch_history()
        histories.append(history)
        handed_over = history.events[-1].workflow_execution_continued_as_new_event_attributes
        run_id = handed_over.new_execution_run_id
    return histories


async def record(env: WorkflowEnvironment, life: Life, into: Path) -> list[Path]:
    """Live ``life`` and write its history, or one a run when it continued as new; returns what was written."""
    name = life.__name__.replace("_", "-")
    histories = await runs(env.client, await life(env))
    paths = [into / f"{name}{f'.{i}' if len(histories) > 1 else ''}.json" for i in range(1, len(histories) + 1)]
    for path, history in zip(paths, histories, strict=True):
        write(path, history)
    return [*paths, *await record_notice(env.client, life, into, histories[0])]


async def record_notice(client: Client, life: Life, into: Path, rollout: WorkflowHistory) -> list[Path]:
    """Write the history of the first notice of ``rollout``, if it has one."""
    begun = [event for event in rollout.events if event.HasField("child_workflow_execution_started_event_attributes")]
    if not begun:
        return []
    notice = begun[0].child_workflow_execution_started_event_attributes.workflow_execution
    history = await client.get_workflow_handle(notice.workflow_id).fetch_history()
    path = NOTICES / into.name / f"{life.__name__.replace('_', '-')}.json"
    write(path, history)
    return [path]


def wanted(names: Sequence[str], into: Path) -> list[Life]:
    """The lives that are named, or all that ``into`` has no history of."""
    known = {life.__name__.replace("_", "-"): life for life in LIVES}
    strangers = sorted(set(names) - set(known))
    if strangers:
        raise SystemExit(f"no such life: {', '.join(strangers)}; there are {', '.join(known)}")
    return [known[name] for name in names or known if names or not any(into.glob(f"{name}.*json"))]


async def main(names: Sequence[str]) -> None:
    """Record what is wanted, one life after the other."""
    lives = wanted(names, folder())
    if not lives:
        print(f"every life has a history in {folder()}; name those to record again")
        return
    async with server() as env:
        for life in lives:
            for path in await record(env, life, folder()):
                print(f"{path.relative_to(FOLDER.parents[2])}  {path.stat().st_size // 1024} KB")
    gc.collect()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
    sys.stdout.flush()
    os._exit(0)  # the SDK's threads can hang an interpreter that finalises
