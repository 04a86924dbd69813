"""Resolving and explaining."""

from __future__ import annotations

import json
from typing import Any

import pytest

from turnout.domain.bucketing import bucket
from turnout.domain.errors import InvalidInput
from turnout.domain.flags import Flag, Segment, Traffic, exposure
from turnout.domain.snapshot import PublishedFlag, document
from turnout.resolver import Slice, Snapshot, compile_document

RULES = [
    {"name": "staff", "if": {"ends_with": [{"var": "email"}, "@example.org"]}, "serve": "new"},
    {"name": "beta", "if": {"in": ["beta", {"var": "groups"}]}, "split": {"new": 25, "old": 75}},
]


def published(percent: float = 5, stopped: bool = False, **fields: Any) -> PublishedFlag:
    flag = Flag.model_validate(
        {"key": "engine", "variants": {"old": {"mode": "web"}, "new": {"mode": "hybrid"}}, "stable": "old", **fields}
    )
    segment = Segment.model_validate(
        {"name": "eu", "if": {"===": [{"var": "region"}, "eu"]}, "weights": exposure("new", "old", 100)}
    )
    traffic = Traffic(
        stable="old",
        weights=exposure("new", "old", percent),
        segments=(segment,) if fields.get("rules") else (),
        generation=4,
        rollout_id="r-1",
    )
    return PublishedFlag(definition=flag, traffic=traffic, stopped=stopped)


def snapshot(*flags: PublishedFlag, revision: int = 7) -> Snapshot:
    return compile_document(json.loads(json.dumps(document(flags or [published()], revision, "store-1"))))


def user_with(variant: str, seed: str = "engine", limit: int = 5_000) -> str:
    """A user on the wanted side of ``limit``."""
    users = (f"user-{n}" for n in range(10_000))
    return next(u for u in users if (bucket(seed, u) < limit) == (variant == "new"))


def test_a_snapshot_knows_where_it_comes_from() -> None:
    """Revision, store and keys are those of the document."""
    flags = snapshot(published(), published(key="other"))
    assert (flags.revision, flags.store_id, flags.keys) == (7, "store-1", ("engine", "other"))
    assert flags.metadata["flagSetId"] == "turnout"


def test_a_resolution_carries_value_and_evidence() -> None:
    """The answer holds the value and who decided, in which generation of which rollout."""
    found = snapshot().resolve("engine", user_with("new"))
    assert (found.key, found.variant, found.value) == ("engine", "new", {"mode": "hybrid"})
    assert (found.reason, found.error_code) == ("TARGETING_MATCH", None)
    expected = {"generation": 4, "rollout": "r-1", "stable": "old", "revision": 7, "decidedBy": "traffic"}
    assert expected.items() <= found.metadata.items()


def test_the_same_answer_is_the_same_object() -> None:
    """Resolving allocates no answers: equal ones are identical."""
    flags, user = snapshot(), user_with("old")
    assert flags.resolve("engine", user) is flags.resolve("engine", user)


def test_an_unknown_flag_is_an_error() -> None:
    """A flag the snapshot does not hold is FLAG_NOT_FOUND."""
    found = snapshot().resolve("gone", "u")
    assert (found.variant, found.reason, found.error_code) == (None, "ERROR", "FLAG_NOT_FOUND")
    assert "gone" in (found.error_message or "")


@pytest.mark.parametrize("unit", [None, ""])
def test_a_missing_unit_gets_stable_from_every_split(unit: str | None) -> None:
    """Without a unit a split gives the stable variant by default, in the traffic, with a seed, and in a rule."""
    for fields in ({}, {"seed": "exp-1"}, {"rules": RULES}):
        found = snapshot(published(50, **fields)).resolve("engine", unit, {"groups": ["beta"]})
        assert (found.variant, found.reason) == ("old", "DEFAULT")
        assert found.metadata["decidedBy"] == "default"


def test_a_non_ascii_unit_is_hashed_as_utf8() -> None:
    """A unit with umlauts gets the arm of the published vector (bucket 88840 of new-ui and jürgen)."""
    above, below = published(88.841, key="new-ui"), published(88.84, key="new-ui")
    assert snapshot(above).resolve("new-ui", "jürgen").variant == "new"
    assert snapshot(below).resolve("new-ui", "jürgen").variant == "old"


@pytest.mark.parametrize("unit", ["\ud800", 5, b"user"])
def test_a_unit_that_cannot_be_hashed_is_an_error_not_an_exception(unit: Any) -> None:
    """Lone surrogates and other types give INVALID_CONTEXT with a message."""
    found = snapshot().resolve("engine", unit)
    assert (found.variant, found.reason, found.error_code) == (None, "ERROR", "INVALID_CONTEXT")
    assert "targeting key" in (found.error_message or "")
    assert snapshot().explain("engine", unit).source == "error"


