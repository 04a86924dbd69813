"""Gates with `method: fixed`: plain intervals, and the sentences that explain them."""

from __future__ import annotations

import math

import pytest

from tests.unit.analysis.judging import NOBODY, around, look, rate
from turnout.analysis.judge import judge
from turnout.domain.plan import Gate, PrometheusSource
from turnout.domain.readings import ArmReading, FractionReading
from turnout.domain.stats import ArmStats
from turnout.domain.verdicts import Check, Verdict
from turnout.testing.sources import arm_of

SUCCESS = Gate(metric="success_rate", min=0.95, method="fixed")
ERRORS = Gate(metric="error_rate", max=0.05, method="fixed")
P95 = Gate(metric="response_time", quantile=0.95, max=5000, method="fixed")
MEAN = Gate(metric="response_time", max=900, method="fixed")
QUALITY = Gate(metric="quality_score", versus="stable", margin=0.02, method="fixed")
REGRESSION = Gate(metric="error_rate", versus="stable", margin=0.01, method="fixed")


@pytest.mark.parametrize(
    ("gate", "good", "verdict"),
    [
        (SUCCESS, 990, Verdict.PASS),
        (SUCCESS, 950, Verdict.INCONCLUSIVE),
        (SUCCESS, 900, Verdict.FAIL),
        (ERRORS, 10, Verdict.PASS),
        (ERRORS, 50, Verdict.INCONCLUSIVE),
        (ERRORS, 100, Verdict.FAIL),
        (P95, 10, Verdict.PASS),
        (P95, 50, Verdict.INCONCLUSIVE),
        (P95, 100, Verdict.FAIL),
    ],
)
def test_rates(gate: Gate, good: int, verdict: Verdict) -> None:
    """The interval decides: wholly on the good side passes, wholly on the bad side fails, around the limit neither."""
    check = look(gate, rate(good, 1000))
    assert check.verdict is verdict
    assert check.value == good / 1000
    assert check.low is not None
    assert check.high is not None
    assert (check.low <= (check.threshold or 0) <= check.high) is (verdict is Verdict.INCONCLUSIVE)
    assert (check.samples, check.units, check.confidence) == (1000, 1000, 0.95)


@pytest.mark.parametrize(("mean", "verdict"), [(0.7, Verdict.PASS), (0.8, Verdict.INCONCLUSIVE), (0.9, Verdict.FAIL)])
def test_means(mean: float, verdict: Verdict) -> None:
    """A number is judged by its mean."""
    gate = Gate(metric="cost", max=0.8, method="fixed")
    assert look(gate, around(mean, 100)).verdict is verdict


@pytest.mark.parametrize(
    ("gate", "candidate", "verdict"),
    [
        (QUALITY, around(0.80, 200), Verdict.FAIL),
        (QUALITY, around(0.83, 200), Verdict.INCONCLUSIVE),
        (QUALITY, around(0.85, 200), Verdict.PASS),
        (QUALITY, around(0.95, 200), Verdict.PASS),
        (Gate(metric="cost", versus="stable", margin=0.02, method="fixed"), around(0.95, 200), Verdict.FAIL),
        (Gate(metric="cost", versus="stable", margin=0.02, method="fixed"), around(0.80, 200), Verdict.PASS),
        (Gate(metric="tokens", versus="stable", better="lower", method="fixed"), around(0.95, 200), Verdict.FAIL),
        (Gate(metric="tokens", versus="stable", better="higher", method="fixed"), around(0.95, 200), Verdict.PASS),
        (Gate(metric="tokens", versus="stable", method="fixed"), around(0.95, 200), Verdict.PASS),
    ],
)
def test_versus_mean(gate: Gate, candidate: ArmStats, verdict: Verdict) -> None:
    """Worse by more than the margin fails, proven less passes; which way is worse is the metric's or the gate's."""
    assert look(gate, candidate, around(0.85, 2000)).verdict is verdict


@pytest.mark.parametrize(("errors", "verdict"), [(5, Verdict.PASS), (25, Verdict.INCONCLUSIVE), (100, Verdict.FAIL)])
def test_versus_rate(errors: int, verdict: Verdict) -> None:
    """Rates are compared by the interval of their difference; the threshold has the sign of the difference."""
    check = look(REGRESSION, rate(errors, 1000), rate(200, 10_000))
    assert check.verdict is verdict
    assert check.baseline == 0.02
    assert check.value == pytest.approx(errors / 1000 - 0.02)
    assert check.threshold == 0.01
    assert look(QUALITY, around(1, 50), around(1, 50)).threshold == -0.02


