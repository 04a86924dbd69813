"""Flags as a person writes them, and the traffic that follows from them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from turnout.domain.bucketing import TOTAL
from turnout.domain.errors import InvalidInput
from turnout.domain.flags import (
    Flag,
    Rule,
    Traffic,
    exposure,
    initial_traffic,
    parse_flags,
    percentages_to_weights,
)

BASE: dict[str, Any] = {"variants": {"old": {"mode": "web"}, "new": {"mode": "hybrid"}}, "stable": "old"}


def parse_one(**fields: Any) -> Flag:
    (flag,) = parse_flags({"flags": {"answer-engine": {**BASE, **fields}}})
    return flag


def faults(**fields: Any) -> dict[str, str]:
    """Path below the flag -> the whole problem."""
    with pytest.raises(InvalidInput) as caught:
        parse_one(**fields)
    return {p.path.removeprefix("flags.answer-engine").lstrip("."): str(p) for p in caught.value.problems}


def test_a_whole_flag_is_read() -> None:
    """Every field of the documented example arrives."""
    flag = parse_one(
        rules=[
            {"name": "staff", "if": {"ends_with": [{"var": "email"}, "@example.org"]}, "serve": "new"},
            {"name": "beta", "if": {"in": [{"var": "plan"}, ["beta"]]}, "split": {"new": 25, "old": 75}},
        ],
        split={"new": 12.5, "old": 87.5},
        seed="exp-1",
        enabled=False,
        description="Which engine answers.",
    )
    assert flag.key == "answer-engine"
    assert [rule.name for rule in flag.rules] == ["staff", "beta"]
    assert flag.rules[1].split == {"new": Decimal(25), "old": Decimal(75)}
    assert flag.split == {"new": Decimal("12.5"), "old": Decimal("87.5")}
    assert (flag.hash_seed, flag.enabled) == ("exp-1", False)


def test_a_flag_survives_json() -> None:
    """Written to JSON and read back a flag is the same, with plain numbers and the names people write."""
    flag = parse_one(rules=[{"name": "r", "if": True, "split": {"new": 33.333, "old": 66.667}}])
    text = flag.model_dump_json()
    assert '"if":true' in text
    assert '"new":33.333' in text
    assert Flag.model_validate_json(text) == flag


def test_a_flag_cannot_be_changed() -> None:
    """Fields of a flag are read-only."""
    with pytest.raises(ValidationError):
        parse_one().stable = "new"  # type: ignore[misc]  # that it is refused is the test


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"stabel": "old"}, "stabel", "did you mean stable?"),
        ({"stable": "gone"}, "stable", "no variant 'gone'"),
        ({"serve": "nwe"}, "serve", "did you mean new?"),
        ({"split": {"new": 50, "odl": 50}}, "split.odl", "did you mean old?"),
        ({"split": {"new": 50, "old": 49}}, "split", "got 99"),
        ({"split": {"new": 33.3333, "old": 66.6667}}, "split.new", "at most three decimals"),
        ({"split": {"new": "25", "old": 75}}, "split.new", "not a percentage"),
        ({"split": {"new": -1, "old": 101}}, "split.old", "not a percentage"),
        ({"split": {"new": True, "old": 99}}, "split.new", "not a percentage"),
        ({"split": {"new": float("nan"), "old": 99}}, "split.new", "not a percentage"),
        ({"split": {}}, "split", "sum to 100"),
        ({"serve": "new", "split": {"new": 50, "old": 50}}, "split", "exclude each other"),
        ({"variants": {}}, "variants", "there are none"),
        ({"variants": {"old": 1, "new": "x"}}, "variants", "number and text"),
        ({"variants": {"old": True, "new": 1}}, "variants", "boolean and number"),
        ({"variants": {"old": None, "new": None}}, "variants.old", "not a value a flag can have"),
        ({"variants": {"old": [1], "new": [2]}}, "variants.new", "an object may hold lists"),
        ({"variants": {"old": float("inf"), "new": 1}}, "variants.old", "JSON"),
        ({"variants": {"old": {"a": [float("nan")]}, "new": {}}}, "variants.old.a[0]", "JSON"),
        ({"variants": {"old": 2**53, "new": 1}}, "variants.old", "JavaScript"),
        ({"variants": {"old": 1, "n w": 1}}, "variants.n w", "not a name"),
        ({"variants": {"old": 1, "__proto__": 1}}, "variants.__proto__", "not a name"),
        ({"seed": "größe"}, "seed", "ASCII"),
        ({"seed": ""}, "seed", "ASCII"),
        ({"key": "other"}, "key", "stands above"),
        ({"requires": {"answer-engine": "new"}}, "requires.answer-engine", "requires itself"),
        ({"enabled": "perhaps"}, "enabled", "boolean"),
        ({"rules": [{"name": "r", "if": True}]}, "rules[0]", "serves nothing"),
        ({"rules": [{"name": "r", "serve": "old"}]}, "rules[0].if", "is required"),
        ({"rules": [{"name": "r", "if": {"<": [1, 2]}, "serve": "old"}]}, "rules[0].if", "'<' is not allowed"),
        ({"rules": [{"name": "r", "if": True, "serve": "gone"}]}, "rules[0].serve", "no variant 'gone'"),
        ({"rules": [{"name": "r", "when": True, "if": True, "serve": "old"}]}, "rules[0].when", "unknown field"),
        ({"rules": [{"name": "a b", "if": True, "serve": "old"}]}, "rules[0].name", "not a name"),
        (
            {"rules": [{"name": "r", "if": True, "serve": "old"}, {"name": "r", "if": True, "serve": "new"}]},
            "rules",
            "2 rules have the same name",
        ),
        (
            {"rules": [{"name": "r", "if": True, "serve": "old", "split": {"old": 100}}]},
            "rules[0].split",
            "exclude each other",
        ),
    ],
)
def test_a_fault_says_where_and_why(fields: dict[str, Any], path: str, words: str) -> None:
    """Each fault is reported at its own path, with its remedy."""
    found = faults(**fields)
    assert words in found[path]


def test_yaml_booleans_as_names_are_explained() -> None:
    """A variant called on arrives as True, and the error tells to quote it."""
    found = faults(variants={True: 1, "old": 2}, stable="old")
    assert any("quote it" in problem and "YAML" in problem for problem in found.values())


def test_every_fault_of_every_flag_is_found_at_once() -> None:
    """Wrong shapes and wrong references, in several flags, come in one error."""
    document = {
        "flgas": {},
        "flags": {
            "a b": {**BASE},
            "..": {**BASE},
            "one": {**BASE, "stabel": 1, "serve": "gone", "rules": [{"name": "r", "if": {"<": []}, "x": 1}]},
            "two": 5,
            "fine": {**BASE},
        },
    }
    with pytest.raises(InvalidInput) as caught:
        parse_flags(document)
    assert {p.path for p in caught.value.problems} == {
        "flgas",
        "flags.a b",
        "flags...",
        "flags.one.stabel",
        "flags.one.serve",
        "flags.one.rules[0].x",
        "flags.one.rules[0].if",
        "flags.one.rules[0]",
        "flags.two",
    }


@pytest.mark.parametrize("document", [None, [], "flags", {}, {"flags": None}, {"flags": []}])
def test_a_document_without_flags_is_refused(document: object) -> None:
    """What is no mapping of flags is an error that shows the right form."""
    with pytest.raises(InvalidInput) as caught:
        parse_flags(document)
    assert "flags:" in str(caught.value)


def test_no_flags_are_no_fault() -> None:
    """An empty mapping gives no flags."""
    assert parse_flags({"flags": {}}) == ()


def test_models_refuse_the_same_faults() -> None:
    """A flag that is built in code or read from JSON is checked like one from a file."""
    with pytest.raises(ValidationError, match="there is no variant 'gone'"):
        Flag(key="k", variants={"a": 1}, stable="gone")
    with pytest.raises(ValidationError, match="serves nothing"):
        Rule.model_validate({"name": "r", "if": True})


def test_initial_traffic_follows_serve_split_or_stable() -> None:
    """A flag starts with what it says, and with its stable variant when it says nothing."""
    assert initial_traffic(parse_one()) == Traffic(stable="old", weights={"old": TOTAL})
    assert initial_traffic(parse_one(serve="new")) == Traffic(stable="old", weights={"new": TOTAL})
    split = initial_traffic(parse_one(split={"new": 0.001, "old": 99.999}))
    assert list(split.weights.items()) == [("new", 1), ("old", 99_999)]
    assert (split.generation, split.rollout_id) == (1, None)


def test_the_order_of_a_split_is_kept() -> None:
    """Arms stay in the order written, through JSON too: it decides who gets which."""
    flag = parse_one(split={"old": 75, "new": 25})
    assert list(initial_traffic(Flag.model_validate_json(flag.model_dump_json())).weights) == ["old", "new"]


@given(st.integers(0, TOTAL))
def test_percentages_are_exact(weight: int) -> None:
    """Every thousandth of a percent, as a float or as a decimal, is its exact weight."""
    percent = Decimal(weight) / 1000
    split = {"new": percent, "old": 100 - percent}
    assert percentages_to_weights(split) == {"new": weight, "old": TOTAL - weight}
    assert exposure("new", "old", float(percent)) == {"new": weight, "old": TOTAL - weight}


@given(st.lists(st.integers(0, 30_000), min_size=1, max_size=5))
def test_percentages_have_to_sum_to_100(shares: list[int]) -> None:
    """Shares are taken exactly when they sum to 100, not when floats come close."""
    split = {f"v{index}": share / 1000 for index, share in enumerate(shares)}
    if sum(shares) == TOTAL:
        assert list(percentages_to_weights(split).values()) == shares
    else:
        with pytest.raises(InvalidInput, match="sum to 100"):
            percentages_to_weights(split)


def test_exposure_puts_the_candidate_first() -> None:
    """The candidate's share is laid out first, also when it is nothing or everything."""
    assert list(exposure("new", "old", 5).items()) == [("new", 5_000), ("old", 95_000)]
    assert list(exposure("new", "old", 0)) == list(exposure("new", "old", 100)) == ["new", "old"]


