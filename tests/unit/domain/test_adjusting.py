"""Changing one part's share while a rollout is open."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.domain.watching import HOUR, START
from turnout.domain import machine
from turnout.domain.adjusting import OTHER, SHARE_OVERRIDE, Adjustment, parts_of
from turnout.domain.freezes import FREEZE_OVERRIDE, Closed
from turnout.domain.plan import Plan
from turnout.domain.refusals import refusal, windows_for
from turnout.domain.rollout import Clock, Command, Observation, RolloutState, State
from turnout.domain.verdicts import Verdict
from turnout.strategies import compile_plan, parse_spec

PARTS = [("staff", 100), ("beta", 50), ("paying", 20)]


def plan(*parts: tuple[str, int], other: int | None = None, **more: Any) -> Plan:
    """A geographic plan over the given regions, each by its name."""
    regions = [{"name": name, "percentage": percentage} for name, percentage in parts]
    strategy: dict[str, Any] = {"kind": "geographic", "regions": regions}
    if other is not None:
        strategy["other"] = {"percentage": other}
    spec = {"flag": "f", "candidate": "new", "strategy": strategy, "gates": [{"metric": "success_rate", "min": 0.9}]}
    return compile_plan(parse_spec(spec | more), "old")


def begun(of: Plan) -> RolloutState:
    """In its first stage."""
    state = RolloutState(rollout_id="r", started_by="alice", generation=1)
    return machine.begin(of, state, START).state


def passed(of: Plan, state: RolloutState, verdict: Verdict = Verdict.PASS) -> RolloutState:
    """Once the gates of the present stage have decided."""
    at = state.since or START
    seen = Observation(kind="judged", at=at + 24 * HOUR, clock=Clock(counted=24 * HOUR), verdict=verdict)
    return machine.observe(of, state, seen).state


def adjust(part: str, percentage: float, **more: Any) -> Command:
    """A command that gives ``part`` another share."""
    override = bool(more.pop("override", False))
    wanted = Adjustment(part=part, weight=round(percentage * 1000), override=override)
    return Command(id=more.pop("id", f"{part}-{percentage}"), kind="adjust", actor="bob", adjustment=wanted, **more)


def shares(state: RolloutState) -> dict[str, float]:
    """What is published, by part, in percent."""
    assert state.last is not None
    assert state.last.weights is not None
    found = {segment.name: segment.weights["new"] / 1000 for segment in state.last.segments}
    return found | ({OTHER: state.last.weights["new"] / 1000} if state.last.weights["new"] else {})


def test_a_share_shrinks_at_any_time_and_the_stage_begins_again() -> None:
    """Published under a new generation, with who and why; what the stages before proved stays proven."""
    of = plan(*PARTS)
    state = passed(of, begun(of))
    step = machine.command(of, state, adjust("staff", 10, reason="complaints"), START + timedelta(days=2))
    decision = step.decisions[0]
    assert (decision.kind, decision.generation, decision.actor) == ("adjusted", state.generation + 1, "bob")
    assert decision.text == "staff set from 100 % to 10 % by bob: complaints"
    assert shares(step.state) == {"staff": 10, "beta": 50}
    assert (step.state.since, step.state.clock, step.state.stage) == (START + timedelta(days=2), Clock(), 1)
    assert shares(passed(of, step.state)) == {"staff": 10, "beta": 50, "paying": 20}


def test_a_share_grows_again_to_what_gates_have_passed() -> None:
    """And no further, unless somebody who may says so with a reason."""
    of = plan(("staff", 50), ("beta", 50))
    state = passed(of, begun(of))
    state = machine.command(of, state, adjust("staff", 10), START).state
    back = machine.command(of, state, adjust("staff", 50), START)
    assert (back.decisions[0].kind, shares(back.state)["staff"]) == ("adjusted", 50)
    why = refusal(of, state, adjust("staff", 60))
    assert why == "of staff gates have passed at 50 %; more goes through its stage, or with an override"
    asked = adjust("staff", 60, override=True, reason="a promise")
    assert SHARE_OVERRIDE in (refusal(of, state, asked) or "")
    silent = adjust("staff", 60, override=True, roles=(SHARE_OVERRIDE,))
    assert "give a reason" in (refusal(of, state, silent) or "")
    allowed = adjust("staff", 60, override=True, roles=(SHARE_OVERRIDE,), reason="a promise")
    step = machine.command(of, state, allowed, START)
    assert step.decisions[0].kind == "adjusted_by_override"
    assert "overrides that gates have not passed" in step.decisions[0].text
    assert shares(step.state)["staff"] == 60


def test_the_part_a_stage_is_about_needs_its_gates_first() -> None:
    """Its share in the present stage has not been proven yet; a smaller one is what its gates then prove."""
    of = plan(("staff", 50), ("beta", 50))
    state = begun(of)
    assert "no gate has passed" in (refusal(of, state, adjust("staff", 60)) or "")
    smaller = machine.command(of, state, adjust("staff", 20), START).state
    watched = machine.watch_request(of, smaller)
    assert watched is not None
    assert watched.stage.watched == {"new": 20_000, "old": 80_000}
    assert smaller.share == 0.2
    assert "gates have passed at 20 %" in (refusal(of, passed(of, smaller), adjust("staff", 50)) or "")


def test_a_part_that_is_not_reached_yet_brings_those_before_it() -> None:
    """First match has to go on winning: the ones before stand there with nobody, until their stages come."""
    of = plan(*PARTS)
    order = adjust("paying", 5, override=True, roles=(SHARE_OVERRIDE,), reason="pilot")
    state = machine.command(of, begun(of), order, START).state
    assert shares(state) == {"staff": 100, "beta": 0, "paying": 5}
    second = passed(of, state)
    assert shares(second) == {"staff": 100, "beta": 50, "paying": 5}
    assert shares(passed(of, second)) == {"staff": 100, "beta": 50, "paying": 20}


def test_more_than_its_stage_plans_is_kept() -> None:
    """Nobody loses the candidate because the stage of a part begins."""
    of = plan(("staff", 50), ("beta", 50))
    order = adjust("beta", 80, override=True, roles=(SHARE_OVERRIDE,), reason="pilot")
    state = machine.command(of, begun(of), order, START).state
    assert shares(passed(of, state)) == {"staff": 50, "beta": 80}


def test_a_failed_gate_takes_its_proof_back() -> None:
    """What has failed since is not proven any more."""
    of = plan(("staff", 50), ("beta", 50), on_no_data="hold")
    of = of.model_copy(update={"stages": tuple(s.model_copy(update={"on_fail": "previous_stage"}) for s in of.stages)})
    second = passed(of, begun(of))
    first = passed(of, second, Verdict.FAIL)
    assert (first.stage, first.passed) == (0, {"staff": 50_000})
    paused = passed(of.model_copy(update={"stages": of.stages[:1]}), begun(of), Verdict.FAIL)
    assert paused.passed == {}


def test_other_is_a_part_where_a_stage_is_about_it() -> None:
    """It is the share of all whom no region matches."""
    of = plan(("dach", 50), other=10)
    assert parts_of(of) == ("dach", OTHER)
    state = passed(of, begun(of))
    state = machine.command(of, state, adjust(OTHER, 5), START).state
    assert shares(state) == {"dach": 50, OTHER: 5}
    assert state.share == 0.05


def test_a_region_that_is_off_can_be_switched_on() -> None:
    """By override, as nothing was ever asked about it."""
    spec = {"regions": [{"name": "a", "percentage": 50}, {"name": "b", "enabled": False}], "kind": "geographic"}
    of = plan(("x", 1)).model_copy(update={"stages": compile_plan(_spec(spec), "old").stages})
    order = adjust("b", 5, override=True, roles=(SHARE_OVERRIDE,), reason="now")
    assert shares(machine.command(of, begun(of), order, START).state) == {"a": 50, "b": 5}


def _spec(strategy: dict[str, Any]) -> Any:
    gates = [{"metric": "success_rate", "min": 0.9}]
    return parse_spec({"flag": "f", "candidate": "new", "strategy": strategy, "gates": gates})


def test_nothing_is_compared_with_nobody() -> None:
    """A stage whose gates all compare cannot have its part at 100 %, whoever asks."""
    of = plan(("staff", 50), ("beta", 50), gates=[{"metric": "error_rate", "versus": "stable"}])
    order = adjust("staff", 100, override=True, roles=(SHARE_OVERRIDE,), reason="all")
    assert "every gate compares staff" in (refusal(of, begun(of), order) or "")
    both = [{"metric": "error_rate", "versus": "stable"}, {"metric": "success_rate", "min": 0.9}]
    mixed = plan(("staff", 50), ("beta", 50), gates=both)
    watched = machine.watch_request(mixed, machine.command(mixed, begun(mixed), order, START).state)
    assert watched is not None
    assert [gate.metric for gate in (*watched.stage.gates, *watched.stage.guardrails)] == ["success_rate"]


def test_a_pause_lets_shares_shrink_alone() -> None:
    """And going on begins the stage again."""
    of = plan(("staff", 50), ("beta", 50))
    state = passed(of, begun(of))
    state = machine.command(of, state, Command(id="p", kind="pause"), START).state
    shrunk = machine.command(of, state, adjust("staff", 10), START).state
    assert (shrunk.state, shares(shrunk)["staff"]) == (State.PAUSED, 10)
    assert "resume first" in (refusal(of, shrunk, adjust("staff", 50)) or "")
    again = machine.command(of, shrunk, Command(id="r", kind="resume"), START)
    assert (again.decisions[0].kind, shares(again.state)) == ("restarted", {"staff": 10, "beta": 50})


def test_shares_grow_only_when_traffic_may_move_forward() -> None:
    """Outside its windows and in a freeze a share may shrink; more takes the role for that, and is recorded."""
    of = plan(("staff", 50), ("beta", 50))
    state = machine.command(of, passed(of, begun(of)), adjust("staff", 10), START).state
    shut = Closed(opens_at=None, why="frozen: year-end")
    assert windows_for(of, state, adjust("staff", 50)) == ()
    assert windows_for(of, state, adjust("staff", 5)) is None
    why = refusal(of, state, adjust("staff", 50), shut) or ""
    assert (
        f"frozen: year-end); it opens when the freeze is removed, and somebody with the role {FREEZE_OVERRIDE}" in why
    )
    order = adjust("staff", 50, roles=(FREEZE_OVERRIDE,), reason="the fix")
    decision = machine.command(of, state, order, START, shut).decisions[0]
    assert (decision.kind, decision.overrode) == ("adjusted", shut)
    assert decision.text.endswith("by bob: the fix; overrides that it is frozen: year-end")
    assert refusal(of, state, adjust("staff", 5), shut) is None


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (adjust("nobody", 5), "has no cohort or region nobody; it has staff, beta, paying"),
        (adjust("staff", 100), "staff has 100 % already"),
        (Command(id="x", kind="adjust"), "needs a part and a weight"),
    ],
)
def test_what_cannot_be_adjusted(order: Command, message: str) -> None:
    """With what would work."""
    of = plan(*PARTS)
    assert message in (refusal(of, begun(of), order) or "")
    step = machine.command(of, begun(of), order, START)
    assert step.decisions[0].kind == "refused"


def test_a_rollout_of_all_users_alike_has_no_parts() -> None:
    """A canary's shares follow from its stages."""
    spec = {
        "flag": "f",
        "candidate": "new",
        "strategy": {"kind": "canary"},
        "gates": [{"metric": "success_rate", "min": 0.9}],
    }
    of = compile_plan(parse_spec(spec), "old")
    assert "moves all users alike" in (refusal(of, begun(of), adjust("beta", 5)) or "")


