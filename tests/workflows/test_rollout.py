"""How rollouts go through their stages: the real workflow on virtual time, over a journal and a lookout in memory."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import GRADUAL, bench_on, canary
from tests.workflows.script import DAY, HOUR, Script, blocked, fails, guardrail, overdue, passes, quiet, recovered
from turnout.domain.rollout import State
from turnout.domain.verdicts import Verdict


async def test_a_good_candidate_goes_through_every_stage(skipping: WorkflowEnvironment) -> None:
    """Each stage of a gradual is entered in order, none is skipped, and the candidate becomes stable at the end."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start()
        await rollout.ends(State.COMPLETED)
    assert bench.journal.kinds == ["started", "advanced", "advanced", "advanced", "adopted", "ended"]
    assert bench.journal.shares == [0.05, 0.25, 0.5, 1.0, 1.0]
    assert bench.journal.decisions[-2].new_stable == "lightrag"
    started, *_, adopted, _ = bench.journal.decisions
    assert adopted.at - started.at >= 4 * DAY


async def test_a_canary_takes_a_small_share_then_a_large_one(skipping: WorkflowEnvironment) -> None:
    """A canary's default plan is 5 %, 50 %, everybody."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start(canary())
        await rollout.ends(State.COMPLETED)
    assert bench.journal.shares == [0.05, 0.5, 1.0, 1.0]


async def test_thirty_days_pass_in_moments(skipping: WorkflowEnvironment) -> None:
    """A rollout of thirty stages of a day each takes thirty virtual days, whatever they take in real time."""
    strategy = {"kind": "gradual", "stages": [*range(3, 90, 3), 100], "stage_duration": "24h"}
    async with bench_on(skipping) as bench:
        rollout = await bench.start(GRADUAL | {"strategy": strategy})
        await rollout.ends(State.COMPLETED)
    taken = bench.journal.decisions[-1].at - bench.journal.decisions[0].at
    assert 30 * DAY <= taken < 30 * DAY + HOUR
    assert bench.journal.kinds.count("advanced") == 29


async def test_a_failed_gate_goes_back_one_stage_and_repeats_it(skipping: WorkflowEnvironment) -> None:
    """A gradual falls back to the stage before, holds that one again in full, and goes on from there."""
    async with bench_on(skipping, Script({2: [fails, passes]})) as bench:
        rollout = await bench.start()
        await rollout.ends(State.COMPLETED)
    assert bench.journal.shares == [0.05, 0.25, 0.5, 0.25, 0.5, 1.0, 1.0]
    back = bench.journal.kinds.index("moved_back")
    assert bench.journal.decisions[back + 1].at - bench.journal.decisions[back].at >= DAY
    assert "failure 1 of 3 at 50 %" in bench.journal.decisions[back].text


async def test_failing_as_often_as_allowed_rolls_back(skipping: WorkflowEnvironment) -> None:
    """The last allowed failure of a stage withdraws the candidate instead of going back once more."""
    async with bench_on(skipping, Script({2: [fails]})) as bench:
        rollout = await bench.start(GRADUAL | {"max_attempts": 2})
        await rollout.ends(State.ROLLED_BACK)
    assert bench.journal.shares == [0.05, 0.25, 0.5, 0.25, 0.5, 0.0]
    assert bench.journal.decisions[-1].share == 0


async def test_passing_a_stage_again_is_no_failure_of_it(skipping: WorkflowEnvironment) -> None:
    """Only failures of a stage itself use up its attempts, not returning to it from a later one."""
    async with bench_on(skipping, Script({1: [passes, fails, passes], 2: [fails, passes]})) as bench:
        rollout = await bench.start(GRADUAL | {"max_attempts": 2})
        await rollout.ends(State.COMPLETED)
    assert bench.journal.kinds.count("moved_back") == 2


async def test_failing_the_first_stage_rolls_back(skipping: WorkflowEnvironment) -> None:
    """There is no stage before the first."""
    async with bench_on(skipping, Script({0: [fails]})) as bench:
        rollout = await bench.start()
        await rollout.ends(State.ROLLED_BACK)
    assert bench.journal.kinds == ["started", "withdrawn", "ended"]
    assert bench.journal.shares == [0.05, 0.0]


async def test_a_canary_rolls_back_whole(skipping: WorkflowEnvironment) -> None:
    """A failed gate takes a canary back to nobody, not back a stage."""
    async with bench_on(skipping, Script({1: [fails]})) as bench:
        rollout = await bench.start(canary())
        await rollout.ends(State.ROLLED_BACK)
    assert bench.journal.shares == [0.05, 0.5, 0.0]


async def test_a_failed_guardrail_rolls_back_at_once(skipping: WorkflowEnvironment) -> None:
    """The candidate is withdrawn when the guardrail fails, long before the hold is over."""
    async with bench_on(skipping, Script({1: [guardrail(2 * HOUR)]})) as bench:
        rollout = await bench.start()
        await rollout.ends(State.ROLLED_BACK)
    assert bench.journal.shares == [0.05, 0.25, 0.0]
    advanced, withdrawn = bench.journal.decisions[1:3]
    assert withdrawn.at - advanced.at < 3 * HOUR
    assert (withdrawn.verdict, withdrawn.evidence) == (Verdict.FAIL, "e1")


async def test_without_auto_rollback_bad_evidence_pauses(skipping: WorkflowEnvironment) -> None:
    """A failed gate of a canary with auto_rollback off leaves traffic where it is and pauses."""
    async with bench_on(skipping, Script({1: [fails]})) as bench:
        rollout = await bench.start(canary(auto_rollback=False))
        await rollout.sleep(3 * DAY)
        status = await rollout.status()
        assert (status.state, status.share) == (State.PAUSED, 0.5)
        await rollout.update("abort")
        assert (await rollout.ended()).state is State.ABORTED


async def test_without_auto_rollback_a_failed_guardrail_pauses(skipping: WorkflowEnvironment) -> None:
    """auto_rollback off speaks for guardrails too, unless one says on_fail: rollback itself."""
    script = Script({0: [guardrail(HOUR, "pause")]})
    async with bench_on(skipping, script) as bench:
        rollout = await bench.start(canary(auto_rollback=False))
        assert (await rollout.sleep(2 * HOUR)).state is State.PAUSED
        assert bench.lookout.requests[0].stage.guardrails[0].on_fail == "pause"
        assert [gate.on_fail for gate in bench.lookout.requests[-1].stage.guardrails] == ["hold"]


async def test_without_auto_promote_each_stage_waits_for_promote(skipping: WorkflowEnvironment) -> None:
    """After the gates have passed a manual canary stands until somebody promotes it."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start(canary(auto_promote=False))
        status = await rollout.sleep(5 * DAY)
        assert (status.state, status.stage) == (State.AWAITING_APPROVAL, 0)
        await rollout.update("promote", reason="looks good")
        status = await rollout.sleep(5 * DAY)
        assert (status.state, status.stage) == (State.AWAITING_APPROVAL, 1)
        await rollout.update("promote")
        await rollout.ends(State.COMPLETED)
    assert bench.journal.kinds == [
        "started",
        *("awaiting_approval", "advanced") * 2,
        "adopted",
        "ended",
    ]
    promoted = bench.journal.decisions[2]
    assert (promoted.actor, promoted.reason, promoted.command_id is not None) == ("bob", "looks good", True)


