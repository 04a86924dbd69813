"""The rollout workflow on virtual time, over a journal and a lookout in memory."""

from __future__ import annotations

from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import stage_on
from turnout.domain.rollout import State


async def test_a_good_candidate_goes_through_every_stage(skipping: WorkflowEnvironment) -> None:
    """Each stage is entered in order, nothing is skipped, and the candidate becomes stable at the end."""
    async with stage_on(skipping.client) as stage:
        handle = await stage.start()
        result = await handle.result()
    assert result.state is State.COMPLETED
    assert stage.journal.kinds == ["started", "advanced", "advanced", "advanced", "adopted", "ended"]
    assert stage.journal.shares == [0.05, 0.25, 0.5, 1.0, 1.0]