def test_an_attribute_that_raises_is_an_error_not_an_exception() -> None:
    """An attribute whose comparison fails gives GENERAL and names the cause."""

    class Broken:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no comparison")

        __hash__ = None  # type: ignore[assignment]  # as in array libraries

    rule = {"name": "r", "if": {"===": [{"var": "plan"}, "pro"]}, "serve": "new"}
    found = snapshot(published(rules=[rule])).resolve("engine", "u", {"plan": Broken()})
    assert (found.reason, found.error_code) == ("ERROR", "GENERAL")
    assert "no comparison" in (found.error_message or "")


def test_an_attribute_named_targeting_key_is_no_unit() -> None:
    """Neither splits nor conditions take the unit from an attribute."""
    mine = {"name": "mine", "if": {"===": [{"var": "targetingKey"}, "vip"]}, "serve": "new"}
    flags = snapshot(published(50, rules=[mine]))
    assert flags.resolve("engine", None, {"targetingKey": "vip"}).reason == "DEFAULT"
    assert flags.resolve("engine", "vip", {"targetingKey": "other"}).metadata["decidedBy"] == "rule:mine"


def test_disabled_and_stopped_flags() -> None:
    """A disabled flag leaves the choice to the caller; a stopped one serves stable to all."""
    off = snapshot(published(enabled=False)).resolve("engine", "u")
    assert (off.variant, off.value, off.reason) == (None, None, "DISABLED")
    stopped = snapshot(published(100, stopped=True, rules=RULES)).resolve("engine", "u", {"email": "a@example.org"})
    assert (stopped.variant, stopped.reason, stopped.metadata["decidedBy"]) == ("old", "STATIC", "stopped")


@pytest.mark.parametrize(
    ("attributes", "source", "name", "passed"),
    [
        ({"email": "a@example.org"}, "rule", "staff", ()),
        ({"groups": ["x", "beta"]}, "rule", "beta", ("staff",)),
        ({"groups": "a,beta", "region": "eu"}, "rule", "beta", ("staff",)),
        ({"groups": 5, "region": "eu"}, "segment", "eu", ("staff", "beta")),
        ({}, "traffic", None, ("staff", "beta", "eu")),
    ],
)
def test_an_explanation_names_what_decided(
    attributes: dict[str, object], source: str, name: str | None, passed: tuple[str, ...]
) -> None:
    """Rules, segments and traffic are told apart, with what was passed over, as in the answer's metadata."""
    flags = snapshot(published(rules=RULES))
    told = flags.explain("engine", "user-1", attributes)
    assert (told.source, told.name, told.passed) == (source, name, passed)
    assert told.resolution == flags.resolve("engine", "user-1", attributes)
    assert told.resolution.metadata["decidedBy"] == (f"{source}:{name}" if name else source)
    assert (told.generation, told.stable, told.rollout, told.stopped) == (4, "old", "r-1", False)


def test_an_explanation_shows_the_bucket_and_the_boundaries() -> None:
    """For a split the seed, the unit's bucket and the arms are shown, and they agree with the answer."""
    flags = snapshot(published(rules=RULES))
    traffic = flags.explain("engine", "user-1")
    assert (traffic.seed, traffic.total) == ("engine", 100_000)
    assert traffic.bucket == bucket("engine", "user-1")
    assert traffic.slices == (Slice("new", 0, 5_000), Slice("old", 5_000, 100_000))
    rule = flags.explain("engine", "user-1", {"groups": ["beta"]})
    assert (rule.seed, rule.bucket) == ("engine:beta:", bucket("engine:beta:", "user-1"))
    arm = next(s for s in rule.slices if s.start <= (rule.bucket or 0) < s.end)
    assert arm.variant == rule.resolution.variant


def test_an_explanation_without_a_unit_has_no_bucket() -> None:
    """Without a unit the split still decides, by its default."""
    told = snapshot().explain("engine")
    assert (told.source, told.bucket, told.resolution.reason) == ("traffic", None, "DEFAULT")
    assert len(told.slices) == 2


def test_explanations_of_flags_that_evaluate_nothing() -> None:
    """Unknown, disabled, stopped and static flags are told apart."""
    flags = snapshot(
        published(key="off", enabled=False), published(key="stopped", stopped=True), published(100, key="static")
    )
    assert [flags.explain(key, "u").source for key in ("gone", "off", "stopped", "static")] == [
        "not_found",
        "disabled",
        "stopped",
        "static",
    ]
    assert flags.explain("stopped", "u").stopped


def test_changes_between_two_snapshots() -> None:
    """Flags that are new, gone or different are changes; a new revision alone is none."""
    old = snapshot(published(), published(key="same"), published(key="gone"), revision=1)
    new = snapshot(published(10), published(key="same"), published(key="new"), revision=2)
    assert new.changed(old) == {"engine", "gone", "new"}
    assert new.changed(new) == frozenset()


