"""Changing one cohort's share while the real workflow runs."""

from __future__ import annotations

from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import GRADUAL, bench_on
from tests.workflows.script import HOUR
from tests.workflows.test_commands import both, refused, send
from turnout.domain.adjusting import SHARE_OVERRIDE

COHORTS = GRADUAL | {
    "strategy": {
        "kind": "cohort",
        "cohorts": [
            {"name": "staff", "match": {"ids": ["ann"]}, "percentage": 50},
            {"name": "beta", "match": {"plan": "beta"}, "percentage": 20},
        ],
    }
}


@both
async def test_a_smaller_share_is_published_and_its_stage_is_held_anew(skipping: WorkflowEnvironment, how: str) -> None:
    """The clock begins again, what is watched is the new split, and the share goes on into later stages."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start(COHORTS)
        await rollout.sleep(20 * HOUR)
        await send(rollout, "adjust", how, reason="busy", adjustment={"part": "staff", "weight": 10_000})
        await bench.journal.recorded("adjusted")
        status = await rollout.sleep(20 * HOUR)
        assert (status.stage, status.share) == (0, 0.1)
        assert bench.lookout.requests[-1].stage.watched == {"lightrag": 10_000, "perplexity": 90_000}
        assert (await rollout.sleep(5 * HOUR)).stage == 1
        await rollout.result()
        published = [d for d in bench.journal.decisions if d.weights is not None]
        assert [d.kind for d in published] == ["started", "adjusted", "advanced", "settled"]
        assert [segment.weights["lightrag"] for segment in published[-1].segments] == [10_000, 20_000]
        assert published[-1].passed == {"staff": 10_000, "beta": 20_000}


async def test_more_than_gates_have_passed_is_refused_at_the_door(skipping: WorkflowEnvironment) -> None:
    """As an update, with what it would take; with that it is done, and recorded as an override."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start(COHORTS)
        await rollout.sleep(HOUR)
        more: dict[str, object] = {"adjustment": {"part": "beta", "weight": 5_000, "override": True}, "reason": "pilot"}
        assert SHARE_OVERRIDE in await refused(rollout, "adjust", **more)
        assert (await rollout.update("adjust", roles=(SHARE_OVERRIDE,), **more)).applied
        decision = await bench.journal.recorded("adjusted_by_override")
        assert {segment.name: segment.weights["lightrag"] for segment in decision.segments} == {
            "staff": 50_000,
            "beta": 5_000,
        }
        await rollout.update("abort")
        assert bench.journal.decisions[-2].segments == ()
