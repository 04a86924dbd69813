"""What a person may write of a rollout, and what is said about the rest."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from turnout.domain.errors import InvalidInput, Problem
from turnout.strategies import RolloutSpec, compile_plan, parse_spec

OUTSIDE = {"kind": "json", "url": "http://x"}
POINT = OUTSIDE | {"pointer": "a"}
CARD: dict[str, Any] = {"metrics": [{"metric": "cost", "direction": "increase"}]}
GOOD: dict[str, Any] = {"metric": "success_rate", "min": 0.95}


def document(**more: Any) -> dict[str, Any]:
    """A canary with one gate."""
    strategy = {"kind": "canary"}
    return {"flag": "answer-engine", "candidate": "lightrag", "strategy": strategy, "gates": [GOOD]} | more


def accepted(**more: Any) -> RolloutSpec:
    """`document`, which is expected to be right."""
    return parse_spec(document(**more))


def problems(**more: Any) -> list[Problem]:
    """What is wrong with `document`."""
    with pytest.raises(InvalidInput) as error:
        parse_spec(document(**more))
    return list(error.value.problems)


def gate(**fields: Any) -> dict[str, Any]:
    """A gate on the success rate, without a limit."""
    return {"metric": "success_rate"} | fields


@pytest.mark.parametrize(
    "written",
    [
        gate(min=0.95),
        gate(max=0.05, metric="error_rate", method="fixed", alpha_fail=0.01, alpha_pass=0.1),
        gate(versus="stable"),
        gate(versus="stable", margin=0),
        gate(versus="stable", ratio=1),
        gate(metric="response_time", quantile=0.95, max=5000),
        gate(metric="response_time", quantile=0.95, versus="stable"),
        gate(metric="response_time", versus="stable", margin=50),
        gate(metric="tokens", versus="stable", ratio=1.2, better="lower"),
        gate(metric="score", score=CARD),
        gate(metric="cost", max=2, source=POINT, failure_limit=0, consecutive_error_limit=0),
        gate(min=0.9, on_no_data="hold", on_inconclusive="advance_if_no_evidence_of_harm", on_source_error="rollback"),
        gate(min=0.9, dry_run=True),
    ],
)
def test_gates_that_are_right(written: dict[str, Any]) -> None:
    """Every form of the documentation."""
    assert accepted(gates=[GOOD, written]).gates[1].metric == written["metric"]


@pytest.mark.parametrize("action", ["rollback", "pause", "hold"])
def test_guardrails_act_or_make_the_stage_wait(action: str) -> None:
    """A guardrail's on_fail may be any of the three; its sureness is higher unless the spec says."""
    (guardrail,) = accepted(guardrails=[gate(min=0.5, on_fail=action, on_source_error="hold")]).guardrails
    assert (guardrail.on_fail, guardrail.confidence) == (action, 0.99)