@pytest.mark.parametrize("verdict", [Verdict.NO_DATA, Verdict.INCONCLUSIVE, Verdict.SOURCE_ERROR])
async def test_undecided_holds_until_decided(skipping: WorkflowEnvironment, verdict: Verdict) -> None:
    """A stage that cannot be decided holds its traffic; once the gates pass it goes on as if nothing had been."""
    async with bench_on(skipping, Script({1: [blocked(verdict), passes]})) as bench:
        rollout = await bench.start()
        await rollout.ends(State.COMPLETED)
    held = bench.journal.decisions[2]
    assert (held.kind, held.state, held.verdict, held.share) == ("held", State.HOLDING, verdict, 0.25)
    assert bench.journal.shares == [0.05, 0.25, 0.5, 1.0, 1.0]


async def test_a_source_that_answers_again_resumes_the_hold(skipping: WorkflowEnvironment) -> None:
    """The time without a source does not count: the stage takes its hold and the outage."""
    outage = [blocked(Verdict.SOURCE_ERROR, 5 * HOUR), recovered(7 * HOUR), passes]
    async with bench_on(skipping, Script({1: outage})) as bench:
        rollout = await bench.start()
        status = await rollout.sleep(DAY + 6 * HOUR)
        assert (status.state, status.blocked, status.counted) == (State.HOLDING, Verdict.SOURCE_ERROR, 5 * HOUR)
        assert (await rollout.sleep(7 * HOUR)).state is State.RUNNING
        await rollout.ends(State.COMPLETED)
    entered, _, _, left = bench.journal.decisions[1:5]
    assert left.at - entered.at >= DAY + 7 * HOUR


@pytest.mark.parametrize(
    ("verdict", "field"),
    [
        (Verdict.NO_DATA, "on_no_data"),
        (Verdict.INCONCLUSIVE, "on_inconclusive"),
        (Verdict.SOURCE_ERROR, "on_source_error"),
    ],
)
@pytest.mark.parametrize("recourse", ["pause", "rollback"])
async def test_the_deadline_pauses_or_rolls_back_as_the_spec_says(
    skipping: WorkflowEnvironment, verdict: Verdict, field: str, recourse: str
) -> None:
    """Overdue pauses unless the spec asks for a rollback for exactly this verdict."""
    spec = GRADUAL | {"deadline": "6h"} | ({field: "rollback"} if recourse == "rollback" else {})
    async with bench_on(skipping, Script({0: [blocked(verdict), overdue(verdict)]})) as bench:
        rollout = await bench.start(spec)
        status = await rollout.sleep(DAY + 5 * HOUR)
        assert status.state is State.HOLDING
        status = await rollout.sleep(2 * HOUR)
        if recourse == "pause":
            assert (status.state, status.share) == (State.PAUSED, 0.05)
            assert "undecided for 6h, the deadline is 6h" in bench.journal.decisions[-1].text
        else:
            assert (await rollout.ended()).state is State.ROLLED_BACK
            assert bench.journal.shares == [0.05, 0.0]


