"""A/B and multivariate tests compile to one stage with fixed shares."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from turnout.domain.errors import InvalidInput
from turnout.domain.experiments import Experiment
from turnout.domain.plan import Plan
from turnout.strategies import compile_plan, parse_spec

SUCCESS = {"metric": "success_rate", "baseline": 0.9, "smallest_effect": 0.02}


def spec(**strategy: Any) -> dict[str, Any]:
    """An A/B test."""
    fields = {"kind": "ab_test", "metrics": [SUCCESS]} | strategy
    return {"flag": "engine", "candidate": "new", "strategy": fields}


def planned(document: dict[str, Any]) -> tuple[Plan, Experiment]:
    """The plan of ``document``, and its test."""
    plan = compile_plan(parse_spec(document), "old")
    trial = plan.stages[0].gates[0].experiment
    assert trial is not None
    return plan, trial


def problems(document: dict[str, Any]) -> str:
    """What is wrong with ``document``, a line each."""
    with pytest.raises(InvalidInput) as caught:
        compile_plan(parse_spec(document), "old")
    return "\n".join(map(str, caught.value.problems))


def test_one_stage_with_fixed_shares() -> None:
    """Half and half until the time is up; the split is watched, the test is the first gate."""
    plan, trial = planned(spec(max_duration="14d"))
    (stage,) = plan.stages
    assert (stage.weights, stage.hold, plan.share(0)) == ({"new": 50_000, "old": 50_000}, timedelta(days=14), 0.5)
    assert [gate.metric for gate in stage.guardrails] == ["sample_ratio"]
    assert (stage.exposed, plan.end) == (100_000, "return")
    assert planned(spec(exposure="12.5%"))[0].stages[0].exposed == 12_500
    assert (trial.control, trial.treatments, trial.arms) == ("old", ("new",), stage.weights)


def test_the_sample_follows_from_the_effect() -> None:
    """R's power.prop.test(p1 = .9, p2 = .92, power = .8): n = 3212.93 in each group."""
    assert planned(spec())[1].sample == 6426
    assert planned(spec(ratio=0.25))[1].sample == 8733
    assert planned(spec(minimum_sample_size=5000))[1].sample == 5000


def test_several_metrics_need_more() -> None:
    """The error rate is shared by the metrics to win by, and the most demanding metric decides."""
    quality = {"metric": "quality_score", "deviation": 1, "smallest_effect": 0.1}
    # statsmodels 0.15.0: TTestIndPower().solve_power(0.1, power=.8, alpha=.025) is 1902.26 an arm.
    assert planned(spec(metrics=[SUCCESS, quality]))[1].sample > 6426
    easier = SUCCESS | {"smallest_effect": 0.05}
    assert planned(spec(metrics=[easier, quality]))[1].sample == pytest.approx(2 * 1902.26, abs=2)


def test_a_margin_can_need_the_most() -> None:
    """A metric that may not get worse counts by its margin where its spread is given; it takes no error rate."""
    cost = {"metric": "cost", "goal": "not_worse", "margin": 0.05, "deviation": 1}
    sample = planned(spec(metrics=[SUCCESS, cost]))[1].sample
    assert sample == pytest.approx(4 * (1.959964 + 0.841621) ** 2 / 0.05**2 + 2, abs=1)


def test_gates_are_asked_beside_the_test() -> None:
    """Gates and guardrails of the spec stay what they are."""
    document = spec() | {
        "gates": [{"metric": "success_rate", "min": 0.8}],
        "guardrails": [{"metric": "error_rate", "max": 0.3}],
    }
    plan, _ = planned(document)
    assert [gate.metric for gate in plan.stages[0].gates] == ["experiment", "success_rate"]
    assert [(gate.metric, gate.on_fail) for gate in plan.stages[0].guardrails] == [
        ("error_rate", "rollback"),
        ("sample_ratio", "hold"),
    ]


@pytest.mark.parametrize(
    ("strategy", "told"),
    [
        ({"metrics": ["success_rate"]}, "strategy.metrics[0].smallest_effect: is missing"),
        ({"metrics": [{"metric": "depth", "smallest_effect": 1}]}, "strategy.metrics[0].deviation: is missing"),
        ({"metrics": []}, "strategy.metrics: none is to improve"),
        ({"metrics": [SUCCESS, SUCCESS]}, "strategy.metrics[1].metric: is tested already"),
        ({"metrics": [SUCCESS | {"smallest_effect": 0.2}]}, "goes beyond 0 to 1 from the baseline of 0.9"),
        ({"metrics": [SUCCESS | {"deviation": 1}]}, "strategy.metrics[0].deviation: success_rate is a rate"),
        ({"metrics": [SUCCESS | {"better": "higher"}]}, "which way success_rate is better is known"),
        ({"metrics": [SUCCESS | {"margin": 1}]}, "strategy.metrics[0].margin: belongs to goal: not_worse"),
        ({"metrics": [SUCCESS, {"metric": "cost", "goal": "not_worse"}]}, "strategy.metrics[1].margin: is how much"),
        ({"metrics": [{"metric": "sample_ratio"}], "minimum_sample_size": 9}, "is no metric of what users were served"),
        ({"looks": [0.5]}, "strategy.looks: must grow from above 0 to 1"),
        ({"looks": [0.5, 0.5, 1]}, "strategy.looks: must grow from above 0 to 1"),
        ({"max_duration": "0s"}, "strategy.max_duration: must be above 0"),
        ({"ratio": 1.5}, "strategy.ratio"),
        ({"exposure": 0}, "strategy.exposure: includes nobody"),
    ],
)
def test_what_does_not_fit_is_told(strategy: dict[str, Any], told: str) -> None:
    """Every fault with its path."""
    assert told in problems(spec(**strategy))


