"""Flags compiled to a flagd document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from turnout.domain.bucketing import TOTAL
from turnout.domain.flags import Flag, Segment, Shadow, Traffic, initial_traffic
from turnout.domain.snapshot import PublishedFlag, definition, document

STAFF = {"name": "staff", "if": {"===": [{"var": "team"}, "staff"]}, "serve": "new"}
BETA = {"name": "beta", "if": {"var": "beta"}, "split": {"new": 25, "old": 75}}
HALF = {"new": TOTAL // 2, "old": TOTAL // 2}


def published(traffic: Traffic | None = None, stopped: bool = False, **fields: Any) -> PublishedFlag:
    flag = Flag.model_validate({"key": "engine", "variants": {"old": 1, "new": 2}, "stable": "old", **fields})
    return PublishedFlag(definition=flag, traffic=traffic or initial_traffic(flag), stopped=stopped)


def seeded(seed: str, *arms: list[Any]) -> dict[str, Any]:
    split = {"fractional": [{"cat": [seed, {"var": "targetingKey"}]}, *arms]}
    return {"if": [{"var": "targetingKey"}, split, None]}


def test_one_variant_for_all_needs_no_targeting() -> None:
    """Without rules and with all traffic on one variant, that variant is the default and nothing is evaluated."""
    traffic = Traffic(stable="old", weights={"new": TOTAL, "old": 0}, generation=4)
    assert definition(published(traffic)) == {
        "state": "ENABLED",
        "variants": {"old": 1, "new": 2},
        "defaultVariant": "new",
        "metadata": {"generation": 4, "stable": "old"},
    }


def test_split_traffic_hashes_with_the_flags_key() -> None:
    """A split is flagd's shorthand, in order, and who has no unit gets the stable variant."""
    compiled = definition(published(Traffic(stable="old", weights={"new": 5_000, "old": 95_000})))
    assert compiled["targeting"] == {"fractional": [["new", 5_000], ["old", 95_000]]}
    assert compiled["defaultVariant"] == "old"


def test_a_test_is_published_as_one() -> None:
    """While it goes on and the flag is not stopped; metadata of other traffic says nothing of it."""
    test = Traffic(stable="old", weights=HALF, test=True)
    assert definition(published(test))["metadata"] == {"generation": 1, "stable": "old", "test": True}
    other = test.model_copy(update={"test": False})
    for none in (published(other), published(test, stopped=True)):
        assert "test" not in str(definition(none)["metadata"])
    assert definition(published(test))["targeting"] == definition(published(other))["targeting"]


def test_a_seed_is_spelt_out_and_guarded() -> None:
    """A seed of its own is joined to the unit, behind a guard for a missing unit."""
    compiled = definition(published(Traffic(stable="old", weights=HALF), seed="exp-1"))
    assert compiled["targeting"] == seeded("exp-1", ["new", 50_000], ["old", 50_000])


def test_rules_come_before_the_traffic_and_hash_apart() -> None:
    """Rules are tried in order, then the traffic; a rule's split has a seed of its own."""
    compiled = definition(published(Traffic(stable="old", weights=HALF), rules=[STAFF, BETA]))
    assert compiled["targeting"] == {
        "if": [
            {"===": [{"var": "team"}, "staff"]},
            "new",
            {"var": "beta"},
            seeded("engine:beta:", ["new", 25_000], ["old", 75_000]),
            {"fractional": [["new", 50_000], ["old", 50_000]]},
        ]
    }
    assert compiled["metadata"] == {"generation": 1, "stable": "old", "rules": "staff,beta"}


def test_rules_before_one_variant_for_the_rest() -> None:
    """The rest is a plain name when it all goes to one variant, and so is a rule's split of 100 to 0."""
    whole = {"name": "all", "if": True, "split": {"new": 100, "old": 0}}
    compiled = definition(published(serve="new", rules=[whole]))
    assert compiled["targeting"] == {"if": [True, "new", "new"]}
    assert compiled["defaultVariant"] == "old"


