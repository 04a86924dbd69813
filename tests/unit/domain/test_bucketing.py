"""The one hash and the choice of an arm."""

from __future__ import annotations

import json
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain import murmur3
from turnout.domain import bucketing
from turnout.domain.bucketing import MAX_TOTAL, TOTAL, bucket, hash32, pick, splitter

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "golden" / "bucketing_v2.json").read_text("utf-8")
)["vectors"]

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
names = st.sampled_from(["a", "b", "c", "d"])


def test_published_vectors() -> None:
    """The two vectors that flagd's v2 engines were observed to give come out."""
    assert (hash32("checkout" + "user-1"), bucket("checkout", "user-1", 100_000)) == (3105039728, 72294)
    assert (hash32("new-ui" + "jürgen"), bucket("new-ui", "jürgen", 100_000)) == (3815667214, 88840)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['seed'][:12]}+{v['unit']!a}/{v['total']}")
def test_golden_vectors(vector: dict[str, Any]) -> None:
    """Every recorded assignment stays as it is, by the product's hash and by an independent one."""
    seed, unit, total = vector["seed"], vector["unit"], vector["total"]
    assert hash32(seed + unit) == vector["hash"]
    assert bucket(seed, unit, total) == vector["bucket"]
    assert murmur3.bucket(seed, unit, total) == vector["bucket"]


def test_golden_vectors_are_many() -> None:
    """The file covers non-ASCII units and several totals."""
    assert len(VECTORS) > 200
    assert sum(not v["unit"].isascii() for v in VECTORS) > 50
    assert len({v["total"] for v in VECTORS}) > 4


@given(texts, texts, st.integers(1, MAX_TOTAL))
def test_agrees_with_an_independent_hash(seed: str, unit: str, total: int) -> None:
    """The bucket is that of a second implementation, and within the total."""
    found = bucket(seed, unit, total)
    assert found == murmur3.bucket(seed, unit, total)
    assert 0 <= found < total


def test_total_is_the_default() -> None:
    """Without a total, buckets are in 1/100000."""
    assert bucket("checkout", "user-1") == bucket("checkout", "user-1", TOTAL) == 72294


def test_pick_takes_the_first_arm_above_the_bucket() -> None:
    """The end of an arm belongs to the next one, empty arms get nobody, and beyond all arms is None."""
    arms = [("a", 10), ("none", 0), ("b", 90)]
    assert [pick(b, arms) for b in (0, 9, 10, 99, 100)] == ["a", "a", "b", "b", None]


arms_of_a_split = st.lists(st.tuples(names, st.integers(0, 200_000)), min_size=1, max_size=5).filter(
    lambda arms: sum(weight for _, weight in arms) > 0
)


@given(texts, texts.filter(bool), arms_of_a_split)
def test_splitter_is_pick_of_bucket(seed: str, unit: str, arms: list[tuple[str, int]]) -> None:
    """The fast form gives the same arm as the formula."""
    total = sum(weight for _, weight in arms)
    assert splitter(seed, arms, "missing")(unit, None) == pick(bucket(seed, unit, total), arms)


@given(st.data(), arms_of_a_split)
def test_splitter_is_exact_at_every_hash(data: st.DataObject, arms: list[tuple[str, int]]) -> None:
    """Also for the hashes on either side of the edge of an arm, which hardly any unit has, the formula holds."""
    total = sum(weight for _, weight in arms)
    ends = [end * 2**32 // total for end in accumulate(weight for _, weight in arms)]
    hashed = data.draw(st.sampled_from([min(max(end + step, 0), 2**32 - 1) for end in ends for step in (-1, 0, 1)]))
    fixed = SimpleNamespace(mmh3_32_uintdigest=lambda _text: hashed)
    with mock.patch.object(bucketing, "mmh3", fixed):
        assert splitter("", arms, "missing")("u", None) == pick(hashed * total >> 32, arms)


@pytest.mark.parametrize("arms", [[("a", 1), ("b", 1)], [("a", 1)]])
def test_a_lone_surrogate_is_an_error_and_no_crash(arms: list[tuple[str, int]]) -> None:
    """A unit without a UTF-8 form raises; the hash library itself would end the process."""
    with pytest.raises(UnicodeEncodeError):
        hash32("user-\ud800")
    with pytest.raises(UnicodeEncodeError):
        splitter("seed", arms, "missing")("user-\ud800", None)


@pytest.mark.parametrize("unit", [None, ""])
@pytest.mark.parametrize("arms", [[("a", 1), ("b", 1)], [("a", 1), ("b", 1), ("c", 1)]])
def test_no_unit_gets_no_arm(unit: str | None, arms: list[tuple[str, int]]) -> None:
    """A missing or empty unit is not hashed."""
    assert splitter("seed", arms, "missing")(unit, None) == "missing"


@given(texts, texts, st.integers(0, TOTAL), st.integers(0, TOTAL))
def test_a_first_arm_that_grows_keeps_its_units(seed: str, unit: str, one: int, other: int) -> None:
    """Whoever is in the first arm at a share is in it at every greater share."""
    small, large = sorted((one, other))
    in_small = pick(bucket(seed, unit), [("new", small), ("old", TOTAL - small)]) == "new"
    in_large = pick(bucket(seed, unit), [("new", large), ("old", TOTAL - large)]) == "new"
    assert in_large or not in_small
