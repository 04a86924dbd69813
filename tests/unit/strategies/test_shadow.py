"""A shadow: what its spec is compiled to, and what is asked of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from turnout.analysis.foresight import foresee
from turnout.domain.errors import InvalidInput
from turnout.domain.expectation import Expectation
from turnout.domain.flags import Shadow
from turnout.domain.plan import Gate, Plan, Stage
from turnout.strategies import along, compile_plan, parse_spec

DAY = timedelta(days=1)


def document(strategy: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A spec."""
    return {"flag": "engine", "candidate": "new", "strategy": {"kind": "shadow", **(strategy or {})}, **more}


def plan(strategy: dict[str, Any] | None = None, **more: Any) -> Plan:
    """Its plan from old."""
    return compile_plan(parse_spec(document(strategy, **more)), "old")


def test_a_shadow_as_data() -> None:
    """One stage of a day in which everybody is on stable; in the end as in the beginning."""
    stage = Stage(
        name="shadow 20 %",
        weights={"new": 0, "old": 100_000},
        shadow=Shadow(variant="new", sample=20_000, comparator="token_overlap"),
        hold=DAY,
        deadline=DAY,
        check_every=timedelta(seconds=30),
        gates=(Gate(metric="agreement", min=0.8),),
        guardrails=(Gate(metric="error_rate", versus="stable", ratio=1.5, on_fail="rollback"),),
    )
    made = plan(
        {"sample": "20%", "comparator": "token_overlap"},
        gates=[{"metric": "agreement", "min": 0.8}],
        guardrails=[{"metric": "error_rate", "versus": "stable", "confidence": 0.95}],
    )
    assert made == Plan(flag="engine", stable="old", candidate="new", strategy="shadow", stages=(stage,), end="return")
    assert made.share(0) == 0
    assert Plan.model_validate_json(made.model_dump_json()) == made


def test_a_shadow_needs_nothing_but_a_candidate() -> None:
    """Everybody's requests for a day, without a gate: nobody is moved, so nothing has to be proven."""
    (stage,) = plan().stages
    assert (stage.shadow, stage.hold, stage.gates, stage.guardrails) == (Shadow(variant="new"), DAY, (), ())


def test_the_split_of_users_is_not_asked_about() -> None:
    """Both sides answer the same users, whether the spec says something about the split or not."""
    assert plan(guardrails=[{"metric": "sample_ratio"}]).stages[0].guardrails == ()


def test_other_questions_on_the_same_way() -> None:
    """Gates of another file are asked in shadow as this one's are."""
    gates = [{"metric": "quality_score", "versus": "stable"}]
    other = parse_spec(document(gates=gates, guardrails=[{"metric": "sample_ratio"}]))
    (stage,) = along(other, plan()).stages
    assert [(gate.metric, gate.margin) for gate in stage.gates] == [("quality_score", 0.02)]
    assert stage.guardrails == ()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"strategy": {"kind": "shadow", "sample": 0}}, r"strategy.sample: leaves nobody.*write a percentage above 0"),
        ({"strategy": {"kind": "shadow", "sample": 101}}, "strategy.sample: is not a percentage"),
        ({"strategy": {"kind": "shadow", "comparator": "fuzzy"}}, "strategy.comparator: .*exact"),
        ({"strategy": {"kind": "shadow", "samples": 5}}, "did you mean sample?"),
        (
            {"gates": [{"metric": "agreement", "min": 80}]},
            r"gates\[0\].min: agreement is a rate from 0 to 1 \(got 80\)",
        ),
        ({"gates": [{"metric": "agreement", "versus": "stable"}]}, r"gates\[0\].versus: .*write min: 0.9 instead"),
        ({"gates": [{"metric": "agreement", "min": 0.5, "better": "lower"}]}, r"gates\[0\].better: .*remove it"),
        ({"bounds": {"agreement": {"min": 0}}}, "bounds.agreement: has no values to bound"),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, Any], message: str) -> None:
    """Field, value and remedy."""
    with pytest.raises(InvalidInput, match=message):
        plan(**(document() | wrong))


def test_what_a_shadow_needs_is_foreseen() -> None:
    """On a tenth of the requests a gate takes ten times as long; both sides answer each of them."""
    gates = [{"metric": "success_rate", "min": 0.9}, {"metric": "error_rate", "versus": "stable"}]
    expected = Expectation.model_validate({"requests_per_minute": 100, "metrics": {"success_rate": 0.98}})
    (whole,), (tenth,) = (foresee(plan({"sample": share}, gates=gates), expected) for share in (100, 10))
    for all_, some in zip(whole.foreseen, tenth.foreseen, strict=True):
        assert all_.prospect.after is not None
        assert some.prospect.after is not None
        assert some.prospect.after / all_.prospect.after == pytest.approx(10)
    rate = whole.foreseen[0].prospect
    assert rate.outcomes is not None
    assert rate.after == timedelta(minutes=rate.outcomes / 100)


def test_a_canary_follows_a_shadow() -> None:
    """As one plan that ends as the canary does; agreement is asked in shadow alone, and the rest everywhere."""
    gates = [{"metric": "success_rate", "min": 0.95}, {"metric": "agreement", "min": 0.7}]
    spec = {"flag": "engine", "candidate": "new", "pipeline": ["shadow", "canary"], "gates": gates}
    made = compile_plan(parse_spec(spec), "old")
    assert [(stage.name, stage.weights["new"], stage.shadow is None) for stage in made.stages] == [
        ("shadow 100 %", 0, False),
        ("canary 5 %", 5_000, True),
        ("canary 50 %", 50_000, True),
        ("canary 100 %", 100_000, True),
    ]
    asked = [[gate.metric for gate in stage.gates] for stage in made.stages]
    assert asked == [["success_rate", "agreement"], *[["success_rate"]] * 3]
    assert made.end == "adopt"


@pytest.mark.parametrize(
    ("pipeline", "gates", "message"),
    [
        (["shadow", "canary"], [], r"pipeline\[0\].gates: there is no gate"),
        (["shadow", "canary"], [{"metric": "agreement", "min": 0.7}], r"pipeline\[1\].gates: there is no gate"),
        (["canary", "gradual"], [{"metric": "agreement", "min": 0.7}], r"gates\[0\].metric: .*begin with a shadow"),
        (["shadow", "canary", "shadow"], [{"metric": "cost", "max": 1}], r"pipeline\[2\]: is a shadow.*put it first"),
    ],
)
def test_a_pipeline_grows_on_evidence_of_its_own(
    pipeline: list[str], gates: list[dict[str, Any]], message: str
) -> None:
    """Who comes after a shadow is moved on what the shadow showed, and on what users met afterwards."""
    with pytest.raises(InvalidInput, match=message):
        parse_spec({"flag": "engine", "candidate": "new", "pipeline": pipeline, "gates": gates})
