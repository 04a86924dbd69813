"""Strategies: what a spec is compiled to, as data."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.domain.errors import InvalidInput
from turnout.domain.plan import Approval, Bounds, Gate, Plan, Stage
from turnout.strategies import compile_plan, parse_spec

DAY = timedelta(days=1)
BASE: dict[str, Any] = {
    "flag": "answer-engine",
    "candidate": "lightrag",
    "gates": [{"metric": "success_rate", "min": 0.95}],
}
SPLIT = Gate(metric="sample_ratio", on_fail="hold", alpha_fail=0.001)


def plan(kind: str = "canary", strategy: dict[str, Any] | None = None, **more: Any) -> Plan:
    """The plan from perplexity."""
    return compile_plan(parse_spec(BASE | {"strategy": {"kind": kind} | (strategy or {})} | more), "perplexity")


def test_a_canary_as_data() -> None:
    """Its defaults: 5, 50 and 100 %, a day each, everybody back for a failure, the split watched between two arms."""
    stage = Stage(
        name="5 %",
        weights={"lightrag": 5_000, "perplexity": 95_000},
        hold=DAY,
        deadline=DAY,
        check_every=timedelta(seconds=30),
        gates=(Gate(metric="success_rate", min=0.95),),
        guardrails=(SPLIT,),
        on_fail="rollback",
    )
    last = {"name": "100 %", "weights": {"lightrag": 100_000, "perplexity": 0}, "guardrails": ()}
    half = {"name": "50 %", "weights": {"lightrag": 50_000, "perplexity": 50_000}}
    assert plan() == Plan(
        flag="answer-engine",
        stable="perplexity",
        candidate="lightrag",
        strategy="canary",
        stages=(stage, stage.model_copy(update=half), stage.model_copy(update=last)),
    )


def test_a_canary_that_is_moved_and_taken_back_by_hand() -> None:
    """Later stages wait for promote; failures of gates and guardrails pause, unless a guardrail says otherwise."""
    guardrails = [{"metric": "error_rate", "max": 0.1}, {"metric": "cost", "max": 5, "on_fail": "rollback"}]
    stages = plan(strategy={"auto_promote": False, "auto_rollback": False}, guardrails=guardrails).stages
    assert [stage.manual for stage in stages] == [False, True, True]
    assert {stage.on_fail for stage in stages} == {"pause"}
    assert [gate.on_fail for gate in stages[0].guardrails] == ["pause", "rollback", "hold"]


@pytest.mark.parametrize(("shares", "names"), [((50, 50), ["50 %", "100 %"]), ((100, 100), ["100 %"])])
def test_equal_shares_of_a_canary_are_one_stage(shares: tuple[float, float], names: list[str]) -> None:
    """Nothing is held twice."""
    strategy = {"percentage": shares[0], "max_percentage": shares[1]}
    assert [stage.name for stage in plan(strategy=strategy).stages] == names


@pytest.mark.parametrize("shares", [(0, 50), (60, 50)])
def test_a_canary_grows(shares: tuple[float, float]) -> None:
    """It begins above nothing and not above its second share."""
    with pytest.raises(InvalidInput, match=r"do not grow.*write a percentage above 0"):
        plan(strategy={"percentage": shares[0], "max_percentage": shares[1]})


def test_a_gradual_as_data() -> None:
    """Its defaults: six stages of a day; a failed gate goes back one, a failed guardrail takes everybody back."""
    stages = plan("gradual", guardrails=[{"metric": "error_rate", "max": 0.1}]).stages
    assert [stage.weights["lightrag"] for stage in stages] == [5_000, 10_000, 25_000, 50_000, 75_000, 100_000]
    assert {(stage.hold, stage.on_fail, stage.manual) for stage in stages} == {(DAY, "previous_stage", False)}
    assert {stage.guardrails[0].on_fail for stage in stages} == {"rollback"}
    assert list(stages[0].weights) == ["lightrag", "perplexity"]


@pytest.mark.parametrize(
    ("stages", "message"), [([5, 5, 100], "must grow"), ([0, 100], "must grow"), ([5, 50], "end at 100")]
)
def test_a_gradual_grows_to_all(stages: list[int], message: str) -> None:
    """From above nothing, step by step, to everybody."""
    with pytest.raises(InvalidInput, match=message):
        plan("gradual", {"stages": stages})


@given(st.lists(st.integers(1, 99_999), max_size=8, unique=True).map(sorted))
def test_weights_are_exact_and_grow(shares: list[int]) -> None:
    """Every share is in the plan to the thousandth of a percent, and the rest is stable's."""
    stages = plan("gradual", {"stages": [*(share / 1000 for share in shares), 100]}).stages
    assert [stage.weights["lightrag"] for stage in stages] == [*shares, 100_000]
    assert {sum(stage.weights.values()) for stage in stages} == {100_000}