async def test_resuming_after_the_deadline_begins_a_new_one(skipping: WorkflowEnvironment) -> None:
    """Going on after an overdue pause waits as long again, on the clock of the stage as it was."""
    verdict = Verdict.NO_DATA
    script = Script({0: [blocked(verdict), overdue(verdict), blocked(verdict), overdue(verdict)]})
    async with bench_on(skipping, script) as bench:
        rollout = await bench.start(GRADUAL | {"deadline": "6h"})
        await rollout.sleep(2 * DAY)
        await rollout.update("resume")
        assert (await rollout.sleep(5 * HOUR)).state is State.HOLDING
        assert (await rollout.sleep(2 * HOUR)).state is State.PAUSED
        resumed = bench.lookout.requests[-3]
    assert (resumed.clock.counted, resumed.clock.waited) == (DAY, timedelta())


async def test_the_resolvers_have_the_end_before_it_is_reported(skipping: WorkflowEnvironment) -> None:
    """Every end waits for the delivery of the last traffic change; only then it is recorded."""
    async with bench_on(skipping, Script({0: [guardrail()]})) as bench:
        rollout = await bench.start()
        await rollout.ends(State.ROLLED_BACK)
    assert bench.journal.log == [("publish", 1), ("publish", 2), ("confirm", 2), ("ended", 3)]


async def test_a_bad_spec_fails_the_workflow_with_its_code(skipping: WorkflowEnvironment) -> None:
    """Nothing was published, so the workflow just fails, and says why."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start(GRADUAL | {"candidate": "perplexity"})
        with pytest.raises(WorkflowFailureError) as failure:
            await rollout.result()
    cause = failure.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == "invalid_input"
    assert "serves all users already" in cause.message
    assert bench.journal.log == []


async def test_a_rollout_that_lost_its_flag_fails(skipping: WorkflowEnvironment) -> None:
    """When somebody else has published a newer generation, the rollout moves nothing any more and ends as failed."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start()
        await rollout.idle()
        bench.journal.generation += 5
        result = await rollout.result()
    assert result.state is State.FAILED
    assert "generation is stale" in result.text
    assert bench.journal.kinds == ["started", "ended"]


async def test_a_command_that_loses_the_flag_is_not_reported_as_applied(skipping: WorkflowEnvironment) -> None:
    """The answer to a command tells what became of it, not what was meant."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start()
        await rollout.idle()
        bench.journal.generation += 5
        result = await rollout.update("rollback")
    assert (result.applied, result.state) == (False, State.FAILED)


@pytest.mark.parametrize("hiccup", ["before", "after"])
async def test_a_commit_is_tried_again_and_takes_effect_once(skipping: WorkflowEnvironment, hiccup: str) -> None:
    """A store that fails for a moment, before or after it has recorded, delays a decision and doubles none."""
    async with bench_on(skipping) as bench:
        bench.journal.hiccups = {1: hiccup, 3: hiccup, 6: hiccup}
        rollout = await bench.start()
        await rollout.ends(State.COMPLETED)
    assert bench.journal.attempts == [1, 1, 2, 3, 3, 4, 5, 6, 6]
    assert [d.seq for d in bench.journal.decisions] == [1, 2, 3, 4, 5, 6]


async def test_a_watch_that_breaks_for_good_takes_everybody_back(skipping: WorkflowEnvironment) -> None:
    """Nobody is left with a candidate that cannot be watched; the end is failed, as the candidate is not to blame."""

    def broken(_: object, __: object) -> None:
        raise ApplicationError("no such rollout", type="not_found", non_retryable=True)

    async with bench_on(skipping, Script({1: [broken]})) as bench:
        rollout = await bench.start()
        result = await rollout.result()
    assert result.state is State.FAILED
    assert bench.journal.shares == [0.05, 0.25, 0.0]
    assert "no such rollout" in bench.journal.decisions[-2].text
    assert bench.journal.log[-2:] == [("confirm", 3), ("ended", 4)]


async def test_cancelling_the_workflow_aborts_the_rollout(skipping: WorkflowEnvironment) -> None:
    """Temporal's own cancel is an abort: everybody is taken back, in order, before the workflow ends."""
    async with bench_on(skipping, Script({1: [quiet]})) as bench:
        rollout = await bench.start()
        await rollout.sleep(2 * DAY)
        await rollout.handle.cancel()
        result = await rollout.ended()
    assert result.state is State.ABORTED
    assert bench.journal.shares == [0.05, 0.25, 0.0]
    assert bench.journal.decisions[-2].text == "aborted by temporal: the workflow was cancelled"
    assert bench.journal.log[-2:] == [("confirm", 3), ("ended", 4)]