def test_branches_without_names_are_numbered() -> None:
    """A document from elsewhere, whose metadata lists no rules, still has its branches explained."""
    targeting: Any = {"if": [{"var": "beta"}, "a", {"if": [{"var": "plan"}, "b", None]}]}
    flags = compile_document(
        {
            "flags": {
                "f": {"state": "ENABLED", "variants": {"a": 1, "b": 2}, "defaultVariant": "a", "targeting": targeting}
            }
        }
    )
    assert flags.explain("f", None, {"plan": "x"}).name == "2"
    assert (flags.revision, flags.store_id) == (0, "")


FLAG: dict[str, Any] = {"state": "ENABLED", "variants": {"a": 1, "b": 2}, "defaultVariant": "a"}
UNGUARDED: Any = {"fractional": [{"cat": ["s", {"var": "targetingKey"}]}, ["a", 1]]}


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({}, "flags"),
        ({"flags": []}, "flags"),
        ({"flags": {"f": 5}}, "flags.f"),
        ({"flags": {}, "$evaluators": {}}, "$evaluators"),
        ({"flags": {}, "metadata": {"revision": -1}}, "metadata.revision"),
        ({"flags": {}, "metadata": {"revision": True}}, "metadata.revision"),
        ({"flags": {}, "metadata": {"revision": "7"}}, "metadata.revision"),
        ({"flags": {}, "metadata": {"storeId": 7}}, "metadata.storeId"),
        ({"flags": {}, "metadata": {"x": None}}, "metadata.x"),
        ({"flags": {}, "metadata": []}, "metadata"),
        ({"flags": {"f": {**FLAG, "state": "enabled"}}}, "flags.f.state"),
        ({"flags": {"f": {**FLAG, "variants": {}, "defaultVariant": None}}}, "flags.f.variants"),
        ({"flags": {"f": {**FLAG, "variants": {"a": None}}}}, "flags.f.variants.a"),
        ({"flags": {"f": {**FLAG, "defaultVariant": "c"}}}, "flags.f.defaultVariant"),
        ({"flags": {"f": {**FLAG, "description": "x"}}}, "flags.f.description"),
        ({"flags": {"f": {**FLAG, "metadata": {"x": []}}}}, "flags.f.metadata.x"),
        ({"flags": {"f": {**FLAG, "targeting": "a"}}}, "flags.f.targeting"),
        ({"flags": {"f": {**FLAG, "targeting": {"in": [{"var": "x"}, ["a"]]}}}}, "flags.f.targeting"),
        ({"flags": {"f": {**FLAG, "targeting": UNGUARDED}}}, "flags.f.targeting"),
        ({"flags": {"f": {**FLAG, "targeting": {"if": [{"<": [1, 2]}, "a", "b"]}}}}, "flags.f.targeting.if[0]"),
        ({"flags": {"f": {**FLAG, "targeting": {"if": [True, 5, "b"]}}}}, "flags.f.targeting.if[1]"),
        (
            {"flags": {"f": {**FLAG, "targeting": {"if": [True, "a", {"if": [True, 5]}]}}}},
            "flags.f.targeting.if[2].if[1]",
        ),
        ({"flags": {"f": {**FLAG, "targeting": {"fractional": [["a", 0.5]]}}}}, "flags.f.targeting.fractional arm 1"),
        ({"flags": {"f": {**FLAG, "targeting": {"fractional": [["a", -1]]}}}}, "flags.f.targeting.fractional arm 1"),
        ({"flags": {"f": {**FLAG, "targeting": {"fractional": [["a", 2**31]]}}}}, "flags.f.targeting.fractional"),
        (
            {"flags": {"f": {**FLAG, "targeting": {"fractional": [{"var": "email"}, ["a", 1]]}}}},
            "flags.f.targeting.fractional arm 1",
        ),
    ],
)
def test_one_fault_refuses_the_document(document: dict[str, Any], path: str) -> None:
    """Each fault is found at its own path and refuses the whole set, healthy flags included."""
    if isinstance(document.get("flags"), dict):
        document = {**document, "flags": {**document["flags"], "healthy": FLAG}}
    with pytest.raises(InvalidInput) as caught:
        compile_document(document)
    assert [problem.path for problem in caught.value.problems] == [path]


def test_every_fault_of_a_document_is_found_at_once() -> None:
    """Faults of several flags come in one error."""
    with pytest.raises(InvalidInput) as caught:
        compile_document(
            {"flags": {"f": {**FLAG, "state": "on"}, "g": {**FLAG, "x": 1, "targeting": {"if": [1, 2, 3]}}}}
        )
    assert [p.path for p in caught.value.problems] == [
        "flags.f.state",
        "flags.g.x",
        "flags.g.targeting.if[0]",
        "flags.g.targeting.if[1]",
        "flags.g.targeting.if[2]",
    ]
