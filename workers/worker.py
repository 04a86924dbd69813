"""The worker: which workflows and activities it runs, and how it is tuned."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from workflows.messages import TASK_QUEUE
from workflows.notifying import NotifyWorkflow
from workflows.ports import Herald, Journal, Lookout, Routing
from workflows.rollout import RolloutWorkflow

WORKFLOWS = (RolloutWorkflow, NotifyWorkflow)
MOST_ROLLOUTS = 2000
MOST_NOTICES = 500

# Pydantic and the library are pure as far as workflows use them; loading them again for every workflow costs
# three times the CPU of a workflow task.
_PASSED_THROUGH = ("turnout", "pydantic", "pydantic_core", "annotated_types", "typing_inspection")


def sandbox() -> SandboxedWorkflowRunner:
    """The sandbox every rollout runs in, in production and in tests alike."""
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*_PASSED_THROUGH)
    return SandboxedWorkflowRunner(restrictions=restrictions)


def build_worker(
    client: Client, journal: Journal, lookout: Lookout, herald: Herald, routing: Routing, task_queue: str = TASK_QUEUE
) -> Worker:
    """A worker for rollouts whose effects are ``journal``'s, ``lookout``'s, ``herald``'s and ``routing``'s."""
    return Worker(
        client,
        task_queue=task_queue,
        workflows=WORKFLOWS,
        activities=[
            journal.open,
            journal.commit,
            journal.confirm,
            lookout.watch,
            lookout.calendar,
            herald.send,
            routing.route,
        ],
        workflow_runner=sandbox(),
        max_cached_workflows=MOST_ROLLOUTS,
        # Every open rollout occupies one slot with its watch, and a channel that hangs one for each attempt.
        max_concurrent_activities=MOST_ROLLOUTS + MOST_NOTICES + 100,
        # A killed worker's workflow tasks wait this long before another worker gets them.
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
        # A pause or an abort reaches a running watch with its next heartbeat.
        max_heartbeat_throttle_interval=timedelta(seconds=2),
        default_heartbeat_throttle_interval=timedelta(seconds=2),
        graceful_shutdown_timeout=timedelta(seconds=2),
    )