def test_what_ships_the_winner() -> None:
    """The follow-up is a whole spec but for its candidate, with the test's gates unless it has its own."""
    document = spec(ship_winner={"stages": [50, 100], "stage_duration": "1h"}) | {
        "gates": [{"metric": "success_rate", "min": 0.8}],
        "guardrails": [{"metric": "error_rate", "max": 0.3}],
        "check_every": "10s",
    }
    follow_up = planned(document)[0].follow_up
    assert follow_up is not None
    plan = compile_plan(parse_spec({**follow_up, "candidate": "other"}), "old")
    assert (plan.strategy, plan.candidate, [plan.share(0), plan.share(1)]) == ("gradual", "other", [0.5, 1.0])
    assert [gate.min for gate in plan.stages[0].gates] == [0.8]
    assert [gate.metric for gate in plan.stages[0].guardrails] == ["error_rate", "sample_ratio"]
    assert (plan.stages[0].hold, plan.stages[0].check_every) == (timedelta(hours=1), timedelta(seconds=10))
    own = spec(ship_winner={"gates": [{"metric": "cost", "max": 2}]})
    assert (planned(own)[0].follow_up or {})["gates"] == [{"metric": "cost", "max": 2}]


def test_shipping_needs_a_gate() -> None:
    """Traffic grows only on evidence; and there is nothing to ship where the winner is adopted."""
    assert "strategy.ship_winner: is a gradual rollout" in problems(spec(ship_winner={}))
    assert "strategy.ship_winner.stages: must end at 100" in problems(spec(ship_winner={"stages": [50]}))
    assert "strategy.end: makes the winner stable at once" in problems(spec(ship_winner={}, end="adopt"))


def test_no_approvals() -> None:
    """An approval waits for a growing share, which a test does not have."""
    assert "approvals: have no effect in a test" in problems(spec() | {"approvals": [{"before": 50}]})


@pytest.mark.parametrize("name", ["experiment", "arm"])
def test_gates_cannot_be_tests(name: str) -> None:
    """What strategies write into a plan is refused in a spec."""
    value = "new" if name == "arm" else {"control": "a", "arms": {"a": 1, "b": 1}, "metrics": [], "sample": 9}
    document = spec() | {"gates": [{"metric": "cost", "max": 1, name: value}]}
    assert f"gates[0].{name}" in problems(document)


THREE = {"new": 30, "other": 20, "old": 50}


def several(**strategy: Any) -> dict[str, Any]:
    """A multivariate test of two arms against old."""
    fields = {"kind": "multivariate", "allocation": THREE, "control": "old", "metrics": [SUCCESS]} | strategy
    return {"flag": "engine", "strategy": fields}


def test_a_multivariate_test() -> None:
    """The arms have the shares that are written; the candidate is the first that is no control."""
    document = several(minimum_sample_size=900) | {"guardrails": [{"metric": "error_rate", "max": 0.3}]}
    plan, trial = planned(document)
    assert plan.stages[0].weights == {"new": 30_000, "other": 20_000, "old": 50_000}
    assert (plan.candidate, trial.treatments, trial.comparisons) == ("new", ("new", "other"), 2)
    watched = [(gate.metric, gate.arm) for gate in plan.stages[0].guardrails]
    assert watched == [("error_rate", "new"), ("error_rate", "other"), ("sample_ratio", None)]


def test_the_sample_of_several_arms() -> None:
    """The smallest arm decides, at half the error rate for each of two comparisons.

    statsmodels 0.15.0: power_proportions_2indep(0.02, 0.9, n, ratio=2.5, alpha=.025) is 0.8 at n = 2775.33; that arm
    has a fifth of all users.
    """
    assert planned(several())[1].sample == pytest.approx(5 * 2775.33, abs=5)


@pytest.mark.parametrize(
    ("strategy", "told"),
    [
        ({"control": "odl"}, "strategy.control: is no arm of the allocation (got 'odl'); did you mean old?"),
        ({"allocation": {"new": 50, "old": 49}}, "strategy.allocation: does not sum to 100 % (got 99)"),
        ({"allocation": {"new": 0, "old": 100}}, "strategy.allocation.new: gets no users"),
        ({"allocation": {"old": 100}}, "strategy.allocation"),
        ({"end": "adopt"}, "strategy.end: makes the candidate stable"),
    ],
)
def test_what_does_not_fit_an_allocation(strategy: dict[str, Any], told: str) -> None:
    """Every fault with its path."""
    assert told in problems(several(**strategy) | {"candidate": "new"})


def test_a_candidate_that_is_no_arm() -> None:
    """A candidate that is written has to be one of the arms."""
    assert "candidate: is not held against the control" in problems(several() | {"candidate": "third"})
