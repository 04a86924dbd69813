"""What a spec may expect of its traffic."""

from __future__ import annotations

from typing import Any

import pytest

from turnout.domain.errors import InvalidInput
from turnout.strategies import compile_plan, parse_spec

SPEC: dict[str, Any] = {"flag": "f", "candidate": "new", "strategy": {"kind": "canary"}, "gates": []}
SPEC["gates"] = [{"metric": "error_rate", "max": 0.05}]


def expecting(**expect: Any) -> dict[str, Any]:
    """A spec that expects a request a minute."""
    return SPEC | {"expect": {"requests_per_minute": 1} | expect}


def test_an_expectation_is_no_part_of_the_plan() -> None:
    """What is expected changes nothing of what will be done."""
    spec = parse_spec(expecting(metrics={"error_rate": 0.01, "cost": {"mean": 2, "deviation": 1}}))
    assert spec.expect is not None
    assert (spec.expect.metrics["error_rate"].mean, spec.expect.metrics["cost"].deviation) == (0.01, 1)
    assert compile_plan(spec, "old") == compile_plan(parse_spec(SPEC), "old")


@pytest.mark.parametrize(
    ("expect", "found"),
    [
        ({"requests_per_minute": 0}, ["expect.requests_per_minute: input should be greater than 0 (got 0)"]),
        ({"metric": {}}, ["expect.metric: unknown field; did you mean metrics?"]),
        (
            {"metrics": {"error_rate": 2, "success_rate": -1}},
            [
                "expect.metrics.error_rate: error_rate is a rate from 0 to 1, and 2 is none; write 0.97 for 97 %",
                "expect.metrics.success_rate: success_rate is a rate from 0 to 1, and -1 is none; write 0.97 for 97 %",
            ],
        ),
        (
            {"metrics": {"cost": "a"}},
            [
                "expect.metrics.cost: is no expected value (got 'a'); "
                "write its mean, such as 0.97, or {mean: 0.85, deviation: 0.15}"
            ],
        ),
        ({"metrics": {"cost": {"deviation": 1}}}, ["expect.metrics.cost.mean: is required; add it"]),
        (
            {"metrics": {"cost": {"mean": 1, "deviatio": 2}}},
            ["expect.metrics.cost.deviatio: unknown field (got 2); did you mean deviation?"],
        ),
        (
            {"metrics": {"cost": {"mean": 1, "deviation": 0}}},
            ["expect.metrics.cost.deviation: input should be greater than 0 (got 0)"],
        ),
    ],
)
def test_what_cannot_be_expected_is_named(expect: dict[str, Any], found: list[str]) -> None:
    """Every fault has its path, its value and what to write."""
    with pytest.raises(InvalidInput) as error:
        parse_spec(expecting(**expect))
    assert [str(problem) for problem in error.value.problems] == found
