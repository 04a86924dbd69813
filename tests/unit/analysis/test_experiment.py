"""Tests as gates: when they look, what they find, what they recommend. Reference numbers are other programs'."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from tests.unit.analysis.judging import around, rate
from turnout.analysis.judge import judge
from turnout.domain.experiments import EXPERIMENT, Experiment, ExperimentResult, MetricUnderTest
from turnout.domain.plan import Gate
from turnout.domain.readings import ExperimentReading
from turnout.domain.sample_size import Wanted
from turnout.domain.stats import ArmStats
from turnout.domain.verdicts import Check, Verdict

SUCCESS = MetricUnderTest(metric="success_rate", better="higher", smallest_effect=0.05)
QUALITY = MetricUnderTest(metric="quality_score", better="higher")
COST = MetricUnderTest(metric="cost", better="lower", goal="not_worse", margin=0.1)


def a_test(*metrics: MetricUnderTest, sample: int = 1000, **more: Any) -> Gate:
    """A gate on new against old, half and half."""
    fields: dict[str, Any] = {"control": "old", "arms": {"new": 50_000, "old": 50_000}}
    trial = Experiment(**(fields | {"metrics": metrics or (SUCCESS,), "sample": sample} | more))
    return Gate(metric=EXPERIMENT, experiment=trial)


def seen(over: bool = False, users: dict[str, int] | None = None, **arms: dict[str, ArmStats]) -> ExperimentReading:
    """A reading of ``arms`` by metric; the users of an arm are those of the first metric unless given."""
    first = next(iter(arms.values()))
    return ExperimentReading(arms, users or {arm: stats.units for arm, stats in first.items()}, over)


def successes(new: int, old: int, users: int = 500, **more: Any) -> ExperimentReading:
    """So many successes of as many users on either arm."""
    return seen(success_rate={"new": rate(new, users), "old": rate(old, users)}, **more)


def look(gate: Gate, reading: ExperimentReading, before: Check | None = None) -> tuple[Check, ExperimentResult]:
    """The check of one look, and what it carries."""
    check = judge(gate, "gate", reading, before=before)
    assert check.experiment is not None
    return check, check.experiment


def test_nothing_is_compared_before_the_sample_is_in() -> None:
    """Before the planned look there are users and values to see, but no effect, interval or p-value."""
    check, found = look(a_test(sample=2000), successes(460, 430))
    assert (check.verdict, found.stage, found.recommendation) == (Verdict.INCONCLUSIVE, "waiting", None)
    assert (found.users, check.missing) == (1000, "1000 users")
    arm = found.metrics[0].of("new")
    assert (arm.value, arm.effect, arm.low, arm.p_value) == (0.92, None, None, None)
    assert "1,000 of 2,000 planned users" in check.text


def test_a_better_arm_is_deployed() -> None:
    """At the sample a significant gain passes.

    statsmodels 0.15.0: test_proportions_2indep(460, 500, 430, 500, compare="diff", method="score") p = 0.00244158,
    confint_proportions_2indep(460, 500, 430, 500, compare="diff", method="newcomb") = (0.02126, 0.09910), which the
    score interval comes near to (it is held against brute force in test_abtest).
    """
    check, found = look(a_test(), successes(460, 430))
    arm, advice = found.metrics[0].of("new"), found.recommendation
    assert advice is not None
    assert (check.verdict, found.stage, advice.action, advice.winner) == (Verdict.PASS, "final", "deploy", "new")
    assert arm.p_value == pytest.approx(0.00244158, abs=1e-8)
    assert arm.low == pytest.approx(0.02126, abs=4e-4)
    assert arm.high == pytest.approx(0.09910, abs=4e-4)
    assert advice.confidence == pytest.approx(1 - 0.00244158, abs=1e-8)
    assert (check.value, check.low, check.high) == (arm.effect, arm.low, arm.high)
    assert "6.0 percentage points above that of old" in advice.reason


def test_a_worse_arm_keeps_the_control() -> None:
    """A significant loss fails."""
    check, found = look(a_test(), successes(430, 460))
    assert found.recommendation is not None
    assert (check.verdict, found.recommendation.action) == (Verdict.FAIL, "keep")
    assert "6.0 percentage points below that of old" in check.text


def test_no_gain_in_the_whole_sample_keeps_the_control() -> None:
    """Without a gain the control stays, and how surely the smallest effect of interest is excluded is told."""
    check, found = look(a_test(), successes(450, 450))
    assert found.recommendation is not None
    assert (check.verdict, found.recommendation.action) == (Verdict.FAIL, "keep")
    assert found.recommendation.confidence == pytest.approx(0.9958, abs=5e-4)  # pnorm(0.05 / sqrt(2 * .09 / 500))
    assert "5 percentage points or more is excluded with 99.5 % confidence" in check.text


def test_time_is_up_before_the_sample() -> None:
    """A test that ran out of time is analysed once with what it has: a clear result stands, else it continues."""
    clear, _ = look(a_test(sample=5000), successes(460, 430, over=True))
    assert clear.verdict is Verdict.PASS
    check, found = look(a_test(sample=5000), successes(455, 450, over=True))
    assert found.recommendation is not None
    assert (check.verdict, found.stage, found.recommendation.action) == (Verdict.INCONCLUSIVE, "final", "continue")
    assert "1000 of 5000 planned users" in check.text


def test_a_result_stands() -> None:
    """A test looks once: what comes later changes nothing."""
    first, found = look(a_test(), successes(460, 430))
    later, still = look(a_test(), successes(800, 900, 1000), first)
    assert (later.verdict, still) == (first.verdict, found)


def test_a_wrong_split_is_not_analysed() -> None:
    """Users who are not split as planned are not compared, not even when the time is up."""
    users = {"new": 700, "old": 500}
    check, found = look(a_test(), successes_of(users))
    assert (check.verdict, found.stage) == (Verdict.INCONCLUSIVE, "waiting")
    check, found = look(a_test(), successes_of(users, over=True))
    assert found.recommendation is not None
    assert (check.verdict, found.recommendation.action) == (Verdict.INCONCLUSIVE, "continue")
    assert "not split as planned" in check.text


def successes_of(users: dict[str, int], over: bool = False) -> ExperimentReading:
    """A clear result of so many users."""
    arms = {"new": rate(users["new"], users["new"]), "old": rate(users["old"] // 2, users["old"])}
    return seen(over, users, success_rate=arms)


def test_no_outcomes() -> None:
    """Silence is no data, also at the end of the time."""
    empty = seen(True, {"new": 0, "old": 0}, success_rate={"new": ArmStats(), "old": ArmStats()})
    check, found = look(a_test(), empty)
    assert (check.verdict, found.stage) == (Verdict.NO_DATA, "waiting")


def test_numbers_that_contradict_each_other() -> None:
    """A rate above 1 is a fault of the source."""
    broken = rate(10, 500).model_copy(update={"total": 600.0})
    check = judge(a_test(), "gate", seen(success_rate={"new": broken, "old": rate(10, 500)}))
    assert check.verdict is Verdict.SOURCE_ERROR


def test_a_metric_that_may_not_get_worse() -> None:
    """A gain is deployed only where every other metric is shown to be within its margin."""
    gate = a_test(SUCCESS, COST)
    arms = {"new": rate(460, 500), "old": rate(430, 500)}
    kept = seen(success_rate=arms, cost={"new": around(1.0, 500), "old": around(1.0, 500)})
    assert look(gate, kept)[0].verdict is Verdict.PASS
    open_ = seen(success_rate=arms, cost={"new": around(1.05, 500, 2.0), "old": around(1.0, 500, 2.0)})
    check, found = look(gate, open_)
    assert found.metrics[1].of("new").verdict == "undecided"
    assert (check.verdict, "the margin is 0.1" in check.text) == (Verdict.INCONCLUSIVE, True)
    broken = seen(success_rate=arms, cost={"new": around(1.3, 500), "old": around(1.0, 500)})
    check, found = look(gate, broken)
    assert (check.verdict, found.metrics[1].of("new").verdict) == (Verdict.FAIL, "worse")


def test_several_metrics_share_the_error_rate() -> None:
    """Two metrics by which an arm can win are corrected by Holm.

    statsmodels 0.15.0: multipletests([0.00244158, 0.03544701], method="holm"), the second p-value from scipy 1.17.1:
    sd = 0.3 * sqrt(500/499); ttest_ind_from_stats(1.04, sd, 500, 1.0, sd, 500, equal_var=False).
    """
    reading = seen(
        success_rate={"new": rate(460, 500), "old": rate(430, 500)},
        quality_score={"new": around(1.04, 500, 0.3), "old": around(1.0, 500, 0.3)},
    )
    _, found = look(a_test(SUCCESS, QUALITY), reading)
    success, quality = (metric.of("new") for metric in found.metrics)
    assert found.correction == "holm"
    assert success.p_corrected == pytest.approx(0.00488317, abs=1e-8)
    assert quality.p_corrected == pytest.approx(quality.p_value)
    assert quality.p_value == pytest.approx(0.03544701, rel=1e-5)


def test_several_arms_share_their_control() -> None:
    """Arms in one metric are corrected by Dunnett.

    scipy 1.17.1: dunnett(a, b, control=c) with 460, 440 and 430 ones of 500: p = 0.0053, 0.502 (it simulates).
    """
    arms = {"new": 33_333, "other": 33_333, "old": 33_334}
    reading = seen(success_rate={"new": rate(460, 500), "other": rate(440, 500), "old": rate(430, 500)})
    check, found = look(a_test(arms=arms, sample=1500), reading)
    assert found.correction == "dunnett"
    new, other = found.metrics[0].of("new"), found.metrics[0].of("other")
    assert new.p_corrected == pytest.approx(0.0053, abs=1e-4)
    assert other.p_corrected == pytest.approx(0.5024, abs=1e-3)
    assert found.recommendation is not None
    assert (check.verdict, found.recommendation.winner, other.verdict) == (Verdict.PASS, "new", "undecided")


def test_planned_looks() -> None:
    """Each planned look is taken once, at its boundary; the first stop is final."""
    gate = a_test(sample=2000, looks=(0.5, 1.0))
    waiting, _ = look(gate, successes(180, 170, 200))
    half, found = look(gate, successes(455, 430), waiting)
    assert (half.verdict, found.stage, len(found.looks)) == (Verdict.INCONCLUSIVE, "interim", 1)
    assert found.looks[0].p_needed == pytest.approx(0.00305, abs=1e-5)  # ldbounds: 2.9626 at 0.5 for 0.05
    again, found = look(gate, successes(500, 430, 550), half)
    assert (again.verdict, len(found.looks)) == (Verdict.INCONCLUSIVE, 1)
    done, found = look(gate, successes(920, 860, 1000), again)
    assert (done.verdict, found.stage, len(found.looks)) == (Verdict.PASS, "final", 2)
    assert found.looks[1].p_needed == pytest.approx(0.0490, abs=1e-4)  # ldbounds: 1.9686 at 1


def test_an_early_stop() -> None:
    """An overwhelming difference ends the test at an interim look."""
    check, found = look(a_test(sample=2000, looks=(0.5, 1.0)), successes(480, 400))
    assert (check.verdict, found.stage) == (Verdict.PASS, "final")
    assert found.metrics[0].confidence == pytest.approx(1 - 0.00305, abs=1e-5)


def test_a_last_look_spends_all_that_is_left() -> None:
    """A test whose time is up spends the rest of its error rate, however many users it has."""
    gate = a_test(sample=2000, looks=(0.5, 1.0))
    half, _ = look(gate, successes(455, 430))
    _, found = look(gate, successes(700, 660, 750, over=True), half)
    assert found.looks[-1].spent == pytest.approx(0.05)
    _, found = look(gate, successes(456, 430, 501, over=True), half)
    assert (len(found.looks), found.stage) == (1, "final")


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_direction(better: str) -> None:
    """Which way is better is the metric's own affair."""
    metric = MetricUnderTest(metric="depth", better=better)  # type: ignore[arg-type]
    reading = seen(depth={"new": around(1.2, 500), "old": around(1.0, 500)})
    check, _ = look(a_test(metric), reading)
    assert check.verdict is (Verdict.PASS if better == "higher" else Verdict.FAIL)


