"""Outcomes: kept once, attributed to a generation, summed by cluster of units."""

from __future__ import annotations

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
    completed,
    later,
)
from turnout.domain.outcomes import exceedance
from turnout.domain.plan import Gate, JsonSource
from turnout.domain.stats import ArmStats
from turnout.ports.outcomes import Receipt
from turnout.ports.stores import Stores


async def test_outcomes_are_summed_by_unit(stores: Stores) -> None:
    """Statistics of a metric are the sums over units from which means and their variances follow."""
    await applied(stores, a_flag())
    batch = [
        an_outcome("1", "u1", latency_ms=10),
        an_outcome("2", "u1", latency_ms=30),
        an_outcome("3", "u2", latency_ms=5),
        an_outcome("4", "u3", "new", latency_ms=7),
        an_outcome("5", "u4"),
    ]
    assert await stores.outcomes.record(batch, NOW) == Receipt(5, 0, 0)
    assert await stores.outcomes.stats(FLAG, 1, "response_time") == {
        "old": ArmStats(units=2, samples=3, total=45, squares=1025, nn=5, yy=1625, ny=85, clusters=2),
        "new": ArmStats(units=1, samples=1, total=7, squares=49, nn=1, yy=49, ny=7, clusters=1),
    }


async def test_arms_never_mix(stores: Stores) -> None:
    """What a segment was served and what was made in shadow are arms of their own, and are told again as they were."""
    await applied(stores, a_flag())
    batch = [
        an_outcome("1", "u1", "new"),
        an_outcome("2", "u2", "new", decided_by="segment:beta"),
        an_outcome("3", "u3", "new", mode="shadow"),
        an_outcome("4", "u4", "new", decided_by="rule:staff"),
    ]
    await stores.outcomes.record(batch, NOW)
    assert await stores.outcomes.units(FLAG, 1) == {"new": 1, "new@beta": 1, "new:shadow": 1}
    told = [outcome async for outcome in stores.outcomes.replay(FLAG, 1)]
    assert [(one.arm, one.mode) for one in told] == [(one.arm, one.mode) for one in batch]


async def test_every_metric_an_outcome_carries_is_summed(stores: Stores) -> None:
    """Success and error rates, the named numbers and custom ones are there; absent ones are not."""
    await applied(stores, a_flag())
    full = an_outcome("1", quality=0.5, satisfaction=4, cost=0.25, values={"tokens": 12})
    await stores.outcomes.record([full, an_outcome("2", ok=False), an_outcome("3", ok=None)], NOW)
    totals = {
        name: (arm.samples, arm.total)
        for name in ("success_rate", "error_rate", "quality_score", "satisfaction", "cost", "tokens")
        for arm in (await stores.outcomes.stats(FLAG, 1, name)).values()
    }
    assert totals == {
        "success_rate": (2, 1),
        "error_rate": (2, 1),
        "quality_score": (1, 0.5),
        "satisfaction": (1, 4),
        "cost": (1, 0.25),
        "tokens": (1, 12),
    }
    assert await stores.outcomes.stats(FLAG, 1, "response_time") == {}


async def test_an_id_counts_once(stores: Stores) -> None:
    """An id seen before, in this batch or an earlier one, is a duplicate and changes no statistics."""
    await applied(stores, a_flag())
    assert await stores.outcomes.record([an_outcome("1"), an_outcome("1", "u9")], NOW) == Receipt(1, 1)
    assert await stores.outcomes.record([an_outcome("1"), an_outcome("2")], NOW) == Receipt(1, 1)
    stats = (await stores.outcomes.stats(FLAG, 1, "success_rate"))["old"]
    assert (stats.units, stats.samples) == (1, 2)


async def test_unknown_flags_and_variants_are_counted_and_not_kept(stores: Stores) -> None:
    """Outcomes of no flag or variant are unknown; sent again once the variant exists, they are new."""
    await applied(stores, a_flag())
    lost = [an_outcome("1", variant="third"), an_outcome("2", flag="absent"), an_outcome("3")]
    assert await stores.outcomes.record(lost, NOW) == Receipt(1, 0, 2)
    await applied(stores, a_flag(variants={"old": {}, "new": {}, "third": {}}), a_flag("absent"))
    assert await stores.outcomes.record(lost, NOW) == Receipt(2, 1, 0)


async def test_an_empty_batch_is_fine(stores: Stores) -> None:
    """Nothing in, nothing out."""
    assert await stores.outcomes.record([], NOW) == Receipt(0, 0, 0)


async def test_an_outcome_counts_for_its_generation(stores: Stores) -> None:
    """An outcome counts for the generation it names, or for the one published at intake."""
    await begun(stores)
    batch = [an_outcome("1", generation=1), an_outcome("2", generation=2), an_outcome("3"), an_outcome("4")]
    await stores.outcomes.record(batch, NOW)
    counts = [(await stores.outcomes.stats(FLAG, g, "success_rate"))["old"].samples for g in (1, 2)]
    assert counts == [1, 3]
    await stores.rollouts.commit(a_move(2, 3))
    await stores.outcomes.record([an_outcome("5")], NOW)
    assert (await stores.outcomes.stats(FLAG, 3, "success_rate"))["old"].samples == 1


