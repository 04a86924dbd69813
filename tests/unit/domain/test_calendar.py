"""Windows, freezes, a scheduled start and approval timeouts in the rules of a rollout and of watching a stage."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.domain.test_machine import begun, order, plan, seen, told
from tests.unit.domain.watching import HOUR, START, check, gate, over, request, stage
from turnout.domain import machine
from turnout.domain.ahead import due_at, windows_ahead
from turnout.domain.errors import InvalidInput
from turnout.domain.freezes import Closed, Opening
from turnout.domain.plan import Approval, Gate, Plan
from turnout.domain.refusals import refusal, windows_for
from turnout.domain.rollout import RolloutState, State
from turnout.domain.verdicts import Check, Verdict
from turnout.domain.vigil import Progress, asks_calendar, conclude, next_check
from turnout.domain.windows import Window
from turnout.strategies import compile_plan, parse_spec

PASS, FAIL, INCONCLUSIVE, NO_DATA, SOURCE_ERROR = Verdict
SHUT = Closed(opens_at=START + 5 * HOUR, why="outside mon-thu 09:00-17:00 UTC")
LATER = Closed(opens_at=START + 9 * HOUR, why="frozen: year-end")
WINDOW = Window.model_validate({"days": "mon-thu", "hours": "09:00-17:00"})
ALARM = Gate(metric="error_rate", max=0.1, on_fail="rollback")
TWO = plan(stage(), stage())


def scheduled(of: Plan) -> Plan:
    """The plan, to begin a day later."""
    return of.model_copy(update={"start_at": START + 24 * HOUR})


def fresh() -> RolloutState:
    """A rollout by alice that nothing has happened to."""
    return RolloutState(rollout_id="r1", started_by="alice", calendar=True)


def waiting(of: Plan = TWO) -> RolloutState:
    """Its first stage has passed, and may not be left now."""
    return machine.observe(of, begun(of), seen("waiting", PASS, closed=SHUT)).state


def concluded(checks: list[Check], calendar: Closed | None, **more: Any) -> tuple[str, Verdict] | None:
    """What a watch at the end of the hold comes to when the calendar says so: kind, verdict."""
    asked = request(windows=(), **more)
    found = conclude(asked, over(), checks, Opening(closed=calendar))
    return None if found is None else (found.kind, found.verdict)


@pytest.mark.parametrize(
    ("checks", "found"),
    [
        ([check(PASS)], ("waiting", PASS)),
        ([check(FAIL)], ("judged", FAIL)),
        ([check(INCONCLUSIVE)], ("blocked", INCONCLUSIVE)),
        ([check(SOURCE_ERROR, errors=9)], ("blocked", SOURCE_ERROR)),
    ],
)
def test_only_a_pass_waits_for_its_window(checks: list[Check], found: tuple[str, Verdict]) -> None:
    """Failures and doubts come to what they always do, whatever the calendar says."""
    assert concluded(checks, SHUT) == found


def test_an_open_window_changes_nothing_but_how_long_it_holds() -> None:
    """A pass carries until when the move may be made."""
    found = conclude(request(windows=()), over(), [check(PASS)], Opening(until=START + HOUR))
    assert found is not None
    assert (found.kind, found.until) == ("judged", START + HOUR)


@pytest.mark.parametrize(
    ("checks", "calendar", "found"),
    [
        ([check(PASS)], SHUT, None),
        ([check(PASS)], LATER, ("waiting", NO_DATA)),
        ([check(PASS)], None, ("judged", PASS)),
        ([check(FAIL)], SHUT, None),
        ([check(FAIL, anytime=True)], SHUT, ("judged", FAIL)),
        ([check(FAIL)], None, ("judged", FAIL)),
        ([check(INCONCLUSIVE)], SHUT, None),
        ([check(INCONCLUSIVE)], None, ("blocked", INCONCLUSIVE)),
    ],
)
def test_while_it_waits(checks: list[Check], calendar: Closed | None, found: tuple[str, Verdict] | None) -> None:
    """Proven harm acts, a change of the calendar is told, all else waits; when it opens every gate has its say."""
    assert concluded(checks, calendar, counting=False, closed=SHUT) == found


def test_a_guardrail_acts_while_it_waits() -> None:
    """At once, like in a pause."""
    asked = request(stage((gate(),), (ALARM,)), counting=False, closed=SHUT, windows=())
    found = conclude(asked, over(), [check(PASS), check(FAIL, "guardrail")], Opening(closed=SHUT))
    assert found is not None
    assert (found.kind, found.recourse) == ("guardrail", "rollback")


def test_the_calendar_is_asked_where_it_matters() -> None:
    """At the end of a hold that leads to a move, and while a window is waited for."""
    early = Progress(START, over().clock.model_copy(update={"counted": HOUR}))
    passing = [check(PASS)]
    assert asks_calendar(request(windows=()), over(), passing)
    assert asks_calendar(request(windows=(), closed=SHUT, counting=False), early, passing)
    assert not asks_calendar(request(windows=()), early, passing)
    assert not asks_calendar(request(), over(), passing)


def test_looks_at_the_moment_it_opens() -> None:
    """It does not sleep past the opening."""
    asked = request(closed=SHUT.model_copy(update={"opens_at": START + timedelta(minutes=3)}), counting=False)
    assert next_check(asked, over()) == timedelta(minutes=3)
    assert next_check(request(closed=LATER, counting=False), over()) == HOUR


def test_waiting_and_what_comes_of_it() -> None:
    """The state tells why; the gates are asked again by a watch whose clock stands still."""
    state = waiting()
    assert (state.state, state.closed) == (State.WAITING_WINDOW, SHUT)
    asked = machine.watch_request(TWO, state)
    assert asked is not None
    assert (asked.counting, asked.closed, asked.windows) == (False, SHUT, ())
    passed = machine.observe(TWO, state, seen("judged", PASS))
    assert told(passed) == [("advanced", "running")]
    assert passed.state.closed is None
    assert told(machine.observe(TWO, state, seen("judged", FAIL))) == [("withdrawn", "waiting_window")]
    assert told(machine.observe(TWO, state, seen("blocked", NO_DATA))) == [("held", "holding")]
    again = machine.observe(TWO, state, seen("waiting", closed=LATER))
    assert (told(again), again.state.closed) == ([("waiting_window", "waiting_window")], LATER)
    assert again.decisions[0].verdict is None


def test_which_windows_lie_ahead() -> None:
    """Those of the next stage, at the end those of the last; none before a person has been asked."""
    timed = plan(stage(), stage(windows=(WINDOW,)), stage(approval=Approval()))
    state = begun(timed)
    assert windows_ahead(timed, fresh()) == ()
    assert windows_ahead(timed, state) == (WINDOW,)
    second = state.model_copy(update={"stage": 1})
    assert windows_ahead(timed, second) is None
    assert windows_ahead(timed, second.model_copy(update={"approved": True})) == ()
    last = state.model_copy(update={"stage": 2})
    assert windows_ahead(timed, last) == ()
    assert windows_ahead(timed.model_copy(update={"end": "return"}), last) is None
    assert windows_for(timed, last.model_copy(update={"stage": 1}), order("promote")) is None
    assert windows_for(timed, state, order("promote")) == (WINDOW,)
    assert windows_for(timed, state, order("pause")) is None


def test_promote_against_the_calendar() -> None:
    """Refused with when it opens and who may; for who may, with a reason, done and recorded."""
    state, mute = waiting(), order("promote", roles=("freeze_override",))
    plain = refusal(TWO, state, order("promote"), SHUT)
    assert plain == (
        "traffic may not move forward now (outside mon-thu 09:00-17:00 UTC); it opens Mon 2026-06-01 13:00 UTC, "
        "and somebody with the role freeze_override may promote before, with a reason"
    )
    assert str(refusal(TWO, state, mute, SHUT)).endswith("; to override that, give a reason")
    step = machine.command(TWO, state, mute.model_copy(update={"reason": "urgent"}), START + HOUR, SHUT)
    assert told(step) == [("overridden", "running")]
    assert step.decisions[0].overrode == SHUT


def test_a_manual_move_that_overrides_is_called_so() -> None:
    """Where promote is the usual way on, one against the calendar still shows as an override."""
    by_hand = plan(stage(), stage(manual=True))
    state = machine.observe(by_hand, begun(by_hand), seen("judged", PASS)).state
    roles = ("freeze_override",)
    said = order("promote", roles=roles).model_copy(update={"reason": "urgent"})
    assert told(machine.command(by_hand, state, said, START + HOUR)) == [("advanced", "running")]
    assert told(machine.command(by_hand, state, said, START + HOUR, SHUT)) == [("overridden", "running")]


def test_a_start_that_is_scheduled() -> None:
    """Nothing begins before, whatever the calendar says; then it begins, or waits for its window."""
    later = scheduled(TWO)
    step = machine.begin(later, fresh(), START, SHUT)
    assert told(step) == [("scheduled", "scheduled")]
    assert due_at(later, step.state) == later.start_at
    assert due_at(later, fresh()) is None
    at = START + 24 * HOUR
    assert told(machine.due(later, step.state, at, None)) == [("started", "running")]
    assert told(machine.due(later, step.state, at, SHUT)) == [("waiting_window", "waiting_window")]
    assert told(machine.command(later, step.state, order("promote"), START)) == [("started", "running")]
    assert told(machine.command(later, step.state, order("abort"), START)) == [("withdrawn", "scheduled")]


def test_waiting_to_begin_asks_nothing() -> None:
    """Nobody has the candidate, so that there is nothing to watch but the calendar."""
    state = machine.begin(TWO, fresh(), START, SHUT).state
    asked = machine.watch_request(TWO, state)
    assert asked is not None
    assert (asked.stage.gates, asked.stage.guardrails, asked.stage.hold) == ((), (), timedelta())
    assert told(machine.observe(TWO, state, seen("judged", PASS))) == [("started", "running")]


def test_paused_before_it_began() -> None:
    """Resumed it is due at once."""
    state = machine.begin(scheduled(TWO), fresh(), START).state
    paused = machine.command(TWO, state, order("pause"), START + 30 * HOUR).state
    assert machine.watch_request(TWO, paused) is None
    resumed = machine.command(TWO, paused, order("resume", id_="c2"), START + 31 * HOUR).state
    assert resumed.state is State.SCHEDULED
    assert due_at(TWO, resumed) == START + 31 * HOUR


@pytest.mark.parametrize(
    ("policy", "decided"),
    [
        ("pause", ("paused", "paused")),
        ("rollback", ("withdrawn", "awaiting_approval")),
        ("hold", ("approval_overdue", "awaiting_approval")),
    ],
)
def test_an_approval_in_time(policy: str, decided: tuple[str, str]) -> None:
    """After its time it is due, once; approved before, never."""
    approval = Approval.model_validate({"timeout": "6h", "on_timeout": policy})
    asked = plan(stage(), stage(approval=approval))
    state = machine.observe(asked, begun(asked), seen("judged", PASS)).state
    assert due_at(asked, state) == START + 7 * HOUR
    step = machine.due(asked, state, START + 7 * HOUR, None)
    assert told(step) == [decided]
    assert due_at(asked, step.state) is None
    approved = machine.command(asked, state, order("approve"), START + 2 * HOUR).state
    assert (approved.approval_due, due_at(asked, approved)) == (None, None)


def spec(**more: Any) -> dict[str, Any]:
    """A canary."""
    gates = [{"metric": "success_rate", "min": 0.95}]
    return {"flag": "f", "candidate": "new", "strategy": {"kind": "canary"}, "gates": gates} | more


def test_a_spec_says_when_to_every_stage() -> None:
    """Windows reach every stage; the start and the approval's time are in the plan."""
    written = spec(
        windows={"days": "mon-thu", "hours": "09:00-17:00", "timezone": "Europe/Berlin"},
        start_at="2026-12-01T09:00:00+01:00",
        approvals=[{"before": 50, "timeout": "24h", "on_timeout": "rollback"}],
    )
    made = compile_plan(parse_spec(written), "old")
    assert {one.windows[0].text for one in made.stages} == {"mon-thu 09:00-17:00 Europe/Berlin"}
    assert str(made.start_at) == "2026-12-01 09:00:00+01:00"
    assert made.stages[1].approval == Approval(timeout=timedelta(hours=24), on_timeout="rollback")
    assert Plan.model_validate_json(made.model_dump_json()) == made