def test_usual_allowances_are_in_the_plan() -> None:
    """What a comparison does not say is compiled in; what it says stays; at 100 % it is not asked."""
    metrics = ["error_rate", "quality_score", "satisfaction", "cost"]
    gates: list[dict[str, Any]] = [{"metric": metric, "versus": "stable"} for metric in metrics]
    gates.append({"metric": "response_time", "quantile": 0.95, "versus": "stable"})
    gates += [{"metric": "cost", "versus": "stable", "margin": 0}, {"metric": "cost", "versus": "stable", "ratio": 2}]
    first, _, last = plan(gates=[*BASE["gates"], *gates]).stages
    allowed = [(gate.ratio, gate.margin) for gate in first.gates[1:]]
    usual: list[tuple[float | None, float | None]] = [(1.5, None), (None, 0.02), (None, 0.02), (1.1, None), (1.5, None)]
    assert allowed == [*usual, (None, 0), (2, None)]
    assert [gate.metric for gate in last.gates] == ["success_rate"]


def test_what_compares_is_not_asked_of_everybody() -> None:
    """Scores and the split of the users need both arms as well."""
    score = {"metric": "score", "score": {"metrics": [{"metric": "cost", "direction": "increase"}]}}
    first, _, last = plan(gates=[*BASE["gates"], score]).stages
    assert [gate.metric for gate in first.gates] == ["success_rate", "score"]
    assert [gate.metric for gate in last.gates] == ["success_rate"]
    assert last.guardrails == ()


def test_the_split_is_watched_as_the_spec_says() -> None:
    """By the spec's own guardrail, completed; or not at all."""
    own = plan(guardrails=[{"metric": "sample_ratio", "on_fail": "pause"}]).stages[0].guardrails
    assert [(gate.metric, gate.on_fail, gate.alpha_fail) for gate in own] == [("sample_ratio", "pause", 0.001)]
    surer = plan(guardrails=[{"metric": "sample_ratio", "alpha_fail": 1e-5}]).stages[0].guardrails
    assert [(gate.on_fail, gate.alpha_fail) for gate in surer] == [("hold", 1e-5)]
    assert plan(sample_ratio=False).stages[0].guardrails == ()


def test_policies_deadlines_and_bounds_reach_every_stage() -> None:
    """What the spec says of all stages is in each of them, a gate's own policy in the gate."""
    gates = [{"metric": "success_rate", "min": 0.95, "on_no_data": "rollback"}]
    policies = {
        "on_no_data": "hold",
        "on_inconclusive": "advance_if_no_evidence_of_harm",
        "on_source_error": "rollback",
    }
    made = plan(gates=gates, deadline="2h", max_attempts=5, bounds={"cost": {"min": 0}}, **policies)
    for stage in made.stages:
        assert {name: getattr(stage, name) for name in policies} == policies
        assert (stage.deadline, stage.max_attempts, stage.gates[0].on_no_data) == (timedelta(hours=2), 5, "rollback")
    assert made.bounds == {"cost": Bounds(min=0)}


def test_a_short_hold_has_a_longer_deadline() -> None:
    """At least ten minutes, so that a stage of seconds is not overdue before anything is known."""
    stage = plan(strategy={"observation_period": "10s"}).stages[0]
    assert (stage.hold, stage.deadline) == (timedelta(seconds=10), timedelta(minutes=10))


def test_approvals_belong_to_the_stage_that_reaches_their_share() -> None:
    """Before 30 % is before the stage of 50 %; the last of several due at once counts."""
    approvals = [{"before": 30, "by": "lead"}, {"before": "50%", "by": "approver"}, {"before": 100}]
    stages = plan(approvals=approvals).stages
    assert [stage.approval for stage in stages] == [None, Approval(by="approver"), Approval()]


def test_a_plan_survives_its_trip_through_json() -> None:
    """The rollout carries it as JSON; reading it back changes nothing."""
    made = plan(gates=[*BASE["gates"], {"metric": "cost", "versus": "stable"}], bounds={"cost": {"min": 0}})
    assert Plan.model_validate_json(made.model_dump_json()) == made


def test_the_stable_variant_is_no_candidate() -> None:
    """There would be nothing to move."""
    with pytest.raises(InvalidInput, match="serves all users already"):
        compile_plan(parse_spec(BASE | {"strategy": {"kind": "canary"}}), "lightrag")
