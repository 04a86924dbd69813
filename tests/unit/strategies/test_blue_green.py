"""Blue-green: what is compiled from it, with and without a router, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from turnout.domain.errors import InvalidInput
from turnout.domain.plan import Gate, HttpSource, Plan, RouterSource
from turnout.domain.routing import Haproxy
from turnout.domain.splits import Preview
from turnout.strategies import UNKNOWN_STABLE, compile_plan, parse_spec

HAPROXY = {
    "kind": "haproxy",
    "socket": "/run/haproxy.sock",
    "backend": "app",
    "servers": {"blue": "blue1", "green": "green1"},
}
URL = "http://127.0.0.1:9002/healthz"
HEADER = {"header": "x-preview", "value": "green"}
STAFF = {"segment": "staff", "if": {"===": [{"var": "team"}, "shop"]}}
RATE = {"metric": "success_rate", "min": 0.9}
VERSUS = {"metric": "error_rate", "versus": "stable"}
LEFT_OUT = object()


def spec(top: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A spec with these ``fields`` of the strategy, and ``top`` beside it."""
    strategy = {"kind": "blue_green", "health": {"url": URL}} | fields
    return {"flag": "shop", "candidate": "green", "strategy": strategy} | (top or {})


def plan(top: dict[str, Any] | None = None, **fields: Any) -> Plan:
    """Its plan from blue."""
    return compile_plan(parse_spec(spec(top, **fields)), "blue")


def told(top: dict[str, Any] | None = None, **fields: Any) -> list[str]:
    """The problems of a spec."""
    with pytest.raises(InvalidInput) as caught:
        plan(top, **fields)
    return [str(problem) for problem in caught.value.problems]


def test_its_defaults() -> None:
    """Health, ten moves in ten minutes, an hour's bake; all of it on the health of green, asked every five seconds."""
    compiled = plan()
    names = ["health of green", *(f"{share} %" for share in range(10, 100, 10)), "bake at 100 %"]
    assert [stage.name for stage in compiled.stages] == names
    assert [stage.weights["green"] for stage in compiled.stages] == [0, *range(10_000, 100_001, 10_000)]
    first, *steps, bake = compiled.stages
    assert (first.hold, bake.hold) == (timedelta(seconds=10), timedelta(hours=1))
    assert abs(sum((step.hold for step in steps), timedelta()) - timedelta(minutes=10)) < timedelta(milliseconds=1)
    assert {stage.check_every for stage in compiled.stages} == {timedelta(seconds=5)}
    assert {stage.on_fail for stage in compiled.stages} == {"rollback"}
    healthy = Gate(metric="health", source=HttpSource(kind="http", url=URL), min=1)
    assert {stage.gates for stage in compiled.stages} == {(healthy,)}
    assert all(stage.guardrails[-1] == healthy.model_copy(update={"on_fail": "rollback"}) for stage in compiled.stages)
    assert compiled.router is None


def test_a_plan_survives_being_carried() -> None:
    """As JSON and back it is the same, router and preview included."""
    compiled = plan(router=HAPROXY, preview=HEADER)
    assert Plan.model_validate_json(compiled.model_dump_json()) == compiled


@pytest.mark.parametrize(
    ("steps", "shares"), [(1, [0, 100_000]), (2, [0, 50_000, 100_000]), (3, [0, 33_333, 66_667, 100_000])]
)
def test_steps(steps: int, shares: list[int]) -> None:
    """So many moves, alike; the last one is into the bake."""
    assert [stage.weights["green"] for stage in plan(steps=steps).stages] == shares


def test_a_step_is_long_enough_to_prove_health() -> None:
    """However short the switch, each step sees as many answers in a row as are asked for."""
    stages = plan(health={"url": URL, "consecutive": 5, "interval": "2s"}, switch_duration="1s", steps=5).stages
    assert {stage.hold for stage in stages[:-1]} == {timedelta(seconds=8)}


def test_where_gates_are_asked() -> None:
    """Absolute ones at the end of the bake, those against stable before the last move; guardrails all along."""
    guardrails = [{"metric": "error_rate", "max": 0.1}, VERSUS]
    compiled = plan({"gates": [RATE, VERSUS], "guardrails": guardrails, "sample_ratio": False}, preview=STAFF, steps=3)
    assert [[gate.label for gate in stage.gates[1:]] for stage in compiled.stages] == [
        [],
        [],
        [],
        ["error_rate versus stable, ratio 1.5"],
        ["success_rate ≥ 0.9"],
    ]
    assert [len(stage.guardrails) for stage in compiled.stages] == [1, 2, 3, 3, 2]


