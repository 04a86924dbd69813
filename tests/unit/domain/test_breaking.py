"""Shared breakers: how long they stay open, and whose variant they change."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.domain.breaking import BreakerPolicy, BreakerReport, SharedBreaker, closed, opened, probing
from turnout.domain.flags import Flag, Segment, Shadow, Traffic
from turnout.domain.guard_notices import breaker_notice
from turnout.domain.outcomes import Outcome
from turnout.domain.snapshot import PublishedFlag, document
from turnout.resolver import Snapshot, compile_document

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
POLICY = BreakerPolicy()
BAD = BreakerReport(circuit="open", why="5 failures in a row", reporter="api-1")
ABOUT = ("f", "b", "a")
USERS = [f"user-{number}" for number in range(300)]
VARIANTS = "abc"

gaps = st.lists(st.integers(1, 900), min_size=1, max_size=12)
shares = st.integers(0, 100_000)


@given(gaps)
def test_one_that_flaps_comes_to_rest(seconds: list[int]) -> None:
    """It stays open twice as long each time, up to the longest; a calm time makes it begin anew."""
    breaker, at, wanted = None, NOW, POLICY.recovery_timeout
    for gap in seconds:
        breaker = opened(POLICY, breaker, BAD, at)
        assert breaker.until is not None
        assert breaker.until - at == wanted
        closing = closed(probing(POLICY, breaker, breaker.until), breaker.until, "went well", "turnout")
        at, breaker = breaker.until + timedelta(seconds=gap), closing
        calm = timedelta(seconds=gap) >= POLICY.calm
        wanted = POLICY.recovery_timeout if calm else min(wanted * 2, POLICY.longest)


def test_every_change_is_a_newer_word() -> None:
    """Also of two at the same moment."""
    first = opened(POLICY, None, BAD, NOW)
    second = probing(POLICY, first, NOW)
    third = closed(second, NOW, "", "bob")
    assert first.newer(None)
    assert second.newer(first)
    assert third.newer(second)
    assert not first.newer(third)
    assert not third.newer(third)
    assert SharedBreaker.model_validate_json(third.model_dump_json()) == third


def snapshot(weights: dict[str, int], probe: int | None) -> Snapshot:
    """A flag with a rule, a segment and a shadow, whose variant b is blocked but for ``probe``."""
    flag = Flag.model_validate(
        {
            "key": "f",
            "variants": {name: name for name in VARIANTS},
            "stable": "a",
            "rules": [
                {"name": "all", "if": {"===": [{"var": "plan"}, "all"]}, "serve": "b"},
                {"name": "half", "if": {"===": [{"var": "plan"}, "half"]}, "split": {"c": 20, "b": 50, "a": 30}},
            ],
        }
    )
    segment = Segment.model_validate(
        {"name": "eu", "if": {"===": [{"var": "region"}, "eu"]}, "weights": {"b": 40_000, "a": 60_000}}
    )
    traffic = Traffic(stable="a", weights=weights, segments=(segment,), shadow=Shadow(variant="b"))
    blocked = {} if probe is None else {"b": probe}
    published = PublishedFlag(
        definition=flag, traffic=traffic, blocked=blocked, blocked_by="errors" if blocked else None
    )
    return compile_document(json.loads(json.dumps(document([published], 1, "s"))))


@given(shares, shares, shares)
def test_nobody_but_those_it_is_taken_from_changes_variant(one: int, two: int, probe: int) -> None:
    """By traffic, rules and segments alike: who had b keeps it as a probe or gets stable by the breaker."""
    low, high = sorted((one, two))
    weights = {"c": low, "b": high - low, "a": 100_000 - high}
    free, held = snapshot(weights, None), snapshot(weights, probe)
    for user in USERS[:60]:
        for attributes in ({}, {"plan": "all"}, {"plan": "half"}, {"region": "eu"}):
            before, after = free.resolve("f", user, attributes), held.resolve("f", user, attributes)
            if before.variant != "b":
                assert (after.variant, after.metadata["decidedBy"]) == (before.variant, before.metadata["decidedBy"])
            elif after.variant != "b":
                assert (after.variant, after.metadata["decidedBy"]) == ("a", "breaker")
                assert held.explain("f", user, attributes).source == "breaker"
            else:
                assert probe > 0


def test_a_whole_traffic_is_blocked_too() -> None:
    """Where everybody has the variant there is no split to change; probes make one. Nothing is asked in shadow."""
    everybody = {"b": 100_000}
    blocked, half = snapshot(everybody, 0), snapshot(everybody, 50_000)
    decided = {(seen.variant, seen.metadata["decidedBy"]) for seen in (blocked.resolve("f", user) for user in USERS)}
    assert decided == {("a", "breaker")}
    probes = sum(half.resolve("f", user).variant == "b" for user in USERS)
    assert 100 < probes < 200
    assert "shadow" not in blocked.resolve("f", "u").metadata
    assert blocked.resolve("f", "u").metadata["blockedBy"] == "errors"


def test_what_a_breaker_decided_counts_for_no_comparison() -> None:
    """The traffic has not drawn it."""
    outcome = Outcome(id="1", flag="f", variant="a", unit="u", ok=True, decided_by="breaker")
    assert not outcome.drawn


def test_opening_and_closing_are_news_and_nothing_between() -> None:
    """With why, how long, and what to do; a breaker that opens again after its probes has been told already."""
    first = opened(POLICY, None, BAD, NOW)
    half = probing(POLICY, first, NOW)
    again = opened(POLICY, half, BAD, NOW)
    news = breaker_notice(ABOUT, None, first)
    assert news is not None
    assert news.title == "f: the errors breaker of b is open"
    assert news.text == ("5 failures in a row; everybody gets a for 30s, then a share of the users probes b")
    assert news.advice == "turnout breakers close f b closes it before"
    assert breaker_notice(ABOUT, first, half) is None
    assert breaker_notice(ABOUT, half, again) is None
    done = closed(again, NOW, "3 probes went well", "turnout")
    last = breaker_notice(ABOUT, again, done)
    assert last is not None
    assert (last.event, last.severity) == ("breaker_closed", "info")
    flapped = breaker_notice(ABOUT, done, opened(POLICY, done, BAD, NOW))
    assert flapped is not None
    assert "for the 3rd time in a row" in flapped.text


@pytest.mark.parametrize("percentage", ["50", "100"])
def test_a_breaker_goes_before_the_environment(percentage: str) -> None:
    """Also where a process says that everybody, or half of the users, have the variant."""
    said = {"F_ROLLOUT_PERCENTAGE": percentage}
    flag = Flag.model_validate({"key": "f", "variants": {"a": 1, "b": 2}, "stable": "a", "env_prefix": "F_"})
    published = PublishedFlag(definition=flag, traffic=Traffic(stable="a", weights={"a": 100_000}))
    free = compile_document(document([published], 1, "s"), said)
    exposed = [user for user in USERS if free.resolve("f", user).variant == "b"]
    assert exposed
    held = compile_document(document([published.model_copy(update={"blocked": {"b": 0}})], 1, "s"), said)
    for user in USERS:
        seen = held.resolve("f", user)
        assert (seen.variant, seen.metadata["decidedBy"]) == ("a", "breaker" if user in exposed else "environment")
    told = [(one.source, one.decided) for one in held.explain("f", exposed[0]).contenders]
    assert told[:3] == [("emergency stop", False), ("breaker", True), ("environment", False)]