FAULTS: list[tuple[dict[str, Any], str, str, str, str]] = [
    (gate(), "", "needs exactly one of min, max, versus and score; found none", "keep one", ""),
    (gate(min=0.9, max=1), "", "found min and max", "keep one", ""),
    (gate(min=95), ".min", "success_rate is a rate from 0 to 1", "write 0.95 for 95 %", "95"),
    (gate(max=-0.1), ".max", "is a rate from 0 to 1", "0.95", "-0.1"),
    (gate(min=0.9, margin=0.1), ".margin", "belongs to a comparison", "add versus: stable", "0.1"),
    (gate(min=0.9, ratio=2), ".ratio", "belongs to a comparison", "or remove ratio", "2"),
    (gate(versus="stable", ratio=1.5, margin=0.1), ".ratio", "and so does margin", "keep one", "1.5"),
    (gate(versus="stable", ratio=0.9), ".ratio", "must be at least 1", "write 1 for not worse at all", "0.9"),
    (
        gate(metric="tokens", versus="stable"),
        ".versus",
        "tokens may be than stable's has no usual",
        "add a margin",
        "'stable'",
    ),
    (gate(metric="response_time", versus="stable"), ".versus", "has no usual value", "or a ratio", "'stable'"),
    (gate(versus="stable", quantile=0.9), ".quantile", "is a rate and has no quantiles", "response_time", "0.9"),
    (gate(metric="cost", min=1, quantile=0.9), ".quantile", "needs a max, or versus: stable", "how large", "0.9"),
    (
        gate(metric="cost", versus="stable", quantile=0.9, margin=1),
        ".margin",
        "has no meaning between quantiles",
        "write ratio: 1.5",
        "1",
    ),
    (gate(min=0.9, better="lower"), ".better", "which way success_rate is better is known", "remove it", "'lower'"),
    (gate(min=0.9, score=CARD), "", "found min and score", "keep one", ""),
    (gate(score=CARD), ".metric", "is not the metric of a scorecard", "write metric: score", "'success_rate'"),
    (gate(metric="score"), ".score", "is what metric: score asks about", "add score: {metrics", ""),
    (gate(metric="score", score=CARD, min=80), ".min", "has no meaning for a score", "passing and marginal", "80"),
    (
        gate(metric="score", score=CARD | {"passing": 60}),
        ".score.marginal",
        "must be below passing, 60",
        "lower it",
        "75",
    ),
    (
        gate(metric="score", score={"metrics": CARD["metrics"] * 2}),
        ".score.metrics[1].metric",
        "is scored already",
        "score each metric once",
        "'cost'",
    ),
    (
        gate(metric="score", score=CARD, source=POINT),
        ".source",
        "score needs single outcomes",
        "remove source",
        "'json'",
    ),
    (gate(min=0.9, failure_limit=3), ".failure_limit", "one number, and outcomes are more", "remove it", "3"),
    (gate(min=0.9, source=OUTSIDE), ".source", "needs either pointer, or numerator and denominator", "one of", ""),
    (gate(min=0.9, source=POINT | {"numerator": "b"}), ".source", "needs either pointer", "one of the two", ""),
    (gate(versus="stable", source=POINT), ".versus", "needs single outcomes, and a json source", "query", "'stable'"),
    (gate(metric="cost", max=1, quantile=0.9, source=POINT), ".quantile", "needs single outcomes", "min or max", "0.9"),
    (gate(min=0.9, confidence=0.9, alpha_pass=0.1), ".alpha_pass", "and so does confidence", "keep one", "0.1"),
    (gate(min=0.9, on_fail="hold"), ".on_fail", "belongs to a guardrail", "move it to guardrails:", "'hold'"),
    (gate(metric="sample_ratio"), ".metric", "says nothing about the candidate", "guardrails:", "'sample_ratio'"),
    (gate(min=0.9, alpha_fail=0.5), ".alpha_fail", "input should be less than 0.5", "", "0.5"),
    (gate(min=0.9, alpha_pass=0), ".alpha_pass", "input should be greater than 0", "", "0"),
    (gate(min=0.9, confidence=1), ".confidence", "input should be less than 1", "", "1"),
    (gate(min=float("nan")), ".min", "input should be a finite number", "", "nan"),
    (
        gate(min=0.9, on_no_data="advance_if_no_evidence_of_harm"),
        ".on_no_data",
        "'pause', 'rollback' or 'hold'",
        "",
        "'adv",
    ),
    (gate(min=0.9, dryrun=True), ".dryrun", "unknown field", "did you mean dry_run?", ""),
]


@pytest.mark.parametrize(("written", "path", "message", "remedy", "value"), FAULTS)
def test_gates_that_are_wrong(written: dict[str, Any], path: str, message: str, remedy: str, value: str) -> None:
    """Each fault names the field, the value and what to write instead."""
    found = problems(gates=[GOOD, written])
    named = [problem for problem in found if message in problem.message]
    assert len(named) == 1, found
    assert named[0].path == f"gates[1]{path}"
    assert remedy in named[0].remedy
    assert named[0].value.startswith(value)


@pytest.mark.parametrize("field", ["min", "max", "quantile", "margin", "ratio"])
def test_the_split_has_no_limit_but_the_plan(field: str) -> None:
    """A guardrail on the split of the users takes none of the fields that set a limit."""
    (problem,) = problems(guardrails=[{"metric": "sample_ratio", field: 0.5}])
    assert (problem.path, problem.value) == (f"guardrails[0].{field}", "0.5")
    assert "whose limit is the planned split" in problem.message


def test_the_split_is_seen_in_outcomes_alone() -> None:
    """No other source knows the users."""
    (problem,) = problems(guardrails=[{"metric": "sample_ratio", "source": POINT}])
    assert (problem.path, problem.message) == ("guardrails[0].source", "sample_ratio needs single outcomes")


@pytest.mark.parametrize("field", ["on_no_data", "on_inconclusive"])
def test_a_guardrail_has_no_say_in_doubt(field: str) -> None:
    """It acts when it fails, so a policy for anything but its source would never apply."""
    (problem,) = problems(guardrails=[gate(min=0.5, **{field: "rollback"})])
    assert (problem.path, problem.value) == (f"guardrails[0].{field}", "'rollback'")
    assert "has no effect on a guardrail" in problem.message