def test_a_router_in_every_stage() -> None:
    """Each stage has a signal that it obeys, and no watch on a split of users that a router does not make."""
    compiled = plan(router=HAPROXY)
    router = Haproxy.model_validate(HAPROXY)
    assert compiled.router == router
    signal = Gate(
        metric="router", source=RouterSource(kind="router", router=router), min=1, consecutive=1, on_fail="hold"
    )
    assert all(stage.guardrails[-1] == signal for stage in compiled.stages)
    assert all(gate.metric != "sample_ratio" for stage in compiled.stages for gate in stage.guardrails)
    assert signal.label == "the router does as planned"


@pytest.mark.parametrize("strategy", [{"kind": "canary"}, {"kind": "gradual"}])
def test_any_strategy_may_have_a_router(strategy: dict[str, Any]) -> None:
    """It is written at the top."""
    compiled = plan({"strategy": strategy, "gates": [RATE], "router": HAPROXY})
    assert compiled.router is not None
    assert all(stage.guardrails[-1].source.kind == "router" for stage in compiled.stages)


def test_a_router_does_not_move_segments() -> None:
    """What gives groups of users shares of their own is decided by the resolver alone."""
    cohorts = {"kind": "cohort", "cohorts": [{"name": "staff", "match": {"ids": ["ann"]}}]}
    assert told({"strategy": cohorts, "gates": [RATE], "router": HAPROXY}) == [
        "router: sees no segments of users, which this rollout moves one by one (got haproxy); "
        "leave it out, or move everybody by shares"
    ]


def test_a_router_runs_no_test() -> None:
    """It would give one user several variants."""
    metrics = [{"metric": "success_rate", "baseline": 0.9, "smallest_effect": 0.02}]
    assert told({"strategy": {"kind": "ab_test", "metrics": metrics}, "router": HAPROXY}) == [
        "router: splits requests, and a test is about users, each of whom stays with one variant (got haproxy); "
        "leave it out; the flag's assignments divide the users"
    ]


def test_the_resolver_as_a_router_adds_nothing() -> None:
    """The assignments alone decide, as without a router; users are split, and that is watched."""
    stages = plan({"router": {"kind": "resolver"}}, steps=2).stages
    assert stages == plan(steps=2).stages
    assert stages[1].guardrails[0].metric == "sample_ratio"


def test_a_preview_by_a_header() -> None:
    """After the health of green, and on as long as there are stages; its own stage lasts as long as it says."""
    stages = plan(router=HAPROXY, preview=HEADER | {"hold": "30m"}, steps=2).stages
    shown = Preview(variant="green", header="x-preview", value="green")
    assert [stage.preview for stage in stages] == [None, shown, shown, shown]
    assert (stages[1].name, stages[1].weights["green"], stages[1].hold) == ("preview", 0, timedelta(minutes=30))


def test_a_preview_by_a_segment() -> None:
    """The resolver gives it to the segment, whose outcomes the preview is about; the rest of the plan is about all."""
    stages = plan(preview=STAFF, steps=2).stages
    assert [[segment.name for segment in stage.segments] for stage in stages] == [[], ["staff"], ["staff"], ["staff"]]
    assert stages[1].segments[0].weights == {"green": 100_000}
    assert [stage.focus for stage in stages] == [None, "staff", None, None]
    assert {stage.preview for stage in stages} == {None}
    assert compile_plan(parse_spec(spec(preview=STAFF)), UNKNOWN_STABLE).stages[1].focus == "staff"


@pytest.mark.parametrize(("preview", "first_step"), [(None, 1), (STAFF, 2)])
def test_the_switch_by_hand(preview: dict[str, Any] | None, first_step: int) -> None:
    """Without auto_promote the first move waits for promote, and no other does."""
    stages = plan(auto_promote=False, preview=preview).stages
    assert [index for index, stage in enumerate(stages) if stage.manual] == [first_step]