def test_segments_come_after_rules_and_share_the_flags_hash() -> None:
    """A rollout's segments stand between the rules and the rest, and hash like the rest."""
    segment = Segment.model_validate(
        {"name": "eu", "if": {"in": [{"var": "country"}, ["DE"]]}, "weights": {"new": 10_000, "old": 90_000}}
    )
    traffic = Traffic(stable="old", weights={"new": 0, "old": TOTAL}, segments=(segment,), rollout_id="r-7")
    compiled = definition(published(traffic, rules=[STAFF]))
    assert compiled["targeting"] == {
        "if": [
            {"===": [{"var": "team"}, "staff"]},
            "new",
            {"in": [{"var": "country"}, ["DE"]]},
            {"fractional": [["new", 10_000], ["old", 90_000]]},
            "old",
        ]
    }
    assert compiled["metadata"] == {
        "generation": 1,
        "stable": "old",
        "rollout": "r-7",
        "rules": "staff",
        "segments": "eu",
    }


def test_a_segment_that_is_apart_hashes_with_its_name() -> None:
    """Its seed is one that no rule and no other segment can have."""
    segment = Segment.model_validate({"name": "eu", "if": True, "weights": HALF, "apart": True})
    traffic = Traffic(stable="old", weights={"new": 0, "old": TOTAL}, segments=(segment,))
    split = seeded("engine:segment:eu:", ["new", 50_000], ["old", 50_000])
    assert definition(published(traffic))["targeting"] == {"if": [True, split, "old"]}


def test_a_stopped_flag_serves_the_effective_stable_to_all() -> None:
    """A stop removes rules and splits; stable is that of the traffic, not that of the definition."""
    traffic = Traffic(stable="new", weights=HALF, generation=9)
    compiled = definition(published(traffic, stopped=True, rules=[STAFF]))
    assert "targeting" not in compiled
    assert compiled["defaultVariant"] == "new"
    assert compiled["metadata"] == {"generation": 9, "stable": "new", "stopped": True}


def test_a_stop_overrides_traffic_that_is_all_on_the_candidate() -> None:
    """Even when everybody has the candidate, a stop sends them to stable."""
    traffic = Traffic(stable="old", weights={"new": TOTAL})
    assert definition(published(traffic, stopped=True))["defaultVariant"] == "old"


def test_a_disabled_flag_says_so() -> None:
    """A flag that is not enabled is published as DISABLED."""
    assert definition(published(enabled=False))["state"] == "DISABLED"


def test_the_document_names_its_store_and_revision() -> None:
    """The set's metadata carries revision and store, and the document is plain JSON."""
    whole = document([published()], revision=12, store_id="prod-1")
    assert whole["metadata"] == {"flagSetId": "turnout", "version": "12", "revision": 12, "storeId": "prod-1"}
    assert json.loads(json.dumps(whole, allow_nan=False)) == whole
    assert list(whole) == ["flags", "metadata"]


def test_traffic_of_unknown_variants_is_refused() -> None:
    """Traffic that names a variant the definition lacks cannot be published."""
    with pytest.raises(ValidationError, match="gone"):
        published(Traffic(stable="old", weights={"gone": TOTAL}))


@pytest.mark.parametrize("comparator", [None, "exact"])
def test_a_shadow_is_published_as_metadata(comparator: str | None) -> None:
    """Nobody is served anything else; who is in the sample, and how to compare, is told to all languages."""
    shadow = Shadow.model_validate({"variant": "new", "sample": 20_000, "comparator": comparator})
    compiled = definition(published(Traffic(stable="old", weights={"old": TOTAL}, shadow=shadow), seed="exp-1"))
    assert (compiled["defaultVariant"], "targeting" in compiled) == ("old", False)
    assert compiled["metadata"] == {
        "generation": 1,
        "stable": "old",
        "shadow": "new",
        "shadowSample": 20_000,
        "shadowSeed": "exp-1:shadow:",
        **({"shadowComparator": comparator} if comparator else {}),
    }
    stopped = definition(published(Traffic(stable="old", weights={"old": TOTAL}, shadow=shadow), stopped=True))
    assert stopped["metadata"] == {"generation": 1, "stable": "old", "stopped": True}