@pytest.mark.parametrize("percent", [-1, 100.001, 0.0001, float("nan"), float("inf"), True])
def test_exposure_refuses_what_is_no_percentage(percent: float) -> None:
    """Shares outside 0 to 100, or too fine, are refused."""
    with pytest.raises(InvalidInput, match="percentage"):
        exposure("new", "old", percent)


def test_exposure_needs_two_variants() -> None:
    """The stable variant is no candidate."""
    with pytest.raises(InvalidInput, match="is the stable variant"):
        exposure("old", "old", 5)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"weights": {"new": 1, "old": 1}}, "sum to 2"),
        ({"weights": {}}, "at least 1"),
        ({"weights": {"new": -1, "old": TOTAL}}, "greater than or equal to 0"),
        ({"weights": {"new": 0.5, "old": 99_999.5}}, "valid integer"),
        ({"generation": 0}, "greater than or equal to 1"),
        ({"segments": [{"name": "eu", "if": True, "weights": {"old": 5}}]}, "sum to 5"),
        ({"segments": [{"name": "eu", "if": {"<": []}, "weights": {"old": TOTAL}}]}, "not allowed"),
        ({"segments": [{"name": "eu", "if": True, "weights": {"old": TOTAL}}] * 2}, "same name"),
    ],
)
def test_traffic_is_checked(fields: dict[str, Any], words: str) -> None:
    """Traffic that does not add up is refused."""
    with pytest.raises(ValidationError, match=words):
        Traffic.model_validate({"stable": "old", "weights": {"old": TOTAL}, **fields})


def test_traffic_survives_json() -> None:
    """Traffic with segments is the same after JSON, in the same order."""
    segment = {"name": "eu", "if": {"in": [{"var": "country"}, ["DE"]]}, "weights": {"new": 5, "old": TOTAL - 5}}
    traffic = Traffic.model_validate(
        {"stable": "old", "weights": {"new": 0, "old": TOTAL}, "segments": [segment], "rollout_id": "r1"}
    )
    again = Traffic.model_validate_json(traffic.model_dump_json())
    assert again == traffic
    assert list(again.weights) == ["new", "old"]
    assert again.variants == {"old", "new"}