def test_an_approval_before_the_switch() -> None:
    """It is due at the move that reaches its share."""
    stages = plan({"approvals": [{"before": "50%", "by": "approver"}]}, steps=4).stages
    assert [stage.name for stage in stages if stage.approval] == ["50 %"]


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"health": {"url": "127.0.0.1"}}, "strategy.health.url: is not an address (got '127.0.0.1'); write http://"),
        ({"steps": 0}, "strategy.steps: input should be greater than or equal to 1 (got 0)"),
        ({"bake": "0s"}, "strategy.bake: must be more than 0s (got '0s'); for a switch at once write steps: 1"),
        ({"router": {"kind": "hapro"}}, "strategy.router.kind: unknown kind (got hapro); did you mean haproxy?"),
        (
            {"router": HAPROXY | {"backnd": "x"}},
            "strategy.router.backnd: unknown field (got 'x'); did you mean backend?",
        ),
        (
            {"router": HAPROXY | {"servers": {"blue": "b1", "gren": "g1"}}},
            "strategy.router.servers: has no entry for green, the candidate (got blue, gren); did you mean gren?; "
            "the keys are the flag's variants",
        ),
        (
            {"router": HAPROXY | {"servers": {"blau": "b1", "green": "g1"}}},
            "strategy.router.servers: has no entry for blue, the stable variant (got blau, green); did you mean blau?; "
            "the keys are the flag's variants",
        ),
        (
            {"preview": HEADER},
            "strategy.preview.header: is seen by a router, and there is none (got x-preview); write a segment and its "
            "if, or a router of kind caddy, haproxy or webhook",
        ),
        (
            {"preview": STAFF, "router": HAPROXY},
            "strategy.preview.segment: is not known to a router (got staff); write a header or a cookie and its value",
        ),
        ({"preview": {"header": "a", "cookie": "b", "value": "c"}}, "strategy.preview: needs one of header, cookie"),
        ({"preview": {"header": "a"}}, "strategy.preview: value belongs to a header or a cookie; write the text"),
        ({"preview": {"segment": "staff"}}, "strategy.preview: segment and if belong together; write whom"),
        ({"preview": STAFF | {"if": {"nope": 1}}}, "strategy.preview.if"),
    ],
)
def test_what_does_not_fit_is_told(fields: dict[str, Any], line: str) -> None:
    """With field, value and remedy."""
    assert told(**fields)[0].startswith(line)


def test_a_router_twice() -> None:
    """One of both places has to go."""
    found = told({"router": HAPROXY}, router=HAPROXY)
    assert found == ["strategy.router: is named twice (got haproxy); keep one of router and strategy.router"]


def test_in_a_pipeline() -> None:
    """Its router is that of the whole rollout; what a part before it has reached is kept while green is asked."""
    parts = [{"strategy": {"kind": "canary", "percentage": 10, "max_percentage": 10}, "gates": [RATE]}]
    last = {"strategy": {"kind": "blue_green", "health": {"url": URL}, "router": HAPROXY, "steps": 2}}
    top = {"flag": "shop", "candidate": "green", "pipeline": [*parts, last]}
    compiled = compile_plan(parse_spec(top), "blue")
    assert [(stage.name, stage.weights["green"]) for stage in compiled.stages] == [
        ("canary 10 %", 10_000),
        ("blue_green health of green", 10_000),
        ("blue_green 50 %", 50_000),
        ("blue_green bake at 100 %", 100_000),
    ]
    assert compiled.router is not None
    assert all(stage.guardrails[-1].source.kind == "router" for stage in compiled.stages)


def test_a_problem_in_a_pipeline_is_told_with_its_place() -> None:
    """The path leads into the part."""
    part = {
        "strategy": {"kind": "blue_green", "health": {"url": URL}, "steps": 1, "preview": HEADER},
        "gates": [VERSUS],
    }
    with pytest.raises(InvalidInput) as caught:
        parse_spec({"flag": "shop", "candidate": "green", "pipeline": [part | {"gates": [VERSUS]}]})
    assert [problem.path for problem in caught.value.problems] == [
        "pipeline[0].gates[0]",
        "pipeline[0].strategy.preview.header",
    ]


def test_a_comparison_with_a_switch_at_once() -> None:
    """With one step both never have traffic at the same time, so there is nothing to compare."""
    assert told({"gates": [RATE, VERSUS]}, steps=1) == [
        "gates[1]: compares with stable, and with one step there is no time in which both have traffic "
        "(got error_rate); write strategy.steps: 2 or more, or a min or max"
    ]


def test_nobody_writes_a_gate_on_the_router() -> None:
    """It comes with the router."""
    gate = {"metric": "x", "min": 1, "source": {"kind": "router", "router": HAPROXY}}
    assert told({"gates": [gate]}) == [
        "gates[0].source.kind: is put into every stage of a rollout with a router (got 'router'); "
        "remove the gate, and write router: at the top"
    ]


def test_a_router_for_an_unknown_stable() -> None:
    """Offline only the candidate's place is checked."""
    router = HAPROXY | {"servers": {"blau": "b1", "green": "g1"}}
    assert compile_plan(parse_spec(spec(router=router)), UNKNOWN_STABLE).router is not None
