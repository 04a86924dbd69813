"""Recorded histories: where they are, how they are written and read, how they are replayed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, WorkflowReplayResult

from workers.worker import WORKFLOWS, sandbox

FOLDER = Path(__file__).parent / "histories"
NOTICES = Path(__file__).parent / "notices"
BREAKERS = Path(__file__).parent / "breakers"

_STACK_TRACE = re.compile(r'"stackTrace":"(?:[^"\\]|\\.)*"')


def all_paths() -> list[Path]:
    """Every recorded history, of every version."""
    return sorted(FOLDER.rglob("*.json"))


def write(path: Path, history: WorkflowHistory) -> None:
    """Write ``history``, one event a line; only stack traces are left out."""
    # Stack traces hold the paths of one machine, and replay does not read them.
    written = (json.dumps(event, separators=(",", ":")) for event in history.to_json_dict()["events"])
    events = ",\n".join(_STACK_TRACE.sub('"stackTrace":""', event) for event in written)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{{"events":[\n{events}\n]}}\n')


def read(path: Path) -> WorkflowHistory:
    """The history at ``path``."""
    return WorkflowHistory.from_json("rollout:answer-engine", path.read_text())


def request_of(history: WorkflowHistory) -> dict[str, Any]:
    """What the recorded run was started with."""
    started = history.events[0].workflow_execution_started_event_attributes
    return dict(json.loads(started.input.payloads[0].data))


def event_types(history: WorkflowHistory) -> list[str]:
    """The names of the history's events, such as ``ACTIVITY_TASK_SCHEDULED``, in order."""
    return [str(event["eventType"]).removeprefix("EVENT_TYPE_") for event in history.to_json_dict()["events"]]


async def replay(history: WorkflowHistory, workflow: type | None = None) -> WorkflowReplayResult:
    """Replay with the production's sandbox and payloads, by ``workflow`` or by the present code.

    Raises:
        temporalio.workflow.NondeterminismError: the code orders other commands than are recorded.
    """
    workflows = WORKFLOWS if workflow is None else (workflow,)
    replayer = Replayer(workflows=workflows, workflow_runner=sandbox(), data_converter=pydantic_data_converter)
    return await replayer.replay_workflow(history)