async def test_nothing_counts_for_a_stage_in_advance(stores: Stores) -> None:
    """A generation that does not exist yet cannot collect evidence: the outcome counts for the present one."""
    await applied(stores, a_flag())
    await stores.outcomes.record([an_outcome("1", generation=2), an_outcome("2", generation=2**70)], NOW)
    assert await stores.outcomes.stats(FLAG, 2, "success_rate") == {}
    assert (await stores.outcomes.stats(FLAG, 1, "success_rate"))["old"].samples == 2


async def test_quantile_gates_get_their_exceedances(stores: Stores) -> None:
    """For gates on a quantile with a maximum, the share of values above it is counted by unit."""
    await applied(stores, a_flag())
    gates = (Gate(metric="response_time", quantile=0.95, max=100),)
    guardrails = (Gate(metric="tokens", quantile=0.5, max=7, on_fail="pause"),)
    await stores.rollouts.open(a_rollout(plan=a_plan(gates=gates, guardrails=guardrails)))
    await stores.rollouts.commit(a_move(1, 2))
    batch = [
        an_outcome("1", latency_ms=100, values={"tokens": 8}),
        an_outcome("2", latency_ms=100.5),
        an_outcome("3", "u2", latency_ms=500),
        an_outcome("4", "u3"),
    ]
    await stores.outcomes.record(batch, NOW)
    slow = await stores.outcomes.stats(FLAG, 2, exceedance("response_time", 100.0))
    assert slow["old"] == ArmStats(units=2, samples=3, total=2, squares=2, nn=5, yy=2, ny=3, clusters=2)
    assert (await stores.outcomes.stats(FLAG, 2, exceedance("tokens", 7.0)))["old"].total == 1


async def test_only_quantiles_of_outcomes_have_exceedances(stores: Stores) -> None:
    """A plain maximum, or a quantile of another source, adds no metric."""
    await applied(stores, a_flag())
    elsewhere = JsonSource(kind="json", url="http://metrics.example", pointer="p95")
    gates = (
        Gate(metric="cost", max=1),
        Gate(metric="response_time", quantile=0.9, max=100, source=elsewhere),
    )
    await stores.rollouts.open(a_rollout(plan=a_plan(gates=gates)))
    await stores.rollouts.commit(a_move(1, 2))
    await stores.outcomes.record([an_outcome("1", latency_ms=101, cost=2)], NOW)
    assert await stores.outcomes.stats(FLAG, 2, exceedance("response_time", 100.0)) == {}
    assert await stores.outcomes.stats(FLAG, 2, exceedance("cost", 1.0)) == {}


async def test_the_next_rollout_brings_its_own_thresholds(stores: Stores) -> None:
    """Thresholds follow the flag's latest rollout, although plans are remembered."""
    await completed(stores)
    await stores.outcomes.record([an_outcome("1", latency_ms=500)], NOW)
    plan = a_plan(gates=(Gate(metric="response_time", quantile=0.9, max=400),))
    await stores.rollouts.open(a_rollout("r2", candidate="old", stable="new", plan=plan))
    await stores.rollouts.commit(a_move(1, 4, rollout_id="r2"))
    await stores.outcomes.record([an_outcome("2", latency_ms=500)], NOW)
    above = await stores.outcomes.stats(FLAG, 4, exceedance("response_time", 400.0))
    assert above["old"].total == 1


@pytest.mark.parametrize("unit", ["Zoë 🚆", "a'b\"c", "x" * 500])
async def test_any_unit_is_kept_apart(stores: Stores, unit: str) -> None:
    """Units are compared exactly, whatever characters they have."""
    await applied(stores, a_flag())
    await stores.outcomes.record([an_outcome("1", unit, at=later(-9)), an_outcome("2", unit.lower())], NOW)
    stats = (await stores.outcomes.stats(FLAG, 1, "success_rate"))["old"]
    assert (stats.units, stats.samples) == (len({unit, unit.lower()}), 2)


async def test_extreme_numbers_stay_finite(stores: Stores) -> None:
    """The largest number an outcome may carry can be summed and read back."""
    await applied(stores, a_flag())
    await stores.outcomes.record([an_outcome(str(i), cost=1e100) for i in range(3)], NOW)
    stats = (await stores.outcomes.stats(FLAG, 1, "cost"))["old"]
    assert stats.squares == pytest.approx(3e200)
    assert stats.yy == pytest.approx(9e200)


async def test_tiny_numbers_do_not_spoil_the_statistics(stores: Stores) -> None:
    """A number so small that its square is none still leaves the statistics readable."""
    await applied(stores, a_flag())
    batch = [an_outcome(str(i), f"u{i}", cost=cost) for i, cost in enumerate((1e-200, -5e-324, 1e-100, 2.0))]
    await stores.outcomes.record(batch, NOW)
    stats = (await stores.outcomes.stats(FLAG, 1, "cost"))["old"]
    assert stats.samples == 4
    assert [stats.total, stats.squares] == pytest.approx([2, 4])