def test_every_fault_of_a_gate_is_told_at_once() -> None:
    """Nobody has to correct one to hear of the next."""
    found = {problem.path for problem in problems(gates=[gate(min=5, max=1, ratio=0.5, margin=0.1)])}
    assert found == {"gates[0]", "gates[0].min", "gates[0].margin", "gates[0].ratio"}


@pytest.mark.parametrize("gates", [[], [GOOD | {"dry_run": True}]])
def test_traffic_does_not_grow_without_a_gate(gates: list[dict[str, Any]]) -> None:
    """A spec whose gates decide nothing has none; one that a person moves needs none."""
    (problem,) = problems(gates=gates)
    assert ("every gate is a dry run" if gates else "there is no gate") in problem.message
    assert "auto_promote: false" in problem.remedy
    assert accepted(gates=gates, strategy={"kind": "canary", "auto_promote": False})


def test_bounds_that_are_right() -> None:
    """A metric with numbers may be bounded on one side or both, also a custom one."""
    spec = accepted(bounds={"quality_score": {"min": 0, "max": 1}, "tokens": {"min": 0}})
    assert (spec.bounds["quality_score"].max, spec.bounds["tokens"].max) == (1, None)


@pytest.mark.parametrize("name", ["success_rate", "sample_ratio", "score"])
def test_what_has_no_values_has_no_bounds(name: str) -> None:
    """Rates are 0 or 1, a split and a score are no metric of an outcome."""
    (problem,) = problems(bounds={name: {"min": 0}})
    assert (problem.path, problem.message) == (f"bounds.{name}", "has no values to bound")


@pytest.mark.parametrize("bounds", [{}, {"min": 1, "max": 0}, {"min": 1, "max": 1}])
def test_bounds_bound_something(bounds: dict[str, float]) -> None:
    """A range without an end, or without anything in it, is a mistake."""
    (problem,) = problems(bounds={"cost": bounds})
    assert problem.path == "bounds.cost"
    assert "the min below the max" in problem.message


def test_a_limit_lies_within_the_bounds() -> None:
    """One outside could never be reached; gates and guardrails alike."""
    (problem,) = problems(
        gates=[GOOD, {"metric": "quality_score", "min": 3}], bounds={"quality_score": {"min": 0, "max": 1}}
    )
    assert (problem.path, problem.value) == ("gates[1].min", "3")
    assert problem.message == "lies outside the bounds of quality_score, 0 to 1"
    (problem,) = problems(guardrails=[{"metric": "cost", "max": -1}], bounds={"cost": {"min": 0}})
    assert problem.path == "guardrails[0].max"


def test_checks_are_not_too_frequent() -> None:
    """A second is the shortest interval."""
    (problem,) = problems(check_every="500ms")
    assert (problem.path, problem.message) == ("check_every", "must be at least 1s")
    assert accepted(check_every="1s").check_every == timedelta(seconds=1)


@pytest.mark.parametrize(("written", "read"), [(5, 5.0), ("2.5", 2.5), ("50 %", 50.0), ("0.001%", 0.001)])
def test_percentages(written: object, read: float) -> None:
    """With and without the sign, in steps of a thousandth."""
    spec = accepted(approvals=[{"before": written}])
    assert spec.approvals[0].before == read


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (True, "is not a percentage"),
        ("five", "is not a percentage"),
        (101, "is not a percentage"),
        (0.0001, "is finer"),
    ],
)
def test_what_is_no_percentage(written: object, message: str) -> None:
    """Neither a truth, nor a word, nor more than everybody, nor finer than traffic can be split."""
    (problem,) = problems(approvals=[{"before": written}])
    assert problem.path == "approvals[0].before"
    assert problem.message.startswith(message)


@pytest.mark.parametrize("written", [None, [], "text"])
def test_a_spec_is_a_mapping(written: object) -> None:
    """Anything else is told what to begin with."""
    with pytest.raises(InvalidInput, match=r"a rollout spec is a mapping.*start with flag:"):
        parse_spec(written)


@pytest.mark.parametrize(("name", "message"), [("a\nb", "is no name"), (" ", "is no name"), ("x" * 201, "200")])
def test_a_name_is_one_line_for_people(name: str, message: str) -> None:
    """At most 200 printable characters; the plan carries it, and a rollout needs none."""
    (found,) = problems(name=name)
    assert (found.path, message in str(found)) == ("name", True)
    assert compile_plan(accepted(name="spring answers"), "perplexity").name == "spring answers"
    assert compile_plan(accepted(), "perplexity").name is None
