"""Which conditions may be published."""

from __future__ import annotations

from typing import Any

import pytest

from turnout.domain.targeting import MAX_DEPTH, check, published_form

PLAN: Any = {"var": "plan"}


@pytest.mark.parametrize(
    "condition",
    [
        True,
        False,
        {"var": "beta"},
        {"var": "address.city"},
        {"var": "targetingKey"},
        {"var": "$flagd.flagKey"},
        {"var": "cognito:groups"},
        {"===": [PLAN, "pro"]},
        {"!==": [PLAN, ""]},
        {"in": [{"var": "country"}, ["DE", "AT"]]},
        {"in": ["beta", {"var": "groups"}]},
        {"starts_with": [PLAN, "p"]},
        {"ends_with": [{"var": "email"}, "@example.org"]},
        {"sem_ver": [{"var": "app"}, ">=", "2.1.0"]},
        {"and": [True, {"or": [PLAN]}]},
        {"!": PLAN},
        {"!": [{"var": "beta"}]},
        {"if": [PLAN, True, {"var": "beta"}]},
        {"if": [PLAN, True, {"var": "beta"}, False, True]},
    ],
)
def test_the_table_of_conditions_is_accepted(condition: Any) -> None:
    """Each form of the documented table may be published, and may be read back once published."""
    assert check(condition, "if") == []
    assert check(published_form(condition), "if", published=True) == []


@pytest.mark.parametrize(
    ("condition", "path", "words"),
    [
        ({"<": [{"var": "age"}, 18]}, "if", "disagree on the order"),
        ({">=": [{"var": "age"}, 18]}, "if", "sem_ver"),
        ({"==": [PLAN, "pro"]}, "if", "write ==="),
        ({"!=": [PLAN, "pro"]}, "if", "write !=="),
        ({"start_with": [PLAN, "p"]}, "if", "did you mean starts_with?"),
        ({"cat": ["a", "b"]}, "if", "and, ends_with, if, in"),
        ({"fractional": [["a", 1]]}, "if", "give the rule a split"),
        ({"===": [{"var": "age"}, 18]}, "if.===[1]", "comparison with a number"),
        ({"===": [{"var": "beta"}, True]}, "if.===[1]", "{var: beta}"),
        ({"===": ["pro", PLAN]}, "if.===", "attribute with a text"),
        ({"===": ["pro", "pro"]}, "if.===[0]", "has to be an attribute"),
        ({"===": [PLAN, None]}, "if.===", "attribute with a text"),
        ({"===": [PLAN]}, "if.===", "attribute with a text"),
        ({"in": [PLAN, []]}, "if.in", "list of texts"),
        ({"in": [PLAN, ["a", 1]]}, "if.in[1][1]", "not a text"),
        ({"in": [{"var": "country"}, ["DE", False]]}, "if.in[1][1]", "YAML"),
        ({"in": [PLAN, "text"]}, "if.in", "list of texts"),
        ({"starts_with": [PLAN, 1]}, "if.starts_with", "attribute with a text"),
        ({"ends_with": [PLAN, "a", "b"]}, "if.ends_with", "attribute with a text"),
        ({"sem_ver": [PLAN, "==", "1.0.0"]}, "if.sem_ver[1]", "no comparison"),
        ({"sem_ver": [PLAN, ">=", "1.0"]}, "if.sem_ver[2]", "all three numbers"),
        ({"sem_ver": [PLAN, ">="]}, "if.sem_ver", "with a version"),
        ({"and": []}, "if.and", "at least one"),
        ({"or": PLAN}, "if.or", "list of conditions"),
        ({"!": [PLAN, PLAN]}, "if.!", "negates one"),
        ({"if": [PLAN, True]}, "if.if", "an else"),
        ({"and": [True, {"or": [{"<": [1, 2]}]}]}, "if.and[1].or[0]", "'<'"),
        ({"var": ""}, "if.var", "name of an attribute"),
        ({"var": ["plan", "free"]}, "if.var", "name of an attribute"),
        ({"var": 0}, "if.var", "name of an attribute"),
        ({"var": "groups.0"}, "if.var", "name of an attribute"),
        ({"var": "größe"}, "if.var", "ASCII"),
        ({"var": "a.__proto__"}, "if.var", "name of an attribute"),
        ({"var": "$flagd.timestamp"}, "if.var", "no clock"),
        ({"===": [PLAN, "a"], "and": [True]}, "if", "not a condition"),
        ({}, "if", "not a condition"),
        ("beta", "if", "not a condition"),
        (None, "if", "not a condition"),
        ([PLAN], "if", "not a condition"),
        ({True: [1]}, "if", "operator 'True'"),
    ],
)
def test_what_is_refused_says_where_and_why(condition: Any, path: str, words: str) -> None:
    """Each refused condition gives one problem, at its own place, with a remedy."""
    (problem,) = check(condition, "if")
    assert problem.path == path
    assert words in str(problem)
    assert problem.remedy


def test_every_fault_is_found_at_once() -> None:
    """Faults in different branches, and in both operands, are all reported."""
    faults = check({"and": [{"<": [1, 2]}, {"===": ["x", True]}, {"nor": []}]}, "r")
    assert [f.path for f in faults] == ["r.and[0]", "r.and[1].===[1]", "r.and[1].===[0]", "r.and[2]"]


def test_depth_is_limited() -> None:
    """The deepest allowed nesting is accepted and one more is refused."""

    def nested(depth: int) -> Any:
        return PLAN if depth == 1 else {"!": [nested(depth - 1)]}

    assert check(nested(MAX_DEPTH), "if") == []
    (problem,) = check(nested(MAX_DEPTH + 1), "if")
    assert "nested deeper than 20" in problem.message


def test_membership_is_guarded_when_published() -> None:
    """Looking into an attribute is guarded against numbers; all else is published as written."""
    member: Any = {"in": ["beta", {"var": "groups"}]}
    guard: Any = {"or": [{"starts_with": [{"var": "groups"}, ""]}, {"var": "groups.0"}]}
    assert published_form({"!": {"and": [PLAN, member]}}) == {"!": [{"and": [PLAN, {"and": [guard, member]}]}]}
    plain: Any = {"if": [PLAN, {"in": [PLAN, ["a"]]}, False]}
    assert published_form(plain) == plain
