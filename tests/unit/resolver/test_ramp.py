"""What a population of users sees while traffic moves."""

from __future__ import annotations

import json
from collections import Counter
from math import sqrt
from typing import Any

import pytest

from turnout.domain.flags import Flag, Segment, Traffic, exposure
from turnout.domain.snapshot import PublishedFlag, document
from turnout.resolver import Snapshot, compile_document

USERS = [f"user-{number}" for number in range(100_000)]
BETA = {"name": "beta", "if": {"var": "beta"}, "split": {"new": 50, "old": 50}}


def snapshot(percent: float, segments: tuple[Segment, ...] = (), **fields: Any) -> Snapshot:
    flag = Flag.model_validate({"key": "engine", "variants": {"old": 1, "new": 2}, "stable": "old", **fields})
    traffic = Traffic(stable="old", weights=exposure("new", "old", percent), segments=segments)
    return compile_document(json.loads(json.dumps(document([PublishedFlag(definition=flag, traffic=traffic)], 1, "s"))))


def exposed(flags: Snapshot, **attributes: object) -> set[str]:
    return {user for user in USERS if flags.resolve("engine", user, attributes).variant == "new"}


def assert_share(found: int, share: float, of: int) -> None:
    """``found`` lies within five standard deviations of a binomial count."""
    assert abs(found - share * of) <= 5 * sqrt(share * (1 - share) * of)


@pytest.mark.parametrize("fields", [{}, {"seed": "exp-1"}, {"rules": [BETA]}], ids=["key", "seed", "rules"])
def test_nobody_loses_the_candidate_while_its_share_grows(fields: dict[str, Any]) -> None:
    """From 0 over 5 and 25 to 100 percent each step keeps all users of the one before, in the promised numbers."""
    before: set[str] = set()
    for percent in (0, 5, 25, 100):
        now = exposed(snapshot(percent, **fields))
        assert before <= now
        assert_share(len(now), percent / 100, len(USERS))
        before = now
    assert len(before) == len(USERS)


def test_going_back_returns_the_same_users() -> None:
    """A rollback to 5 percent leaves exactly those who had the candidate at 5 percent."""
    assert exposed(snapshot(5)) == exposed(snapshot(5, rules=[BETA]))


def test_a_segment_that_joins_the_rest_keeps_its_users() -> None:
    """Users exposed through a segment's share stay exposed when all traffic has at least that share."""
    segment = Segment.model_validate(
        {"name": "eu", "if": {"===": [{"var": "region"}, "eu"]}, "weights": exposure("new", "old", 10)}
    )
    through_segment = exposed(snapshot(0, (segment,)), region="eu")
    assert_share(len(through_segment), 0.10, len(USERS))
    assert exposed(snapshot(0, (segment,)), region="us") == set()
    assert through_segment <= exposed(snapshot(25), region="eu")


def test_segments_that_are_apart_are_independent() -> None:
    """Half of those whom one segment exposes are exposed by another one; each keeps its users while it grows."""
    fields = {"if": True, "apart": True}
    one, more, two = (
        exposed(snapshot(0, (Segment.model_validate({"name": n, "weights": exposure("new", "old", p), **fields}),)))
        for n, p in (("one", 20), ("one", 50), ("two", 50))
    )
    assert one <= more
    assert_share(len(more & two), 0.5, len(more))


def test_the_arm_of_a_rule_is_independent_of_exposure() -> None:
    """Half of the exposed and half of the others are in the rule's first arm: the two hash apart."""
    ruled = exposed(snapshot(20, rules=[BETA]), beta=True)
    out = exposed(snapshot(20, rules=[BETA]), beta=False)
    assert_share(len(ruled & out), 0.5, len(out))
    assert_share(len(ruled - out), 0.5, len(USERS) - len(out))


def test_two_rules_hash_apart() -> None:
    """The same split under two names gives two independent halves."""
    other = {**BETA, "name": "pilot"}
    one, two = exposed(snapshot(0, rules=[BETA]), beta=True), exposed(snapshot(0, rules=[other]), beta=True)
    assert_share(len(one & two), 0.5, len(one))


def test_flags_with_one_seed_expose_the_same_users() -> None:
    """A shared seed aligns two flags; without it they are independent."""
    aligned = exposed(snapshot(10, key="engine", seed="shared"))
    assert aligned == exposed(snapshot(10, seed="shared", description="another"))
    assert_share(len(aligned & exposed(snapshot(10))), 0.1, len(aligned))


def test_four_arms_get_their_shares() -> None:
    """Every arm of a split of many gets its share of the users."""
    split = {"a": 40, "b": 30, "c": 20.5, "d": 9.5}
    flag = Flag.model_validate({"key": "four", "variants": dict.fromkeys(split, 1), "stable": "a"})
    weights = {name: round(share * 1000) for name, share in split.items()}
    traffic = Traffic(stable="a", weights=weights)
    flags = compile_document(document([PublishedFlag(definition=flag, traffic=traffic)], 1, "s"))
    counts = Counter(flags.resolve("four", user).variant for user in USERS)
    for name, share in split.items():
        assert_share(counts[name], share / 100, len(USERS))
