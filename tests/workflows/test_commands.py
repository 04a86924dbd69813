"""What people can ask of a running rollout, as updates and as signals."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import GRADUAL, Rollout, bench_on, canary
from tests.workflows.script import DAY, HOUR, Answer, Script, blocked, fails, guardrail, passes, quiet
from turnout.domain.rollout import State
from turnout.domain.verdicts import Verdict

APPROVED = GRADUAL | {"approvals": [{"before": "50%", "by": "approver"}]}
BLOCKED = blocked(Verdict.NO_DATA)


async def refused(rollout: Rollout, kind: str, **more: object) -> str:
    """Why an update is refused at the door."""
    with pytest.raises(WorkflowUpdateFailedError) as failure:
        await rollout.update(kind, **more)
    cause = failure.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == "command_refused"
    return cause.message


async def send(rollout: Rollout, kind: str, how: str, **more: object) -> None:
    """Send a command as an update or as a signal, and wait until it was acted on."""
    if how == "update":
        assert (await rollout.update(kind, **more)).applied
    else:
        await rollout.signal(kind, **more)


both = pytest.mark.parametrize("how", ["update", "signal"])


@both
async def test_pause_freezes_the_clock(skipping: WorkflowEnvironment, how: str) -> None:
    """Ten days of pause count for nothing: the stage still takes its whole hold."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start()
        await rollout.sleep(10 * HOUR)
        await send(rollout, "pause", how, reason="on call is asleep")
        status = await rollout.sleep(10 * DAY)
        assert (status.state, status.stage) == (State.PAUSED, 0)
        assert 10 * HOUR <= status.counted < 10 * HOUR + timedelta(minutes=1)
        assert status.pause is not None
        assert (status.pause.by, status.pause.resume_to) == ("bob", State.RUNNING)
        await send(rollout, "resume", how)
        status = await rollout.sleep(13 * HOUR)
        assert (status.state, status.stage) == (State.RUNNING, 0)
        status = await rollout.sleep(2 * HOUR)
        assert status.stage == 1
    paused, resumed = bench.journal.decisions[1:3]
    assert (paused.kind, resumed.kind) == ("paused", "resumed")
    assert (paused.actor, paused.reason) == ("bob", "on call is asleep")


async def test_two_pauses_in_one_stage_add_up(skipping: WorkflowEnvironment) -> None:
    """However often a stage is interrupted, only the time between the pauses counts."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start()
        for _ in range(3):
            await rollout.sleep(7 * HOUR)
            await rollout.update("pause")
            await rollout.sleep(5 * DAY)
            await rollout.update("resume")
        assert (await rollout.sleep(2 * HOUR)).stage == 0
        assert (await rollout.sleep(2 * HOUR)).stage == 1


@pytest.mark.parametrize("recourse", ["rollback", "pause"])
async def test_a_guardrail_that_fails_while_paused(skipping: WorkflowEnvironment, recourse: str) -> None:
    """A pause does not stop a guardrail from taking everybody back; one that would pause changes nothing."""
    script = Script(standing=[guardrail(2 * DAY, recourse)])
    async with bench_on(skipping, script) as bench:
        rollout = await bench.start()
        await rollout.sleep(HOUR)
        await rollout.update("pause")
        status = await rollout.sleep(3 * DAY)
        if recourse == "pause":
            assert (status.state, status.share) == (State.PAUSED, 0.05)
            return
        assert (await rollout.ended()).state is State.ROLLED_BACK
    assert bench.journal.shares == [0.05, 0.0]
    paused, withdrawn = bench.journal.decisions[1:3]
    assert 2 * DAY <= withdrawn.at - paused.at < 2 * DAY + HOUR


async def test_a_guardrail_that_fails_while_a_person_is_awaited(skipping: WorkflowEnvironment) -> None:
    """Waiting for an approval is watched like everything else."""
    async with bench_on(skipping, Script(standing=[guardrail(2 * HOUR)])) as bench:
        rollout = await bench.start(APPROVED)
        await rollout.ends(State.ROLLED_BACK)
    assert bench.journal.shares == [0.05, 0.25, 0.0]


async def test_resuming_after_a_failed_gate_begins_the_stage_anew(skipping: WorkflowEnvironment) -> None:
    """The failed statistics are left behind: a new generation, and the hold from its beginning."""
    async with bench_on(skipping, Script({0: [fails, passes]})) as bench:
        rollout = await bench.start(canary(auto_rollback=False))
        assert (await rollout.sleep(2 * DAY)).state is State.PAUSED
        await rollout.update("resume")
        assert (await rollout.sleep(23 * HOUR)).stage == 0
        assert (await rollout.sleep(2 * HOUR)).stage == 1
    started, _, restarted = bench.journal.decisions[:3]
    assert (restarted.kind, restarted.share) == ("restarted", 0.05)
    assert restarted.generation == started.generation + 1


@both
async def test_promote_is_a_recorded_override(skipping: WorkflowEnvironment, how: str) -> None:
    """Promoting enters the next stage at once and says by whom, why, and that no gate was asked."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start()
        await rollout.sleep(HOUR)
        await send(rollout, "promote", how, reason="it is Friday", id="p1")
        overridden = await bench.journal.recorded("overridden")
        assert (await rollout.idle()).stage == 1
        await rollout.ends(State.COMPLETED)
    assert overridden.text == "promoted by bob: it is Friday; gates not asked"
    assert (overridden.actor, overridden.command_id, overridden.verdict) == ("bob", "p1", None)
    assert bench.journal.shares == [0.05, 0.25, 0.5, 1.0, 1.0]


