"""Limits that are frozen from stable, outcomes that chance did not draw, bounds, times and replay."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.stores.builders import (
    FLAG,
    NOW,
    a_flag,
    a_move,
    a_plan,
    a_rollout,
    an_outcome,
    applied,
    begun,
    later,
)
from turnout.adapters.sql import open_stores
from turnout.domain.outcomes import ANY_METRIC, Outcome, beyond_stable, capped
from turnout.domain.plan import Bounds, Gate
from turnout.ports.stores import Stores

_SLOW = beyond_stable("response_time", 0.95)
_GATES = (Gate(metric="response_time", quantile=0.95, versus="stable", ratio=1.1),)


async def _compared(stores: Stores) -> None:
    """A rollout in its first stage, generation 2, that compares the p95 of latency."""
    await applied(stores, a_flag())
    await stores.rollouts.open(a_rollout(plan=a_plan(gates=_GATES)))
    await stores.rollouts.commit(a_move(1, 2))


def _many(name: str, count: int, **fields: Any) -> list[Outcome]:
    """Outcomes with latencies and costs 1, 2, …, ``count``."""
    return [an_outcome(f"{name}-{i}", f"{name}-u{i % 50}", latency_ms=i, cost=i, **fields) for i in range(1, count + 1)]


async def test_limits_come_from_the_nearest_earlier_generation(stores: Stores) -> None:
    """The p95 and the cap are those of stable before the stage, frozen before its first value is held against them."""
    await applied(stores, a_flag())
    await stores.outcomes.record(_many("before", 2000), NOW)
    await _compared(stores)
    assert await stores.outcomes.frozen(FLAG, 2) == {}
    await stores.outcomes.record(_many("new", 2000, variant="new", generation=2), NOW)
    frozen = await stores.outcomes.frozen(FLAG, 2)
    assert frozen == {_SLOW: pytest.approx(1900, rel=0.011), capped("cost"): pytest.approx(1998, rel=0.011)}
    slow = (await stores.outcomes.stats(FLAG, 2, _SLOW))["new"]
    assert (slow.samples, slow.total) == (2000, 2000 - int(frozen[_SLOW]))
    costs = (await stores.outcomes.stats(FLAG, 2, capped("cost")))["new"]
    assert costs.total == pytest.approx(sum(min(i, frozen[capped("cost")]) for i in range(1, 2001)))
    assert (await stores.outcomes.stats(FLAG, 2, "cost"))["new"].total == 2000 * 2001 / 2


async def test_without_an_earlier_one_the_stage_has_to_reach_a_thousand_values(stores: Stores) -> None:
    """Values before the limit count for nothing, costs before the cap are not capped; 999 values are too few."""
    await _compared(stores)
    await stores.outcomes.record(_many("a", 999), NOW)
    await stores.outcomes.record([an_outcome("b", latency_ms=1000, cost=1000)], NOW)
    assert await stores.outcomes.frozen(FLAG, 2) == {}
    assert await stores.outcomes.stats(FLAG, 2, _SLOW) == {}
    assert (await stores.outcomes.stats(FLAG, 2, capped("cost")))["old"].total == 1000 * 1001 / 2
    await stores.outcomes.record([an_outcome("c", variant="new", latency_ms=2000, cost=1e6)], NOW)
    frozen = await stores.outcomes.frozen(FLAG, 2)
    assert frozen[_SLOW] == pytest.approx(950, rel=0.011)
    assert (await stores.outcomes.stats(FLAG, 2, _SLOW))["new"].total == 1
    assert (await stores.outcomes.stats(FLAG, 2, capped("cost")))["new"].total == frozen[capped("cost")]


async def test_a_frozen_limit_never_changes(stores: Stores) -> None:
    """However much is learnt later, of this generation or of earlier ones, and for which arm, the limit stays."""
    await _compared(stores)
    await stores.outcomes.record(_many("a", 1000), NOW)
    await stores.outcomes.record([an_outcome("b", latency_ms=1, cost=1)], NOW)
    frozen = await stores.outcomes.frozen(FLAG, 2)
    late = [o.model_copy(update={"generation": 1}) for o in _many("late", 3000)]
    await stores.outcomes.record(late, NOW)
    await stores.outcomes.record(_many("c", 5000, variant="new"), NOW)
    assert await stores.outcomes.frozen(FLAG, 2) == frozen
    assert len(frozen) == 2


async def test_values_of_the_candidate_freeze_nothing(stores: Stores) -> None:
    """However many values the candidate has, only stable's make a limit."""
    await _compared(stores)
    await stores.outcomes.record(_many("a", 2000, variant="new"), NOW)
    await stores.outcomes.record(_many("b", 10, variant="new"), NOW)
    assert await stores.outcomes.frozen(FLAG, 2) == {}