def test_equal_constants_are_no_regression() -> None:
    """Arms without any variance that agree pass a comparison without margin."""
    gate = Gate(metric="quality_score", versus="stable", margin=0, method="fixed")
    assert look(gate, arm_of([[1.0]] * 50), arm_of([[1.0]] * 50)).verdict is Verdict.PASS


def test_clusters_keep_a_gate_open() -> None:
    """Twenty users who repeat themselves prove less than as many outcomes of different users."""
    single = rate(990, 1000)
    repeated = arm_of([[1.0] * 50] * 19 + [[1.0] * 40 + [0.0] * 10])
    assert (single.total, single.samples) == (repeated.total, repeated.samples)
    assert look(SUCCESS, single).verdict is Verdict.PASS
    assert look(SUCCESS, repeated).verdict is Verdict.INCONCLUSIVE


def test_the_stable_arm_lends_its_design_effect() -> None:
    """A candidate whose few users look independent is judged by the clustering its stable neighbours show."""
    stable = arm_of([[1.0] * 10] * 90 + [[0.0] * 10] * 10)
    candidate = rate(99, 100)
    alone, beside = look(SUCCESS, candidate), look(SUCCESS, candidate, stable)
    assert alone.low is not None
    assert beside.low is not None
    assert beside.low < alone.low
    assert ", worth 10 independent ones" in beside.text


@pytest.mark.parametrize(
    ("gate", "candidate", "stable"),
    [
        (SUCCESS, NOBODY, rate(99, 100)),
        (MEAN, NOBODY, NOBODY),
        (P95, NOBODY, NOBODY),
        (QUALITY, NOBODY, around(1, 100)),
        (QUALITY, around(1, 100), NOBODY),
        (REGRESSION, rate(100, 100), NOBODY),
    ],
)
def test_no_data(gate: Gate, candidate: ArmStats, stable: ArmStats) -> None:
    """An arm that is needed and has no outcome is no data, never a pass and never a failure."""
    check = look(gate, candidate, stable)
    assert check.verdict is Verdict.NO_DATA
    assert (check.value, check.low, check.high, check.confidence) == (None, None, None, None)
    assert gate.metric in check.text


@pytest.mark.parametrize("values", [[[1.0] * 100], [[0.0] * 100], [[0.0]] * 49, [[0.0] * 10] * 19])
def test_too_few(values: list[list[float]]) -> None:
    """Fewer outcomes or users than the gate asks for decide nothing, however clear they look."""
    arm = arm_of(values)
    check = look(SUCCESS, arm)
    assert check.verdict is Verdict.INCONCLUSIVE
    missing = f"{arm.samples} of 50 outcomes, {arm.units} of 20 users"
    assert check.text == f"success_rate cannot be judged yet: {missing}"


def test_too_few_on_stable() -> None:
    """A comparison waits for the stable arm, too, and says so."""
    check = look(REGRESSION, rate(500, 1000), arm_of([[1.0, 1.0, 1.0, 0.0]] * 3))
    assert check.verdict is Verdict.INCONCLUSIVE
    assert check.text == "error_rate cannot be compared yet: stable has 12 of 50 outcomes, 3 of 20 users"


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (
            look(SUCCESS, rate(900, 1000)),
            "success_rate is 90.0 % (95 % interval 88.0–91.7 %, 1000 outcomes of 1000 users), below 95 %",
        ),
        (
            look(SUCCESS, rate(990, 1000)),
            "success_rate is 99.0 % (95 % interval 98.2–99.5 %, 1000 outcomes of 1000 users), at least 95 %",
        ),
        (
            look(ERRORS, rate(50, 1000)),
            "error_rate is 5.0 % (95 % interval 3.8–6.5 %, 1000 outcomes of 1000 users); "
            "5 % lies inside the interval, so this is not decided yet",
        ),
        (
            look(P95, rate(10, 1000)),
            "1.0 % of the response_time values are above 5000 ms (95 % interval 0.5–1.8 %, 1000 outcomes of "
            "1000 users), within the 5 % that p95 ≤ 5000 ms allows",
        ),
        (
            look(REGRESSION, rate(100, 1000), rate(200, 10_000)),
            "error_rate is 10.0 % against stable's 2.0 %, a difference of 8.0 percentage points (95 % interval "
            "6.3–10.0 percentage points, 1000 outcomes of 1000 users against 10000 outcomes of 10000 users), "
            "so it is worse by more than the margin of 1 percentage point",
        ),
        (
            look(
                Gate(metric="quality_score", versus="stable", margin=0, method="fixed"),
                around(0.5, 200),
                around(0.85, 2000),
            ),
            "quality_score averages 0.500 against stable's 0.850, a difference of −0.350 (95 % interval "
            "−0.371 to −0.329, 200 outcomes of 200 users against 2000 outcomes of 2000 users), so it is worse",
        ),
    ],
)
def test_sentences(check: Check, text: str) -> None:
    """The text says what was found, how sure that is, from how much, and what it is held against."""
    assert check.text == text


