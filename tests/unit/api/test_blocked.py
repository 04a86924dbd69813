"""A variant that breakers have blocked, as every resolver sees it: in process, over OFREP and in flagd's own engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from api.evaluation import read_context, single
from api.feed import Edition, edition_of
from turnout.domain.bucketing import TOTAL
from turnout.domain.flags import Flag, Segment, Traffic
from turnout.domain.snapshot import PublishedFlag
from turnout.ports import Published
from turnout.resolver import compile_document

CALLERS = [(f"user-{n}", {"plan": ("free", "pro", "beta")[n % 3], "country": ("DE", "FR")[n % 2]}) for n in range(600)]
PRO: Any = {"===": [{"var": "plan"}, "pro"]}
BETA: Any = {"===": [{"var": "plan"}, "beta"]}
GERMAN: Any = {"===": [{"var": "country"}, "DE"]}
HALF = {"new": TOTAL // 2, "old": TOTAL // 2}
SITUATIONS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "a split": ([], {"weights": HALF}),
    "everybody": ([], {"weights": {"new": TOTAL}}),
    "three variants": ([], {"weights": {"new": 40_000, "other": 30_000, "old": 30_000}}),
    "rules": (
        [
            {"name": "pro", "if": PRO, "serve": "new"},
            {"name": "beta", "if": BETA, "split": {"old": 50, "new": 30, "other": 20}},
        ],
        {"weights": HALF},
    ),
    "segments": (
        [],
        {
            "weights": {"old": TOTAL},
            "segments": (
                Segment.model_validate({"name": "beta", "if": BETA, "weights": {"new": TOTAL}}),
                Segment.model_validate({"name": "german", "if": GERMAN, "weights": HALF, "apart": True}),
            ),
        },
    ),
    "a test's exposure": ([], {"weights": HALF, "exposed": 60_000}),
}
"""The rules of a flag, and the traffic of its rollout."""


def edition(situation: str, blocked: dict[str, int], *, stopped: bool = False) -> Edition:
    """What is published in a situation, with so much left of each blocked variant."""
    rules, traffic = SITUATIONS[situation]
    variants = {"old": "o", "new": "n", "other": "x"}
    definition = Flag.model_validate({"key": "engine", "variants": variants, "stable": "old", "rules": rules})
    flag = PublishedFlag(
        definition=definition,
        traffic=Traffic(stable="old", generation=3, **traffic),
        stopped=stopped,
        blocked=blocked,
        blocked_by="errors" if blocked else None,
    )
    return edition_of(Published(7, "s", (flag,)))


def in_process(published: Edition) -> list[str | None]:
    """Everybody's variant in a client that was sent the document."""
    snapshot = compile_document(json.loads(published.body))
    return [snapshot.resolve("engine", unit, attributes).variant for unit, attributes in CALLERS]


def over_ofrep(published: Edition) -> list[str | None]:
    """Everybody's variant in the answers to requests."""

    def answered(unit: str, attributes: Mapping[str, str]) -> str:
        asked = read_context(json.dumps({"context": {"targetingKey": unit, **attributes}}).encode())
        status, body = single(published, published.snapshot.resolve("engine", *asked))
        assert status == 200
        return str(json.loads(body)["variant"])

    return [answered(unit, attributes) for unit, attributes in CALLERS]


def in_flagd(published: Edition) -> list[str | None]:
    """Everybody's variant in flagd's engine."""
    core = FlagdCore()
    core.set_flags(published.body.decode())
    return [
        core.resolve_string_value("engine", "default", EvaluationContext(unit, attributes)).variant
        for unit, attributes in CALLERS
    ]


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("share", [0, 20_000, TOTAL], ids=["open", "half open", "all are probes"])
def test_a_blocked_variant_is_blocked_alike_everywhere(situation: str, share: int) -> None:
    """All resolvers give a user the same: stable in place of the blocked variant but for the probes, others theirs."""
    before = in_process(edition(situation, {}))
    published = edition(situation, {"new": share})
    after = in_process(published)
    assert over_ofrep(published) == after
    assert in_flagd(published) == after
    assert before.count("new") > 100
    assert {pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]} <= {("new", "old")}
    probes = after.count("new") / before.count("new")
    assert probes == share / TOTAL if share in (0, TOTAL) else 0.05 < probes < 0.4


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("share", [0, 20_000], ids=["open", "half open"])
def test_two_blocked_variants_are_blocked_alike_everywhere(situation: str, share: int) -> None:
    """Each keeps its own share, whatever the other one's breaker does."""
    published = edition(situation, {"new": share, "other": 0})
    after = in_process(published)
    assert (over_ofrep(published), in_flagd(published)) == (after, after)
    alone = in_process(edition(situation, {"new": share}))
    assert after == ["old" if variant == "other" else variant for variant in alone]


@pytest.mark.parametrize("situation", SITUATIONS)
def test_an_emergency_stop_goes_before_the_probes(situation: str) -> None:
    """A stopped flag gives everybody stable, in every resolver, also while a breaker is half open."""
    published = edition(situation, {"new": 20_000}, stopped=True)
    assert set(in_process(published)) == set(over_ofrep(published)) == set(in_flagd(published)) == {"old"}