@pytest.mark.parametrize("answer", [BLOCKED, fails], ids=["hold", "pause"])
async def test_promote_goes_on_from_a_hold_and_from_a_pause(skipping: WorkflowEnvironment, answer: Answer) -> None:
    """A person may decide what the evidence could not, and overrule what it said."""
    async with bench_on(skipping, Script({0: [answer, quiet]})) as bench:
        rollout = await bench.start(canary(auto_rollback=False))
        assert (await rollout.sleep(DAY + HOUR)).state in (State.HOLDING, State.PAUSED)
        await rollout.update("promote")
        assert (await rollout.idle()).stage == 1
    assert bench.journal.kinds[-1] == "overridden"


async def test_promoting_the_last_stage_completes(skipping: WorkflowEnvironment) -> None:
    """Nothing is left to promote to but everybody, for good."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start(GRADUAL | {"strategy": {"kind": "gradual", "stages": [100]}})
        await rollout.idle()
        assert (await rollout.update("promote")).state is State.COMPLETED
        assert (await rollout.ended()).state is State.COMPLETED
    assert bench.journal.decisions[-2].new_stable == "lightrag"


@both
async def test_an_approval_is_asked_for_after_the_gates_have_passed(skipping: WorkflowEnvironment, how: str) -> None:
    """The stage is held and judged, then it waits; approved, health is checked once more, then traffic grows."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start(APPROVED)
        status = await rollout.sleep(5 * DAY)
        assert (status.state, status.stage, status.approval_by) == (State.AWAITING_APPROVAL, 1, "approver")
        await send(rollout, "approve", how, actor="carol", roles=["approver"])
        await rollout.ends(State.COMPLETED)
    assert bench.journal.kinds[2:5] == ["awaiting_approval", "approved", "advanced"]
    assert [r.counting for r in bench.lookout.requests[1:4]] == [True, False, True]
    asked, approved, advanced = bench.journal.decisions[2:5]
    assert (asked.verdict, approved.actor, advanced.verdict) == (Verdict.PASS, "carol", Verdict.PASS)
    assert advanced.at - approved.at < HOUR


async def test_who_may_not_approve(skipping: WorkflowEnvironment) -> None:
    """An approval is refused before it is due, from the starter, and without the role; promote cannot replace it."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start(APPROVED)
        await rollout.sleep(HOUR)
        why = await refused(rollout, "approve", actor="carol", roles=["approver"])
        assert why == "no approval is due; the rollout is running"
        await rollout.sleep(3 * DAY)
        assert "alice started this rollout" in await refused(rollout, "approve", actor="alice", roles=["approver"])
        assert "takes the role approver" in await refused(rollout, "approve", actor="carol", roles=["operator"])
        assert "promote cannot replace" in await refused(rollout, "promote", actor="carol", roles=["approver"])
        assert (await rollout.idle()).state is State.AWAITING_APPROVAL
    assert bench.journal.kinds == ["started", "advanced", "awaiting_approval"]


@pytest.mark.parametrize(
    ("on_fail", "shares"), [("previous_stage", [0.05, 0.25, 0.05]), ("rollback", [0.05, 0.25, 0.0])]
)
async def test_health_that_fails_after_the_approval(
    skipping: WorkflowEnvironment, on_fail: str, shares: list[float]
) -> None:
    """What a person approved is not entered when the gates fail by then."""
    strategy = {"kind": "gradual", "stages": [5, 25, 50, 100], "stage_duration": "24h", "on_fail": on_fail}
    script = Script({0: [passes, quiet], 1: [passes, fails]})
    async with bench_on(skipping, script) as bench:
        rollout = await bench.start(APPROVED | {"strategy": strategy})
        await rollout.sleep(5 * DAY)
        await rollout.update("approve", actor="carol", roles=["approver"])
        await rollout.sleep(HOUR)
    assert bench.journal.shares == shares


async def test_promote_before_an_approval_waives_the_hold_not_the_approval(skipping: WorkflowEnvironment) -> None:
    """Promoted early, the stage waits for the approver; then the gates are asked at once, and the approval is last."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start(APPROVED)
        await rollout.sleep(DAY + 2 * HOUR)
        result = await rollout.update("promote")
        assert result.state is State.AWAITING_APPROVAL
        await rollout.sleep(5 * DAY)
        await rollout.update("approve", actor="carol", roles=["approver"])
        status = await rollout.sleep(timedelta(minutes=1))
        assert (status.stage, status.share) == (2, 0.5)
    assert bench.journal.kinds[2:] == ["awaiting_approval", "approved", "advanced"]
    assert bench.journal.decisions[-1].verdict is Verdict.PASS


