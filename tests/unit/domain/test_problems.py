"""From validation errors to problems a person can act on."""

from __future__ import annotations

from typing import Any

import pytest

from turnout.domain.errors import InvalidInput, Problem
from turnout.domain.problems import Faults, path_of, suggestion
from turnout.strategies import parse_spec

GOOD: dict[str, Any] = {
    "flag": "answer-engine",
    "candidate": "lightrag",
    "strategy": {"kind": "canary"},
    "gates": [{"metric": "success_rate", "min": 0.95}],
}


def told(document: dict[str, Any]) -> list[str]:
    """Every problem of ``document``, as it is printed."""
    with pytest.raises(InvalidInput) as error:
        parse_spec(document)
    return [str(problem) for problem in error.value.problems]


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"flagg": "a"}, "flagg: unknown field (got 'a'); did you mean flag?"),
        ({"strategy": {"kind": "canari"}}, "strategy.kind: unknown kind (got canari); did you mean canary?"),
        (
            {"strategy": {}},
            "strategy: needs a kind; one of blue_green, canary, gradual, shadow, cohort, geographic, ab_test, "
            "multivariate",
        ),
        (
            {"strategy": {"kind": "canary", "percent": 5}},
            "strategy.percent: unknown field (got 5); did you mean percentage?",
        ),
        ({"gates": ["good"]}, "gates[0]: is not a mapping (got 'good'); write its fields by name: {field: value}"),
        ({"max_attempts": 0}, "max_attempts: input should be greater than or equal to 1 (got 0)"),
        (
            {"deadline": 5},
            "deadline: is not a duration (got 5); write a number with a unit, such as 30s, 10m, 24h or 7d",
        ),
    ],
)
def test_a_problem_names_field_value_and_remedy(wrong: dict[str, Any], line: str) -> None:
    """Paths are those of the file: no union tag, no name of a model."""
    assert told(GOOD | wrong) == [line]


def test_what_is_missing_is_asked_for() -> None:
    """Every missing field, at once."""
    assert told({"gates": []}) == [f"{name}: is required; add it" for name in ("flag", "candidate", "strategy")]


def test_names_without_a_likeness_are_listed() -> None:
    """A near name is proposed, else all are."""
    assert suggestion("kanary", ["canary", "gradual"]) == "did you mean canary?"
    assert suggestion("zzz", ["gradual", "canary"]) == "known here: canary, gradual"


def test_paths_are_those_of_the_file() -> None:
    """Fields with dots, positions with brackets."""
    assert path_of(("gates", 0, "source", "url")) == "gates[0].source.url"
    assert path_of(()) == ""


def test_faults_of_one_model_keep_their_places() -> None:
    """A validator may find several; each is told with the whole path."""
    gates = [GOOD["gates"][0], {"metric": "success_rate", "min": 5, "margin": 1}]
    assert told(GOOD | {"gates": gates}) == [
        "gates[1].min: success_rate is a rate from 0 to 1 (got 5); write 0.95 for 95 %",
        "gates[1].margin: belongs to a comparison (got 1); add versus: stable, or remove margin",
    ]
    assert str(Faults([Problem("a", "is wrong", "fix it")])) == "a: is wrong; fix it"
