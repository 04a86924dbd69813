"""Splits, the fence, drifts, and whole numbers in proportion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from turnout.domain.errors import InvalidInput, StaleGeneration
from turnout.domain.proportions import scaled, shares
from turnout.domain.splits import Preview, RouterSplit, RouterState, drifts, named, refuse_stale
from turnout.testing.routers import MemoryRouter


def split(generation: int = 1, green: int = 10_000, rollout: str = "r-1") -> RouterSplit:
    return RouterSplit(rollout_id=rollout, generation=generation, weights={"green": green, "blue": 100_000 - green})


weights = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 100_000), min_size=1).filter(
    lambda w: any(w.values())
)


@given(weights, st.sampled_from([1, 10, 256, 10_000]))
def test_scaled_weights_keep_zero_and_nothing_else_becomes_it(asked: dict[str, int], largest: int) -> None:
    """Within 0 and the largest; 0 exactly where 0 was asked for."""
    parts = scaled(asked, largest)
    assert parts.keys() == asked.keys()
    assert all((part == 0) == (asked[name] == 0) and 0 <= part <= largest for name, part in parts.items())


@given(st.integers(1_000, 99_000))
def test_scaled_weights_are_near_and_small(green: int) -> None:
    """Between 1 % and 99 % either share is exact to a hundredth of itself, even in HAProxy's 256 steps."""
    parts = scaled({"green": green, "blue": 100_000 - green}, 256)
    total = sum(parts.values())
    assert parts["green"] / total == pytest.approx(green / 100_000, rel=0.0101)
    assert parts["blue"] / total == pytest.approx(1 - green / 100_000, rel=0.0101)


@pytest.mark.parametrize(
    ("green", "largest", "expected"),
    [
        (0, 256, (0, 1)),
        (100_000, 256, (1, 0)),
        (50_000, 256, (1, 1)),
        (10_000, 256, (1, 9)),
        (33_333, 256, (1, 2)),
        (1, 256, (1, 256)),
        (300, 256, (1, 256)),
        (99_999, 256, (256, 1)),
        (100, 10_000, (1, 990)),
        (10, 10_000, (1, 9900)),
        (1, 10_000, (1, 10_000)),
    ],
)
def test_scaled_examples(green: int, largest: int, expected: tuple[int, int]) -> None:
    """The smallest numbers that will do; where none do, the nearest."""
    parts = scaled({"green": green, "blue": 100_000 - green}, largest)
    assert (parts["green"], parts["blue"]) == expected


@given(weights)
def test_shares_sum_to_the_whole(asked: dict[str, int]) -> None:
    """Whatever is shared out, shares sum to 100000 and are at most one step off."""
    found, total = shares({name: float(part) for name, part in asked.items()}), sum(asked.values())
    assert sum(found.values()) == 100_000
    assert all(abs(found[name] - part * 100_000 / total) < 1 for name, part in asked.items())


def test_shares_of_nothing() -> None:
    """A router whose weights are all 0 serves nobody."""
    assert shares({"blue": 0.0, "green": 0.0}) == {"blue": 0, "green": 0}


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ((2, "r-1"), "the lb follows generation 2 of rollout r-1; generation 1 of rollout r-1 is not newer"),
        ((1, "r-0"), "generation 1 of rollout r-1 is not newer"),
    ],
)
def test_the_fence_refuses(found: tuple[int, str], message: str) -> None:
    """A newer generation, and the same one of another rollout."""
    with pytest.raises(StaleGeneration, match=message):
        refuse_stale(split(1), RouterState(shares={}, generation=found[0], rollout_id=found[1]), "the lb")


@pytest.mark.parametrize("found", [(None, None), (0, "r-0"), (1, "r-1")])
def test_the_fence_lets_through(found: tuple[int | None, str | None]) -> None:
    """A router that remembers nothing or something older, and the same change once more."""
    refuse_stale(split(1), RouterState(shares={}, generation=found[0], rollout_id=found[1]), "the lb")


def test_drifts_name_every_difference() -> None:
    """Each kind with what was expected and what was found; a condition only where there is traffic."""
    preview = Preview(variant="green", cookie="track", value="green")
    expected = RouterState(
        shares={"blue": 100_000, "green": 0}, rollout_id="r-1", generation=3, preview=preview, tolerance=500
    )
    found = RouterState(
        shares={"blue": 99_400, "other": 600},
        conditions={"blue": "starting", "green": "maintenance"},
        rollout_id="r-1",
        generation=2,
    )
    assert [str(drift) for drift in drifts(expected, found)] == [
        "generation: expected 3 of rollout r-1, found 2 of rollout r-1",
        "share of blue: expected 100 %, found 99.4 %",
        "share of other: expected 0 %, found 0.6 %",
        "preview: expected cookie track=green to green, found none",
        "condition of green: expected up, found maintenance",
    ]
    unused = expected.model_copy(update={"preview": None})
    near = unused.model_copy(update={"shares": {"blue": 99_500, "green": 500}, "conditions": {"green": "down"}})
    assert drifts(unused, near) == ()


def test_named_refuses_what_the_router_cannot_do() -> None:
    """Every variant that gets requests needs a place; one with weight 0 does not."""
    assert named(split(green=0), {"blue": "b1"}, "router.servers") == {"blue": 100_000}
    with pytest.raises(InvalidInput) as caught:
        named(split(), {"bleu": "b1"}, "router.servers")
    assert [problem.remedy for problem in caught.value.problems] == ["did you mean bleu?", "known here: bleu"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"weights": {"blue": 99_999}}, "sum to 99999; make them sum to 100000"),
        ({"weights": {"blue": 100_000}, "rollout_id": "a b"}, "rollout_id"),
        ({"weights": {"blue": 100_000}, "preview": {"variant": "blue", "value": "x"}}, "found none"),
        ({"weights": {"blue": 100_000}, "preview": {"variant": "blue", "header": "x"}}, "value belongs to a header"),
        ({"weights": {"blue": 100_000}, "preview": {"variant": "blue", "segment": "x", "value": "y"}}, "value belongs"),
        ({"weights": {"blue": 100_000}, "preview": {"variant": "b", "header": "x", "value": "a;b"}}, "value"),
    ],
)
def test_splits_are_checked_at_the_door(document: dict[str, object], message: str) -> None:
    """Nothing that a router could misread gets past the model."""
    with pytest.raises(ValidationError, match=message):
        RouterSplit.model_validate({"rollout_id": "r", "generation": 1, **document})


async def test_the_router_in_memory_keeps_the_rules_of_the_port() -> None:
    """Applied, read back, drifted, refused, failed."""
    router = MemoryRouter(["blue", "green"])
    assert (await router.apply(split(2))).drift == ()
    router.state = router.state.model_copy(update={"shares": {"blue": 50_000, "green": 50_000}})
    assert len(drifts(router.planned(split(2)), await router.read())) == 2
    with pytest.raises(StaleGeneration):
        await router.apply(split(1))
    assert router.applied == [split(2)]
    router.failure = ConnectionError()
    with pytest.raises(ConnectionError):
        await router.apply(split(3))
