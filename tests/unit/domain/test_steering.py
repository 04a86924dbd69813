"""What a router is told of a decision and of a stage, and what happens to a stage whose router has not taken it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.domain.watching import HOUR, START
from turnout.domain import machine
from turnout.domain.moves import Step
from turnout.domain.plan import Plan
from turnout.domain.rollout import Clock, Command, Observation, RolloutState, State
from turnout.domain.splits import Preview
from turnout.domain.steering import split_of, split_to_keep
from turnout.domain.verdicts import Verdict
from turnout.strategies import compile_plan, parse_spec

ROUTER = {
    "kind": "haproxy",
    "socket": "/run/haproxy.sock",
    "backend": "app",
    "servers": {"blue": "blue1", "green": "green1"},
}
PREVIEW = Preview(variant="green", header="x-preview", value="green")


def plan(router: dict[str, Any] | None) -> Plan:
    """Health, preview if a router can do it, 50 %, bake."""
    strategy: dict[str, Any] = {"kind": "blue_green", "health": {"url": "http://127.0.0.1:9002/"}, "steps": 2}
    if router == ROUTER:
        strategy |= {"preview": {"header": "x-preview", "value": "green"}}
    spec = {"flag": "shop", "candidate": "green", "strategy": strategy, "router": router}
    return compile_plan(parse_spec(spec), "blue")


def stepped(of: Plan, stages: int) -> Step:
    """A rollout that was promoted so often after its start."""
    step = machine.begin(of, RolloutState(rollout_id="r1", started_by="alice", generation=4), START)
    for index in range(stages):
        step = machine.command(of, step.state, Command(id=f"c{index}", kind="promote"), START + HOUR)
    return step


@pytest.mark.parametrize("router", [None, {"kind": "resolver"}])
def test_without_a_router_nothing_is_told(router: dict[str, Any] | None) -> None:
    """The flag's assignments alone decide."""
    of = plan(router)
    assert split_of(of, stepped(of, 1).decisions[0]) is None


def test_a_stage_is_told_with_its_preview() -> None:
    """Under the generation that was published; watching the stage keeps the very same."""
    of = plan(ROUTER)
    step = stepped(of, 2)
    told = split_of(of, step.decisions[0])
    assert told is not None
    assert (told.rollout_id, told.generation) == ("r1", 7)
    assert (told.weights, told.preview) == ({"green": 50_000, "blue": 50_000}, PREVIEW)
    request = machine.watch_request(of, step.state)
    assert request is not None
    assert split_to_keep(request) == told


@pytest.mark.parametrize(("promoted", "kind", "green"), [(2, "abort", 0), (3, "promote", 100_000)])
def test_leaving_the_stages_ends_the_preview(promoted: int, kind: Any, green: int) -> None:
    """Whether everybody goes back or stays."""
    of = plan(ROUTER)
    step = machine.command(of, stepped(of, promoted).state, Command(id="last", kind=kind), START + HOUR)
    told = split_of(of, step.decisions[0])
    assert told is not None
    assert (told.weights["green"], told.preview) == (green, None)


def test_what_moves_no_traffic_is_not_told() -> None:
    """A pause leaves the router as it is."""
    of = plan(ROUTER)
    paused = machine.command(of, stepped(of, 2).state, Command(id="p", kind="pause"), START + HOUR)
    assert split_of(of, paused.decisions[0]) is None


def test_a_router_away_holds_the_stage_until_its_watch_has_delivered() -> None:
    """As for a source that is away, and as long; then the hold goes on."""
    of = plan(ROUTER)
    held = machine.unrouted(of, stepped(of, 2).state, START + HOUR, "no answer")
    (decision,) = held.decisions
    assert (decision.kind, decision.state, decision.verdict) == ("held", State.HOLDING, Verdict.SOURCE_ERROR)
    assert held.state.blocked is Verdict.SOURCE_ERROR
    seen = Observation(kind="recovered", at=START + HOUR + timedelta(minutes=1), clock=Clock())
    assert machine.observe(of, held.state, seen).state.state is State.RUNNING


def test_a_router_away_does_not_stop_an_end() -> None:
    """It is told, and the rollout is ending as before."""
    of = plan(ROUTER)
    ending = machine.command(of, stepped(of, 2).state, Command(id="a", kind="abort"), START + HOUR).state
    told = machine.unrouted(of, ending, START + HOUR, "no answer")
    assert [decision.kind for decision in told.decisions] == ["held"]
    assert (told.state.ending, told.state.blocked) == (State.ABORTED, None)
