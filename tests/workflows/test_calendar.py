"""When a rollout may move: windows, freezes, a scheduled start and approvals that time out, on virtual time."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import GRADUAL, Rollout, bench_on
from tests.workflows.fakes import MemoryJournal
from tests.workflows.script import DAY, HOUR, Answer, Script, fails, guardrail, judged, passes, quiet
from turnout.domain.freezes import Freeze
from turnout.domain.rollout import Decision, Observation, State, WatchRequest
from turnout.domain.verdicts import Verdict
from turnout.domain.windows import is_open

STEPS: dict[str, object] = GRADUAL | {"strategy": {"kind": "gradual", "stages": [50, 100], "stage_duration": "20h"}}
FORWARD = {"started", "advanced", "overridden", "adopted"}


def hours_from(now: datetime, after: timedelta, long: timedelta = HOUR) -> dict[str, object]:
    """A daily window that opens so long ``after`` now, to the minute."""
    opens = now + after
    return {"hours": f"{opens:%H:%M}-{opens + long:%H:%M}"}


def frozen(now: datetime, after: timedelta, until: timedelta | None) -> Freeze:
    """A freeze of everything from ``after`` to ``until``, counted from now."""
    end = None if until is None else now + until
    return Freeze(id="f1", by="carol", at=now, start=now + after, end=end, reason="year-end")


async def until(rollout: Rollout, kind: str, times: int = 1) -> None:
    """Wait until a decision of ``kind`` was recorded so often and the rollout has gone on from there."""
    await rollout.bench.journal.recorded(kind, times)
    await rollout.calm()


def moves(journal: MemoryJournal) -> list[Decision]:
    """The decisions that moved traffic forward."""
    return [d for d in journal.decisions if d.kind in FORWARD]


async def test_traffic_moves_forward_within_windows_only(skipping: WorkflowEnvironment) -> None:
    """The start, every stage and the completion wait for the hour in which that is allowed."""
    now = await skipping.get_current_time()
    async with bench_on(skipping) as bench:
        rollout = await bench.start(STEPS | {"windows": hours_from(now, 3 * HOUR)})
        await rollout.ends(State.COMPLETED)
    waits = ["waiting_window", "started", "waiting_window", "advanced", "waiting_window", "adopted", "ended"]
    assert bench.journal.kinds == waits
    assert bench.journal.plan is not None
    assert all(is_open(window, d.at) for d in moves(bench.journal) for window in bench.journal.plan.stages[0].windows)
    assert moves(bench.journal)[1].at - moves(bench.journal)[0].at < DAY + HOUR


async def test_it_says_when_it_opens(skipping: WorkflowEnvironment) -> None:
    """Status and story tell what is waited for; the clock stands still, and nobody has the candidate yet."""
    now = await skipping.get_current_time()
    async with bench_on(skipping) as bench:
        rollout = await bench.start(STEPS | {"windows": hours_from(now, 3 * HOUR)})
        await until(rollout, "waiting_window")
        status = await rollout.status()
        assert (status.state, status.share, status.since) == (State.WAITING_WINDOW, 0, None)
        assert status.closed is not None
        assert status.closed.opens_at is not None
        assert timedelta() < status.closed.opens_at - now <= 3 * HOUR
        assert status.closed.why == f"outside mon-sun {hours_from(now, 3 * HOUR)['hours']} UTC"
        assert f"waits for its window: {status.closed.opens}" in bench.journal.decisions[0].text
        await rollout.update("abort")
        await rollout.ended()
    assert bench.journal.kinds == ["waiting_window", "withdrawn", "ended"]


async def test_back_at_any_time(skipping: WorkflowEnvironment) -> None:
    """A guardrail that fails while a window is waited for takes everybody back at once."""
    now = await skipping.get_current_time()
    script = Script({0: [passes]}, standing=[guardrail(HOUR)])
    async with bench_on(skipping, script) as bench:
        rollout = await bench.start(STEPS | {"windows": hours_from(now, timedelta(), 2 * HOUR)})
        await rollout.ends(State.ROLLED_BACK)
    *_, waiting, withdrawn, _ = bench.journal.decisions
    assert (waiting.kind, withdrawn.kind) == ("waiting_window", "withdrawn")
    assert withdrawn.at - waiting.at < HOUR + timedelta(minutes=1)


async def test_moves_back_need_no_window(skipping: WorkflowEnvironment) -> None:
    """A failed gate goes back one stage outside the window."""
    now = await skipping.get_current_time()
    async with bench_on(skipping, Script({1: [fails, passes]})) as bench:
        rollout = await bench.start(STEPS | {"windows": hours_from(now, timedelta(), HOUR)})
        await rollout.ends(State.COMPLETED)
    moved = next(d for d in bench.journal.decisions if d.kind == "moved_back")
    assert bench.journal.plan is not None
    assert not is_open(bench.journal.plan.stages[0].windows[0], moved.at)


async def test_a_freeze_holds_what_has_no_windows(skipping: WorkflowEnvironment) -> None:
    """A stage whose hold ends in a freeze begins when the freeze is over."""
    now = await skipping.get_current_time()
    journal = MemoryJournal(freezes=[frozen(now, 10 * HOUR, 60 * HOUR)])
    async with bench_on(skipping, journal=journal) as bench:
        rollout = await bench.start(STEPS)
        await rollout.ends(State.COMPLETED)
    assert journal.kinds == ["started", "waiting_window", "advanced", "adopted", "ended"]
    assert journal.decisions[2].at >= now + 60 * HOUR
    assert "frozen: year-end" in journal.decisions[1].text


async def test_promote_needs_the_role_and_a_reason(skipping: WorkflowEnvironment) -> None:
    """Who may override a freeze does, and that is recorded; everybody else is told when it opens and who may."""
    now = await skipping.get_current_time()
    journal = MemoryJournal(freezes=[frozen(now, timedelta(), 60 * HOUR)])
    async with bench_on(skipping, Script({0: [quiet]}), journal) as bench:
        rollout = await bench.start(STEPS)
        await until(rollout, "waiting_window")
        plain = await rollout.update("promote", reason="now")
        mute = await rollout.update("promote", roles=("freeze_override",))
        assert not plain.applied
        assert "frozen: year-end" in plain.text
        assert "opens" in plain.text
        assert "role freeze_override may promote before, with a reason" in plain.text
        assert not mute.applied
        assert mute.text.endswith("give a reason")
        begun = await rollout.update("promote", reason="the fix cannot wait", roles=("freeze_override",))
        assert begun.applied
        again = await rollout.update("promote", reason="nor the rest", roles=("freeze_override",))
        assert again.applied
        await rollout.update("abort")
        await rollout.ended()
    started, overridden = moves(journal)
    assert (started.kind, overridden.kind) == ("started", "overridden")
    assert started.overrode is not None
    assert overridden.overrode is not None
    assert overridden.text.startswith("promoted by bob: nor the rest; overrides that it is frozen: year-end")


async def test_promote_where_nothing_forbids_it(skipping: WorkflowEnvironment) -> None:
    """Without windows and freezes promote is what it was."""
    async with bench_on(skipping, Script({0: [quiet]})) as bench:
        rollout = await bench.start(STEPS)
        await rollout.idle()
        assert (await rollout.update("promote")).applied
        await rollout.ends(State.COMPLETED)
    assert moves(bench.journal)[1].overrode is None


async def test_an_approval_may_come_at_any_time_but_not_the_move(skipping: WorkflowEnvironment) -> None:
    """Approving is no move: the stage begins within its window, after the gates were asked again."""
    now = await skipping.get_current_time()
    spec = STEPS | {"approvals": [{"before": 100}], "windows": hours_from(now, timedelta(), HOUR)}
    async with bench_on(skipping) as bench:
        rollout = await bench.start(spec)
        await until(rollout, "started")
        await rollout.skip(21 * HOUR)
        assert (await rollout.status()).state is State.AWAITING_APPROVAL
        assert (await rollout.update("approve")).applied
        await rollout.ends(State.COMPLETED)
    kinds = [
        "started",
        "awaiting_approval",
        "approved",
        "waiting_window",
        "advanced",
        "waiting_window",
        "adopted",
        "ended",
    ]
    assert bench.journal.kinds == kinds


async def test_a_pause_while_it_waits(skipping: WorkflowEnvironment) -> None:
    """Paused past the opening it stays; resumed it begins once it may."""
    now = await skipping.get_current_time()
    async with bench_on(skipping, Script({0: [quiet]})) as bench:
        rollout = await bench.start(STEPS | {"windows": hours_from(now, 3 * HOUR)})
        await until(rollout, "waiting_window")
        assert (await rollout.update("pause")).applied
        await bench.env.sleep(10 * HOUR)
        assert (await rollout.status()).state is State.PAUSED
        assert (await rollout.update("resume")).applied
        await until(rollout, "waiting_window", 2)
        await bench.env.sleep(20 * HOUR)
        await until(rollout, "started")
        await rollout.update("abort")
        await rollout.ended()
    assert bench.journal.kinds[:4] == ["waiting_window", "paused", "resumed", "waiting_window"]


async def test_a_pass_that_comes_too_late_counts_for_nothing(skipping: WorkflowEnvironment) -> None:
    """When nobody acted on it before the window closed, the stage is watched on."""

    def late(request: WatchRequest, now: datetime) -> Observation | None:
        seen = passes(request, now)
        return seen.model_copy(update={"until": seen.at}) if seen is not None else None

    async with bench_on(skipping, Script({0: [late, judged(Verdict.PASS)]})) as bench:
        rollout = await bench.start(STEPS)
        await rollout.ends(State.COMPLETED)
    first, second, *_ = bench.lookout.requests
    assert (first.generation, second.generation) == (second.generation, first.generation)
    assert second.clock.counted == first.stage.hold
    assert bench.journal.kinds == ["started", "advanced", "adopted", "ended"]


async def test_a_scheduled_start(skipping: WorkflowEnvironment) -> None:
    """Nothing happens before; then the first stage begins by itself."""
    now = await skipping.get_current_time()
    begins = now + 5 * HOUR
    async with bench_on(skipping) as bench:
        rollout = await bench.start(STEPS | {"start_at": begins.isoformat()})
        await until(rollout, "scheduled")
        status = await rollout.status()
        assert (status.state, status.start_at) == (State.SCHEDULED, begins)
        await rollout.ends(State.COMPLETED)
    assert bench.journal.kinds == ["scheduled", "started", "advanced", "adopted", "ended"]
    assert timedelta() <= bench.journal.decisions[1].at - begins < timedelta(minutes=1)


async def test_a_scheduled_start_waits_for_its_window_too(skipping: WorkflowEnvironment) -> None:
    """The calendar is asked when the time has come."""
    now = await skipping.get_current_time()
    journal = MemoryJournal(freezes=[frozen(now, 4 * HOUR, 60 * HOUR)])
    async with bench_on(skipping, journal=journal) as bench:
        rollout = await bench.start(STEPS | {"start_at": (now + 5 * HOUR).isoformat()})
        await rollout.ends(State.COMPLETED)
    assert journal.kinds == ["scheduled", "waiting_window", "started", "advanced", "adopted", "ended"]
    assert journal.decisions[2].at >= now + 60 * HOUR


NOW_OR_NEVER = {"promote": ["started"], "abort": ["withdrawn", "ended"], "pause": ["paused"]}


@pytest.mark.parametrize("command", NOW_OR_NEVER)
async def test_start_now_or_not_at_all(skipping: WorkflowEnvironment, command: str) -> None:
    """Promote begins a scheduled rollout at once, abort ends it, and a pause keeps it from beginning."""
    now = await skipping.get_current_time()
    async with bench_on(skipping, Script({0: [quiet]})) as bench:
        rollout = await bench.start(STEPS | {"start_at": (now + 5 * HOUR).isoformat()})
        await until(rollout, "scheduled")
        assert (await rollout.update(command, reason="why not")).applied
        assert bench.journal.kinds == ["scheduled", *NOW_OR_NEVER[command]]
        if command != "abort":
            await rollout.update("abort")
        await rollout.ended()


async def test_a_paused_schedule_goes_on(skipping: WorkflowEnvironment) -> None:
    """Resumed after its time it begins at once."""
    now = await skipping.get_current_time()
    async with bench_on(skipping) as bench:
        rollout = await bench.start(STEPS | {"start_at": (now + 5 * HOUR).isoformat()})
        await until(rollout, "scheduled")
        await rollout.update("pause")
        await bench.env.sleep(6 * HOUR)
        await rollout.update("resume")
        await rollout.ends(State.COMPLETED)
    assert bench.journal.kinds[:4] == ["scheduled", "paused", "resumed", "started"]


TIMEOUTS: dict[str, tuple[list[str], State]] = {
    "pause": (["paused"], State.PAUSED),
    "rollback": (["withdrawn", "ended"], State.ROLLED_BACK),
    "hold": (["approval_overdue"], State.AWAITING_APPROVAL),
}


@pytest.mark.parametrize("policy", TIMEOUTS)
async def test_an_approval_that_does_not_come(skipping: WorkflowEnvironment, policy: str) -> None:
    """Nothing is approved by itself: the rollout pauses, goes back, or says so and waits on."""
    approval = {"before": 100, "by": "approver", "timeout": "6h", "on_timeout": policy}
    kinds, state = TIMEOUTS[policy]
    async with bench_on(skipping) as bench:
        rollout = await bench.start(STEPS | {"approvals": [approval]})
        await until(rollout, "started")
        await rollout.skip(21 * HOUR)
        await waited_for_approval(rollout)
        await bench.env.sleep(10 * HOUR)
        await until(rollout, kinds[-1])
        assert bench.journal.kinds == ["started", "awaiting_approval", *kinds]
        asked, timed_out = bench.journal.decisions[1:3]
        assert timedelta() <= timed_out.at - asked.at - 6 * HOUR < timedelta(minutes=1)
        assert timed_out.text.startswith("nobody has approved within 6h")
        if policy == "rollback":
            assert (await rollout.ended()).state is state
        else:
            assert (await rollout.status()).state is state
            await rollout.update("abort")
            await rollout.ended()


async def waited_for_approval(rollout: Rollout) -> None:
    """It waits, and says until when."""
    status = await rollout.status()
    assert (status.state, status.approval_by) == (State.AWAITING_APPROVAL, "approver")
    assert status.approval_due is not None


async def test_a_timeout_begins_anew_after_a_pause(skipping: WorkflowEnvironment) -> None:
    """Time spent paused is no time in which somebody could approve."""
    approval = {"before": 100, "timeout": "6h", "on_timeout": "rollback"}
    script: Answer = Script()
    async with bench_on(skipping, script) as bench:
        rollout = await bench.start(STEPS | {"approvals": [approval]})
        await until(rollout, "started")
        await rollout.skip(21 * HOUR)
        await rollout.update("pause")
        await bench.env.sleep(10 * HOUR)
        await rollout.update("resume")
        await rollout.ends(State.ROLLED_BACK)
    resumed, withdrawn, _ = bench.journal.decisions[-3:]
    assert (resumed.kind, withdrawn.kind) == ("resumed", "withdrawn")
    assert timedelta() <= withdrawn.at - resumed.at - 6 * HOUR < timedelta(minutes=1)