async def test_a_pause_while_awaiting_approval_goes_back_to_awaiting(skipping: WorkflowEnvironment) -> None:
    """Resuming does not skip the approval."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start(APPROVED)
        await rollout.sleep(3 * DAY)
        await rollout.update("pause")
        assert "no approval is due" in await refused(rollout, "approve", actor="carol", roles=["approver"])
        await rollout.update("resume")
        status = await rollout.sleep(3 * DAY)
    assert (status.state, status.stage) == (State.AWAITING_APPROVAL, 1)


@both
@pytest.mark.parametrize(("kind", "end"), [("abort", State.ABORTED), ("rollback", State.ROLLED_BACK)])
async def test_giving_up_takes_everybody_back(skipping: WorkflowEnvironment, kind: str, end: State, how: str) -> None:
    """Abort and rollback withdraw the candidate; they differ in what they say of it."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start()
        await rollout.sleep(DAY + HOUR)
        await send(rollout, kind, how, reason="budget")
        assert (await rollout.ended()).state is end
    assert bench.journal.shares == [0.05, 0.25, 0.0]
    assert bench.journal.kinds[-2:] == ["withdrawn", "ended"]


@pytest.mark.parametrize("before", ["pause", "hold", "approval"])
async def test_giving_up_works_in_every_state(skipping: WorkflowEnvironment, before: str) -> None:
    """Abort is taken while paused, holding, and awaiting approval."""
    script = Script({0: [BLOCKED, quiet]} if before == "hold" else None)
    async with bench_on(skipping, script) as bench:
        rollout = await bench.start(APPROVED)
        await rollout.sleep(3 * DAY)
        if before == "pause":
            await rollout.update("pause")
        await rollout.update("abort")
        assert (await rollout.ended()).state is State.ABORTED
    assert bench.journal.shares[-1] == 0


async def test_abort_answers_when_the_resolvers_have_it(skipping: WorkflowEnvironment) -> None:
    """The update's answer waits for the delivery, and the rollout has ended by then; meanwhile others are refused."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start()
        await rollout.idle()
        bench.journal.delivery.clear()
        abort = asyncio.create_task(rollout.update("abort", id="a1"))
        await bench.journal.confirming.wait()
        assert bench.journal.kinds[-1] == "withdrawn"
        assert not abort.done()
        assert "is ending" in await refused(rollout, "pause")
        await rollout.signal("resume", id="late")
        bench.journal.delivery.set()
        result = await abort
        assert (await rollout.ended()).text.startswith("aborted; every snapshot feed")
    assert (result.applied, result.state) == (True, State.ABORTED)
    assert bench.journal.kinds == ["started", "withdrawn", "ended", "refused"]
    assert bench.journal.decisions[-1].command_id == "late"


@pytest.mark.parametrize("kind", ["resume", "approve"])
async def test_a_refused_signal_is_recorded(skipping: WorkflowEnvironment, kind: str) -> None:
    """Nobody waits for a signal's answer, so its refusal goes to the decision log, with the reason."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start()
        await rollout.idle()
        await rollout.signal(kind, id="s1")
        decision = await bench.journal.recorded("refused")
        status = await rollout.idle()
    assert (decision.command_id, decision.actor, decision.weights) == ("s1", "bob", None)
    assert decision.text.startswith(f"{kind} by bob – refused, ")
    assert status.state is State.RUNNING
    assert status.last is not None
    assert status.last.kind == "started"


