"""From what stands under ``match`` to a condition."""

from __future__ import annotations

from typing import Any

import pytest

from turnout.domain import targeting
from turnout.domain.matching import MOST_IDS, Matched, read_match
from turnout.domain.problems import Faults

PLAN = {"var": "plan"}


@pytest.mark.parametrize(
    ("written", "condition"),
    [
        ({"plan": "beta"}, {"===": [PLAN, "beta"]}),
        ({"plan": ["beta", "pilot"]}, {"in": [PLAN, ["beta", "pilot"]]}),
        ({"internal": True}, {"var": "internal"}),
        ({"internal": False}, {"!": [{"var": "internal"}]}),
        ({"plan": "beta", "internal": True}, {"and": [{"===": [PLAN, "beta"]}, {"var": "internal"}]}),
        ({"account.tier": "gold"}, {"===": [{"var": "account.tier"}, "gold"]}),
        ({"ids": ["ann", "bob", "ann"]}, {"in": [{"var": "targetingKey"}, ["ann", "bob"]]}),
        ({"if": {"starts_with": [PLAN, "b"]}}, {"starts_with": [PLAN, "b"]}),
    ],
)
def test_every_way_to_match_becomes_a_condition(written: dict[str, Any], condition: Any) -> None:
    """One that may be published."""
    matched = read_match(written)
    assert isinstance(matched, Matched)
    assert matched.condition == condition
    assert targeting.check(matched.condition, "") == []
    assert read_match(matched) is matched


@pytest.mark.parametrize(
    ("written", "path", "message"),
    [
        (None, "", "matches nobody"),
        ({}, "", "matches nobody"),
        ({"ids": ["a"], "plan": "beta"}, "", "mixes ways to match"),
        ({"ids": ["a"], "if": True}, "", "mixes ways to match"),
        ({"ids": "ann"}, "ids", "is no list of units"),
        ({"ids": []}, "ids", "is no list of units"),
        ({"ids": ["ann", 7]}, "ids[1]", "is no unit"),
        ({"ids": ["x" * 201]}, "ids[0]", "is no unit"),
        ({"ids": ["x"] * (MOST_IDS + 1)}, "ids", "more than 10000 units"),
        ({"file": "staff.txt"}, "file", "only the command line reads"),
        ({"if": {"<": [PLAN, 3]}}, "if", "'<' is not allowed"),
        ({"plan": 3}, "plan", "is nothing an attribute can be matched with"),
        ({"plan": []}, "plan", "is nothing an attribute can be matched with"),
        ({"plan": ["a", False]}, "plan[1]", "is not a text"),
        ({False: "a"}, "False", "is no name of an attribute"),
    ],
)
def test_what_cannot_be_matched_is_told_with_its_place(written: Any, path: str, message: str) -> None:
    """And with what to write instead."""
    with pytest.raises(Faults) as caught:
        read_match(written)
    (problem,) = caught.value.problems
    assert problem.path == path
    assert message in problem.message
    assert problem.remedy
