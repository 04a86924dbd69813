"""A shadow through the real workflow: nobody is moved, whatever comes of it."""

from __future__ import annotations

from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import GRADUAL, bench_on
from tests.workflows.script import DAY, HOUR, Script, fails, guardrail
from turnout.domain.flags import Shadow
from turnout.domain.rollout import State

SPEC = GRADUAL | {"strategy": {"kind": "shadow", "duration": "24h", "sample": 20}}
PUBLISHED = Shadow(variant="lightrag", sample=20_000)


async def test_a_good_shadow_ends_as_it_began(skipping: WorkflowEnvironment) -> None:
    """Its gates pass after the hold; what was published is gone, and everybody is where everybody was."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start(SPEC)
        await rollout.ends(State.COMPLETED)
    started, returned, ended = bench.journal.decisions
    assert bench.journal.kinds == ["started", "returned", "ended"]
    assert (started.weights, started.shadow) == ({"lightrag": 0, "perplexity": 100_000}, PUBLISHED)
    assert (returned.weights, returned.shadow) == ({"lightrag": 0, "perplexity": 100_000}, None)
    assert returned.new_stable is None
    assert ended.at - started.at >= DAY


async def test_a_bad_shadow_ends_at_once(skipping: WorkflowEnvironment) -> None:
    """A guardrail that fails an hour in takes the candidate's work away then, a gate at the end of the hold."""
    for script, least, most in ((Script({0: [guardrail(HOUR)]}), HOUR, 2 * HOUR), (Script({0: [fails]}), DAY, 2 * DAY)):
        async with bench_on(skipping, script) as bench:
            rollout = await bench.start(SPEC)
            await rollout.ends(State.ROLLED_BACK)
        started, withdrawn, _ = bench.journal.decisions
        assert (withdrawn.kind, withdrawn.shadow, withdrawn.share) == ("withdrawn", None, 0)
        assert least <= withdrawn.at - started.at < most
