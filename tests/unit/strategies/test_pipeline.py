"""Pipelines: several strategies as one plan."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.domain.errors import InvalidInput
from turnout.domain.plan import Plan
from turnout.strategies import compile_plan, parse_spec

HOUR = timedelta(hours=1)
BASE: dict[str, Any] = {
    "flag": "answer-engine",
    "candidate": "lightrag",
    "gates": [{"metric": "success_rate", "min": 0.95}],
}
GRADUAL = {"kind": "gradual", "stages": [10, 40, 70, 100], "stage_duration": "1h"}


def plan(*parts: Any, **more: Any) -> Plan:
    """The plan of a pipeline from perplexity."""
    return compile_plan(parse_spec(BASE | {"pipeline": list(parts)} | more), "perplexity")


def problems(document: dict[str, Any]) -> list[str]:
    """What is wrong with a spec."""
    with pytest.raises(InvalidInput) as refused:
        parse_spec(document)
    return [str(problem) for problem in refused.value.problems]


def test_parts_follow_each_other_and_traffic_only_grows() -> None:
    """What the canary has given is not given again, and everybody comes last."""
    made = plan("canary", {"strategy": GRADUAL})
    assert [stage.name for stage in made.stages] == ["canary 5 %", "canary 50 %", "gradual 70 %", "gradual 100 %"]
    assert [stage.on_fail for stage in made.stages] == ["rollback", "rollback", "previous_stage", "previous_stage"]
    assert [stage.hold for stage in made.stages] == [24 * HOUR, 24 * HOUR, HOUR, HOUR]
    assert (made.strategy, made.end) == ("pipeline", "adopt")


def test_a_part_may_ask_its_own_questions() -> None:
    """Its gates and guardrails take the place of the spec's."""
    own = {"gates": [{"metric": "cost", "max": 2}], "guardrails": [{"metric": "error_rate", "max": 0.2}]}
    first, _, third, _ = plan({"strategy": {"kind": "canary"}, **own}, {"strategy": GRADUAL}).stages
    assert [gate.label for gate in first.gates] == ["cost ≤ 2"]
    assert [gate.label for gate in first.guardrails] == ["error_rate ≤ 0.2", "users split as planned"]
    assert [gate.label for gate in third.gates] == ["success_rate ≥ 0.95"]


@given(st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=4, unique=True), min_size=1, max_size=4))
def test_any_pipeline_grows_to_everybody(ramps: list[list[int]]) -> None:
    """From stage to stage, each with a share of its own."""
    stages = plan(*({"strategy": {"kind": "gradual", "stages": [*sorted(ramp), 100]}} for ramp in ramps)).stages
    shares = [stage.weights["lightrag"] for stage in stages]
    assert shares == sorted(set(shares))
    assert shares[-1] == 100_000


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "strategy: is required; add it"),
        ({"pipeline": []}, "strategy: is required; add it"),
        (
            {"strategy": {"kind": "canary"}, "pipeline": ["canary"]},
            "pipeline: says how the rollout goes, and so does strategy; keep one of the two",
        ),
        ({"pipeline": ["canari"]}, "pipeline[0].strategy.kind: unknown kind (got canari); did you mean canary?"),
        (
            {"pipeline": ["canary", {"strategy": {"kind": "gradual", "stage": [5]}}]},
            "pipeline[1].strategy.stage: unknown field (got [5]); did you mean stages?",
        ),
        (
            {"pipeline": [{"kind": "canary"}]},
            "pipeline[0]: is a strategy; write {strategy: {kind: …}}, beside it gates: and guardrails: of its own",
        ),
        (
            {"pipeline": ["canary", {"strategy": {"kind": "gradual"}, "gates": []}]},
            "pipeline[1].gates: there is no gate, and traffic grows only on evidence; "
            "add one under gates:, or use a canary with auto_promote: false to move by hand",
        ),
    ],
)
def test_faults_have_their_place(more: dict[str, Any], expected: str) -> None:
    """Each names the part, the field and the remedy."""
    assert problems(BASE | more) == [expected]