def test_a_part_of_a_pipeline_has_windows_of_its_own() -> None:
    """Instead of the spec's; none at all means at any time."""
    parts: list[dict[str, Any]] = [
        {"strategy": {"kind": "canary"}, "windows": []},
        {"strategy": {"kind": "gradual", "stages": [75, 100]}},
    ]
    written = spec(pipeline=parts, windows={"days": "mon"}, start_at="2026-12-01T09:00:00+01:00")
    del written["strategy"]
    made = compile_plan(parse_spec(written), "old")
    assert [len(one.windows) for one in made.stages] == [0, 0, 1, 1]
    assert made.start_at is not None


@pytest.mark.parametrize(
    ("more", "path", "remedy"),
    [
        ({"windows": {"days": "mon-thy"}}, "windows[0].days", "write mon-thu, or [mon, wed]"),
        ({"windows": [{"hours": "9-17"}]}, "windows[0].hours", 'write "09:00-17:00", or "22:00-04:00" over midnight'),
        ({"windows": {"timezone": "Europe/Berln"}}, "windows[0].timezone", "did you mean Europe/Berlin?"),
        ({"windows": {"day": "mon"}}, "windows[0].day", "did you mean days?"),
        ({"start_at": "2026-12-01T09:00:00"}, "start_at", "write it such as 2026-12-01T09:00:00+01:00"),
        ({"start_at": 5}, "start_at", "write it such as 2026-12-01T09:00:00+01:00"),
        ({"approvals": [{"before": 50, "on_timeout": "pause"}]}, "approvals[0]", "add timeout:, such as 24h"),
        (
            {"approvals": [{"before": 50, "timeout": "0s"}]},
            "approvals[0]",
            "write one such as 24h, or leave it out to wait without an end",
        ),
    ],
)
def test_what_is_said_about_the_rest(more: dict[str, Any], path: str, remedy: str) -> None:
    """Path and remedy of every fault."""
    with pytest.raises(InvalidInput) as error:
        parse_spec(spec(**more))
    assert [(problem.path, problem.remedy) for problem in error.value.problems] == [(path, remedy)]