EVENTS = st.one_of(
    st.sampled_from([Verdict.PASS, Verdict.PASS, Verdict.FAIL]),
    st.tuples(st.sampled_from([name for name, _ in PARTS]), st.integers(0, 100)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(EVENTS, max_size=12))
def test_a_share_never_grows_beyond_its_stage_and_its_proof(events: list[Any]) -> None:
    """Whatever happens: without an override, a part grows by entering its stage, or up to what its gates passed."""
    of = plan(*PARTS, on_no_data="hold")
    planned = {name: float(percentage) for name, percentage in PARTS}
    state, proven = begun(of), dict[str, float]()
    for event in events:
        if state.state.ended or state.ending is not None:
            break
        before, stage = shares(state), state.stage
        if isinstance(event, Verdict):
            if event is Verdict.PASS:
                name = PARTS[stage][0]
                proven[name] = max(proven.get(name, 0), before[name])
            state = passed(of, state, event)
        else:
            state = machine.command(of, state, adjust(*event, id=f"{len(proven)}{event}{state.seq}"), START).state
        if state.last is None or state.last.weights is None:
            continue
        for name, share in shares(state).items():
            entered = state.stage > stage and name == PARTS[state.stage][0]
            assert share <= max(before.get(name, 0), proven.get(name, 0), planned[name] if entered else 0)