async def test_what_chance_did_not_draw_is_kept_and_not_counted(stores: Stores) -> None:
    """Outcomes served by a rule, a holdout or an emergency stop are accepted once, replayed, and in no statistics."""
    await applied(stores, a_flag())
    ways = ("rule:staff", "holdout:all", "stopped", "static", None)
    batch = [an_outcome(str(i), f"u{i}", decided_by=way, at=later(i)) for i, way in enumerate(ways)]
    assert (await stores.outcomes.record(batch, NOW)).accepted == 5
    assert (await stores.outcomes.record(batch, NOW)).duplicates == 5
    assert await stores.outcomes.units(FLAG, 1) == {"old": 2}
    assert (await stores.outcomes.stats(FLAG, 1, "success_rate"))["old"].samples == 2
    assert [outcome.decided_by async for outcome in stores.outcomes.replay(FLAG, 1)] == list(ways)


async def test_values_out_of_bounds_are_rejected_and_counted(stores: Stores) -> None:
    """The outcome is kept and its other values count; the receipt and the generation say how many were rejected."""
    await applied(stores, a_flag())
    bounds = {"quality_score": Bounds(min=0, max=1), "error_rate": Bounds(max=0.5)}
    await stores.rollouts.open(a_rollout(plan=a_plan().model_copy(update={"bounds": bounds})))
    await stores.rollouts.commit(a_move(1, 2))
    batch = [an_outcome(str(i), quality=quality, ok=False) for i, quality in enumerate((-0.1, 0, 1, 1.1))]
    receipt = await stores.outcomes.record([*batch, batch[0]], NOW)
    assert (receipt.accepted, receipt.duplicates, receipt.rejected) == (4, 1, {"quality_score": 2})
    assert await stores.outcomes.rejected(FLAG, 2) == {"quality_score": 2}
    assert await stores.outcomes.rejected(FLAG, 1) == {}
    assert (await stores.outcomes.stats(FLAG, 2, "quality_score"))["old"].samples == 2
    assert (await stores.outcomes.stats(FLAG, 2, "error_rate"))["old"].total == 4


async def test_an_implausible_time_is_that_of_the_receipt(stores: Stores) -> None:
    """A clock that is far ahead, or behind the start of the generation, is not believed; a plausible one is."""
    await begun(stores)
    received = NOW + timedelta(hours=2)
    times = {"ahead": received + timedelta(seconds=61), "behind": NOW - timedelta(hours=1), "right": later(3600)}
    await stores.outcomes.record([an_outcome(id, id, at=at) for id, at in times.items()], received)
    minutes = (await stores.outcomes.minutes(FLAG, 2, ANY_METRIC))["old"]
    start = int(NOW.timestamp()) // 60
    assert [(m.minute - start, m.samples, m.units) for m in minutes] == [(60, 1, 1), (120, 2, 2)]
    assert [o.at async for o in stores.outcomes.replay(FLAG, 2)] == [later(3600), received, received]


async def test_replay_gives_every_outcome_in_the_order_of_their_times(stores: Stores) -> None:
    """Whatever the order of arrival, also of thousands at few moments; other generations and flags are left out."""
    await applied(stores, a_flag(), a_flag("other"))
    batch = [an_outcome(f"{i:05}", at=later(i % 3), values={"tokens": i}) for i in range(4500)]
    random.Random(3).shuffle(batch)
    await stores.outcomes.record(batch, later(10))
    await stores.outcomes.record([an_outcome("x").model_copy(update={"flag": "other"})], NOW)
    replayed = [outcome async for outcome in stores.outcomes.replay(FLAG, 1)]
    assert replayed == sorted(
        (o.model_copy(update={"generation": 1}) for o in batch), key=lambda o: (o.at or NOW, o.id)
    )
    assert [outcome async for outcome in stores.outcomes.replay(FLAG, 2)] == []


async def test_batches_across_generations_at_once_count_exactly(database_url: str) -> None:
    """Engines that add to several generations and flags at once, in opposite orders, neither deadlock nor lose any."""
    async with open_stores(database_url) as one, open_stores(database_url) as two:
        await applied(one, a_flag("other"))
        await begun(one)
        draw = random.Random(5)
        batches: list[list[Outcome]] = []
        for b in range(12):
            batch = [
                an_outcome(f"{b}-{i}", f"u{i % 7}", generation=1 + i % 2, latency_ms=i).model_copy(
                    update={"flag": (FLAG, "other")[i % 3 == 0]}
                )
                for i in range(60)
            ]
            draw.shuffle(batch)
            batches.append(batch)
        await asyncio.gather(*((one, two)[b % 2].outcomes.record(batch, NOW) for b, batch in enumerate(batches)))
        counted = {
            (flag, generation): (await two.outcomes.stats(flag, generation, "response_time"))["old"]
            for flag, generation in ((FLAG, 1), (FLAG, 2), ("other", 1))
        }
        assert {key: arm.samples for key, arm in counted.items()} == {(FLAG, 1): 240, (FLAG, 2): 240, ("other", 1): 240}
        assert all(arm.units == 7 for arm in counted.values())