async def test_updates_that_cannot_be_taken_are_refused_with_a_reason(skipping: WorkflowEnvironment) -> None:
    """A refused update changes nothing, and its reason says what would work."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start()
        await rollout.idle()
        assert await refused(rollout, "resume") == "the rollout is not paused, it is running"
        await rollout.update("pause")
        assert "use resume, promote, rollback or abort" in await refused(rollout, "pause")
    assert bench.journal.kinds == ["started", "paused"]


async def test_an_id_is_acted_on_once(skipping: WorkflowEnvironment) -> None:
    """The same command as update, as signal, and as update again takes effect once; the answer is the same."""
    async with bench_on(skipping, Script({1: [quiet]})) as bench:
        rollout = await bench.start()
        await rollout.idle()
        first = await rollout.update("promote", id="p1")
        await rollout.signal("promote", id="p1")
        again = await rollout.update("promote", id="p1")
        await rollout.idle()
    assert (first.applied, again.applied) == (True, True)
    assert again.text == "acted on before"
    assert bench.journal.kinds == ["started", "overridden"]


async def test_a_refused_id_stays_refused(skipping: WorkflowEnvironment) -> None:
    """A signal that was refused is not acted on when its update arrives in a better moment."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start()
        await rollout.idle()
        await rollout.signal("resume", id="r1")
        await bench.journal.recorded("refused")
        await rollout.update("pause")
        again = await rollout.update("resume", id="r1")
        assert (again.applied, again.state) == (False, State.PAUSED)
    assert bench.journal.kinds == ["started", "refused", "paused"]


async def test_an_ended_rollout_takes_no_commands(skipping: WorkflowEnvironment) -> None:
    """Temporal itself refuses what is sent to a closed workflow; its status can still be asked."""
    async with bench_on(skipping) as bench:
        rollout = await bench.start()
        await rollout.idle()
        await rollout.update("abort")
        await rollout.ended()
        with pytest.raises(RPCError):
            await rollout.signal("pause")
        with pytest.raises(RPCError):
            await rollout.update("pause")
        assert (await rollout.status()).state is State.ABORTED


async def test_a_guardrail_goes_before_a_promote(skipping: WorkflowEnvironment) -> None:
    """When a failed guardrail and a promote are there at once, traffic does not grow first."""
    async with bench_on(skipping, Script({0: [guardrail(timedelta())]})) as bench:
        bench.lookout.open.clear()
        rollout = await bench.start()
        await bench.journal.recorded("started")
        await rollout.busy_with({"watch_stage"})
        bench.journal.commits.clear()
        await rollout.signal("resume", id="keeps the workflow busy")
        await rollout.busy_with({"watch_stage", "commit_decision"})
        bench.lookout.open.set()
        await rollout.busy_with({"commit_decision"})
        await rollout.signal("promote")
        bench.journal.commits.set()
        assert (await rollout.ended()).state is State.ROLLED_BACK
    assert bench.journal.shares == [0.05, 0.0]
    assert bench.journal.kinds == ["started", "refused", "withdrawn", "ended", "refused"]


async def test_the_status_tells_every_state(skipping: WorkflowEnvironment) -> None:
    """The query answers where the rollout is and what it waits for, from the first stage to the end."""
    async with bench_on(skipping, Script({0: [BLOCKED, passes]})) as bench:
        rollout = await bench.start(APPROVED)
        status = await rollout.idle()
        assert (status.state, status.stage, status.share, status.stages[0]) == (State.RUNNING, 0, 0.05, "5 %")
        assert (status.flag, status.strategy, status.candidate) == ("answer-engine", "gradual", "lightrag")
        assert (status.stable, status.started_by, status.hold) == ("perplexity", "alice", DAY)
        await rollout.update("pause", reason="lunch")
        status = await rollout.idle()
        assert status.state is State.PAUSED
        assert status.pause is not None
        assert status.pause.reason == "paused by bob: lunch"
        await rollout.update("resume")
        status = await rollout.sleep(25 * HOUR)
        assert status.state in (State.HOLDING, State.RUNNING)
        await rollout.update("promote")
        status = await rollout.sleep(25 * HOUR)
        assert (status.state, status.stage, status.approval_by) == (State.AWAITING_APPROVAL, 1, "approver")
        await rollout.update("rollback")
        await rollout.ended()
        status = await rollout.status()
    assert (status.state, status.share, status.pause, status.blocked) == (State.ROLLED_BACK, 0.0, None, None)
