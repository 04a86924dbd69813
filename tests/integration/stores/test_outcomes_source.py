"""Outcomes as a source of readings, on every kind of store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.integration.stores.builders import FLAG, NOW, a_flag, a_move, a_plan, a_rollout, an_outcome, applied
from turnout.adapters.sources.outcomes import OutcomesSource
from turnout.analysis.judge import judge
from turnout.domain.experiments import EXPERIMENT, Experiment, MetricUnderTest
from turnout.domain.outcomes import Outcome
from turnout.domain.plan import SAMPLE_RATIO, SCORE, Gate, Scorecard, ScoredMetric
from turnout.domain.verdicts import Verdict
from turnout.ports import ArmReading, ExperimentReading, Question, SeriesReading, SplitReading, Stores

SLOWER = Gate(metric="response_time", quantile=0.95, versus="stable")
SLOW = Gate(metric="response_time", quantile=0.95, max=1000)
ERRORS = Gate(metric="success_rate", versus="stable")
WEIGHTS = {"new": 5_000, "old": 95_000, "spare": 0}


def question(gate: Gate, seconds: int = 0) -> Question:
    return Question(gate, FLAG, "old", "new", 2, NOW, NOW + timedelta(seconds=seconds), WEIGHTS, timedelta(hours=1))


async def begun(stores: Stores) -> None:
    """A rollout in its first stage, generation 2, after a thousand answers of stable in 1 to 1000 ms."""
    await applied(stores, a_flag())
    before = [an_outcome(f"b{i}", f"u{i}", latency_ms=i, cost=i, at=NOW) for i in range(1, 1001)]
    await stores.outcomes.record(before, NOW)
    await stores.rollouts.open(a_rollout(plan=a_plan(gates=(SLOWER, SLOW))))
    await stores.rollouts.commit(a_move(1, 2))


def many(variant: str, count: int, minute: int, **fields: object) -> list[Outcome]:
    """Outcomes of as many users in one minute of the stage."""
    at = NOW + timedelta(minutes=minute)
    named = f"{variant}-{minute}"
    return [an_outcome(f"{named}-{i}", f"{named}-u{i}", variant, at=at, **fields) for i in range(count)]


async def read(stores: Stores, gate: Gate) -> ArmReading:
    reading = await OutcomesSource(stores.outcomes).read(question(gate))
    assert isinstance(reading, ArmReading)
    return reading


async def test_errors_by_minute(stores: Stores) -> None:
    """A comparison of rates by ratio reads the error rate with its minutes, whichever of the two rates it names."""
    await begun(stores)
    end = NOW + timedelta(minutes=10)
    for minute in (1, 2, 3):
        await stores.outcomes.record(many("new", 20, minute, ok=minute == 1), end)
        await stores.outcomes.record(many("old", 380, minute, ok=True), end)
    reading = await read(stores, ERRORS)
    assert (reading.rate, reading.share, reading.planned) == (True, 0.05, 60)
    assert (reading.candidate.total, reading.candidate.hits, reading.stable.total) == (40, 40, 0)
    assert [minute.hits for minute in reading.candidate_minutes] == [0, 20, 20]
    assert reading.candidate_minutes[0].minute == reading.began + 1
    assert judge(ERRORS, "gate", reading).verdict is Verdict.FAIL


async def test_quantile_of_the_gate(stores: Stores) -> None:
    """A quantile with a limit is the share of values above it, by minute."""
    await begun(stores)
    await stores.outcomes.record(many("new", 100, 1, latency_ms=1500), NOW + timedelta(minutes=2))
    reading = await read(stores, SLOW)
    assert (reading.rate, reading.candidate.total, reading.limit) == (True, 100, None)
    assert [minute.total for minute in reading.candidate_minutes] == [100]
    assert judge(SLOW, "gate", reading).verdict is Verdict.FAIL


async def test_quantile_of_stable(stores: Stores) -> None:
    """A quantile versus stable comes with the frozen limit of stable, and without one before there is one."""
    await begun(stores)
    assert judge(SLOWER, "gate", await read(stores, SLOWER)).verdict is Verdict.INCONCLUSIVE
    end = NOW + timedelta(minutes=2)
    await stores.outcomes.record(many("new", 200, 1, latency_ms=960), end)
    await stores.outcomes.record(many("old", 2000, 1, latency_ms=500), end)
    reading = await read(stores, SLOWER)
    assert reading.limit == pytest.approx(950, rel=0.011)
    assert judge(SLOWER, "gate", reading).verdict is Verdict.FAIL


async def test_cost_is_capped(stores: Stores) -> None:
    """Costs are compared capped at stable's frozen limit, beside the means without it."""
    await begun(stores)
    end = NOW + timedelta(minutes=2)
    await stores.outcomes.record(many("new", 100, 1, cost=10) + many("new", 1, 2, cost=1e6), end)
    await stores.outcomes.record(many("old", 100, 1, cost=10), end)
    reading = await read(stores, Gate(metric="cost", versus="stable", ratio=1.1))
    assert reading.limit == pytest.approx(999, rel=0.011)
    assert reading.candidate.total == pytest.approx(1000 + reading.limit)
    assert reading.uncapped == (pytest.approx(1_001_000 / 101), pytest.approx(10))
    plain = await read(stores, Gate(metric="cost", max=20))
    assert (plain.limit, plain.uncapped, plain.candidate.total) == (None, None, 1_001_000)


async def test_split_and_series(stores: Stores) -> None:
    """The split counts users of the variants with a share; a scorecard gets the minutes of each of its metrics."""
    await begun(stores)
    end = NOW + timedelta(minutes=2)
    await stores.outcomes.record(many("new", 5, 1, cost=3), end)
    await stores.outcomes.record(many("old", 95, 1, cost=2), end)
    source = OutcomesSource(stores.outcomes)
    split = await source.read(question(Gate(metric=SAMPLE_RATIO)))
    assert split == SplitReading({"new": 5, "old": 95}, {"new": 5_000.0, "old": 95_000.0})
    scored = [ScoredMetric(metric=name, direction="increase") for name in ("cost", "tokens")]
    series = await source.read(question(Gate(metric=SCORE, score=Scorecard(metrics=tuple(scored)))))
    assert isinstance(series, SeriesReading)
    assert [minute.total for minute in series.metrics["cost"][0]] == [15]
    assert series.metrics["tokens"] == ((), ())


async def test_all_arms_of_a_test(stores: Stores) -> None:
    """A test gets every metric of every arm, the users of each, and is told when its time is up."""
    await begun(stores)
    end = NOW + timedelta(minutes=2)
    await stores.outcomes.record(many("new", 5, 1, cost=3) + many("old", 6, 1, cost=2, ok=False), end)
    metrics = tuple(MetricUnderTest(metric=name, better="lower") for name in ("cost", "error_rate"))
    trial = Experiment(control="old", arms={"new": 50_000, "old": 40_000, "spare": 10_000}, metrics=metrics, sample=9)
    asked = question(Gate(metric=EXPERIMENT, experiment=trial))
    reading = await OutcomesSource(stores.outcomes).read(replace(asked, over=True))
    assert isinstance(reading, ExperimentReading)
    assert (reading.users, reading.over) == ({"new": 5, "old": 6, "spare": 0}, True)
    totals = {name: {arm: one.total for arm, one in arms.items()} for name, arms in reading.metrics.items()}
    assert totals["cost"] == {"new": 15, "old": 12, "spare": 0}
    assert totals["error_rate"] == {"new": 0, "old": 6, "spare": 0}