FAULTS = Gate(
    method="fixed",
    metric="faults",
    max=0.02,
    source=PrometheusSource(kind="prometheus", url="http://p", numerator="a", denominator="b"),
)


@pytest.mark.parametrize(
    ("events", "total", "verdict"),
    [
        (1, 1000, Verdict.PASS),
        (20, 1000, Verdict.INCONCLUSIVE),
        (100, 1000, Verdict.FAIL),
        (49, 49.9, Verdict.INCONCLUSIVE),
        (0, 0, Verdict.NO_DATA),
        (2, 1, Verdict.SOURCE_ERROR),
        (-1, 100, Verdict.SOURCE_ERROR),
        (1, -100, Verdict.SOURCE_ERROR),
        (math.nan, 100, Verdict.SOURCE_ERROR),
        (1, math.nan, Verdict.SOURCE_ERROR),
        (1, math.inf, Verdict.SOURCE_ERROR),
    ],
)
def test_fractions(events: float, total: float, verdict: Verdict) -> None:
    """Counts have an interval; too few decide nothing, none are no data, impossible ones are the source's fault."""
    check = judge(FAULTS, "guardrail", FractionReading(events, total))
    assert check.verdict is verdict
    assert check.role == "guardrail"


def test_fraction_sentence() -> None:
    """Counts that the source extrapolated are shown as such."""
    text = judge(FAULTS, "gate", FractionReading(3, 811.72)).text
    assert text == "faults is 0.37 % (95 % interval 0.13–1.08 %, 3 of 811.7), at most 2 %"


@pytest.mark.parametrize(("errors", "verdict"), [(5, Verdict.PASS), (30, Verdict.INCONCLUSIVE), (100, Verdict.FAIL)])
@pytest.mark.parametrize("metric", ["error_rate", "success_rate"])
def test_ratio_of_rates(metric: str, errors: int, verdict: Verdict) -> None:
    """Rates by ratio are error rates, whatever the gate's metric, held against so many times stable's."""
    gate = Gate(metric=metric, versus="stable", ratio=1.5, method="fixed")
    check = judge(gate, "gate", ArmReading(rate(errors, 1000), rate(200, 10_000), True))
    assert check.verdict is verdict
    assert check.value == pytest.approx(errors / 1000 - 1.5 * 0.02)


@pytest.mark.parametrize(
    ("metric", "mean", "verdict"),
    [
        ("cost", 0.85, Verdict.PASS),
        ("cost", 1.2, Verdict.FAIL),
        ("quality_score", 0.85, Verdict.PASS),
        ("quality_score", 0.6, Verdict.FAIL),
    ],
)
def test_ratio_of_means(metric: str, mean: float, verdict: Verdict) -> None:
    """Of a cost 1.1 times stable's is allowed, of a quality stable's divided by 1.1."""
    gate = Gate(metric=metric, versus="stable", ratio=1.1, method="fixed")
    assert look(gate, around(mean, 200), around(0.85, 2000)).verdict is verdict


def test_one_look_is_not_anytime() -> None:
    """A plain interval says that it is for one look, and has no p-value that holds at every look."""
    check = look(SUCCESS, rate(900, 1000))
    assert (check.anytime, check.p_fail, check.method) == (False, None, "interval for one look")