def test_the_split_of_several_arms() -> None:
    """The users of all arms are held against their planned shares together."""
    arms = {"new": 25_000, "other": 25_000, "old": 50_000}
    stats = {"new": rate(460, 500), "other": rate(440, 500), "old": rate(430, 500)}
    check, found = look(a_test(arms=arms, sample=1500), seen(success_rate=stats))
    assert (check.verdict, found.stage) == (Verdict.INCONCLUSIVE, "waiting")
    assert found.split_p < 1e-6
    assert found.planned == {"new": 0.25, "other": 0.25, "old": 0.5}


def counted(ones: int, users: int) -> ArmStats:
    """What is kept of one outcome a user, ``ones`` of them 1."""
    return ArmStats(units=users, samples=users, total=ones, squares=ones, nn=users, yy=ones, ny=ones, hits=ones)


def decided(gate: Gate, rates: dict[str, float], times: int, seed: int) -> Counter[str]:
    """How often what is recommended at the sample when the arms succeed at ``rates``."""
    experiment = gate.experiment
    assert experiment is not None
    chance, found = np.random.default_rng(seed), Counter[str]()
    users = math.ceil(experiment.sample / len(rates))
    for _ in range(times):
        stats = {arm: counted(int(chance.binomial(users, rate_)), users) for arm, rate_ in rates.items()}
        _, result = look(gate, seen(success_rate=stats))
        assert result.recommendation is not None
        found[result.recommendation.action] += 1
    return found


def test_the_error_rate_is_kept() -> None:
    """Of arms that are alike at most the planned share is deployed: half of the two-sided 5 %."""
    found = decided(a_test(sample=2000), {"new": 0.9, "old": 0.9}, times=600, seed=5)
    assert found["deploy"] <= 0.025 * 600 + 3.5 * math.sqrt(600 * 0.025 * 0.975)
    assert found["continue"] == 0


def test_the_planned_sample_has_the_planned_power() -> None:
    """The sample for an effect finds it as often as was asked for."""
    sample = Wanted(0.05, 0.8).for_rates(0.9, 0.03)
    found = decided(a_test(sample=sample), {"new": 0.93, "old": 0.9}, times=600, seed=7)
    assert found["deploy"] / 600 == pytest.approx(0.8, abs=3.5 * math.sqrt(0.8 * 0.2 / 600))
