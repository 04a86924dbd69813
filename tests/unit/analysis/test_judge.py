"""How one gate is judged: verdicts, and the sentences that explain them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.analysis.judge import breaches_after, failed_source, judge
from turnout.domain.errors import SourceError
from turnout.domain.plan import Gate, PrometheusSource
from turnout.domain.readings import ArmReading, FractionReading, PointReading, Reading
from turnout.domain.stats import ArmStats
from turnout.domain.verdicts import Check, Verdict
from turnout.testing.sources import arm_of

NOBODY = ArmStats()
SUCCESS = Gate(metric="success_rate", min=0.95)
ERRORS = Gate(metric="error_rate", max=0.05)
P95 = Gate(metric="response_time", quantile=0.95, max=5000)
MEAN = Gate(metric="response_time", max=900)
QUEUE = Gate(metric="queue", max=20, source=PrometheusSource(kind="prometheus", url="http://p", query="q"))
QUALITY = Gate(metric="quality_score", versus="stable", margin=0.02)
REGRESSION = Gate(metric="error_rate", versus="stable", margin=0.01)


def rate(good: int, users: int) -> ArmStats:
    """One outcome a user."""
    return arm_of([[1.0]] * good + [[0.0]] * (users - good))


def around(mean: float, users: int) -> ArmStats:
    """One value a user, 0.1 above and below ``mean`` in turn."""
    return arm_of([[mean + (0.1 if index % 2 else -0.1)] for index in range(users)])


def look(gate: Gate, candidate: ArmStats, stable: ArmStats = NOBODY) -> Check:
    is_rate = gate.metric.endswith("_rate") or gate.quantile is not None
    return judge(gate, "gate", ArmReading(candidate, stable, is_rate))


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
    gate = Gate(metric="cost", max=0.8)
    assert look(gate, around(mean, 100)).verdict is verdict


@pytest.mark.parametrize(
    ("gate", "candidate", "verdict"),
    [
        (QUALITY, around(0.80, 200), Verdict.FAIL),
        (QUALITY, around(0.83, 200), Verdict.INCONCLUSIVE),
        (QUALITY, around(0.85, 200), Verdict.PASS),
        (QUALITY, around(0.95, 200), Verdict.PASS),
        (Gate(metric="cost", versus="stable", margin=0.02), around(0.95, 200), Verdict.FAIL),
        (Gate(metric="cost", versus="stable", margin=0.02), around(0.80, 200), Verdict.PASS),
        (Gate(metric="tokens", versus="stable", better="lower"), around(0.95, 200), Verdict.FAIL),
        (Gate(metric="tokens", versus="stable", better="higher"), around(0.95, 200), Verdict.PASS),
        (Gate(metric="tokens", versus="stable"), around(0.95, 200), Verdict.PASS),
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
    gate = Gate(metric="quality_score", versus="stable")
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
            look(Gate(metric="quality_score", versus="stable"), around(0.5, 200), around(0.85, 2000)),
            "quality_score averages 0.500 against stable's 0.850, a difference of −0.350 (95 % interval "
            "−0.371 to −0.329, 200 outcomes of 200 users against 2000 outcomes of 2000 users), so it is worse",
        ),
    ],
)
def test_sentences(check: Check, text: str) -> None:
    """The text says what was found, how sure that is, from how much, and what it is held against."""
    assert check.text == text


FAULTS = Gate(
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


@pytest.mark.parametrize(
    ("value", "breaches", "verdict", "after"),
    [
        (20, 2, Verdict.PASS, 0),
        (21, 0, Verdict.INCONCLUSIVE, 1),
        (21, 1, Verdict.INCONCLUSIVE, 2),
        (21, 2, Verdict.FAIL, 3),
        (21, 3, Verdict.FAIL, 4),
        (None, 2, Verdict.NO_DATA, 2),
        (math.nan, 2, Verdict.NO_DATA, 2),
        (math.inf, 2, Verdict.NO_DATA, 2),
        (-math.inf, 2, Verdict.NO_DATA, 2),
    ],
)
def test_points(value: float | None, breaches: int, verdict: Verdict, after: int) -> None:
    """A bare number fails only with the third breach in a row; meeting the limit ends the row, no value does not."""
    reading = PointReading(value)
    assert judge(QUEUE, "gate", reading, breaches).verdict is verdict
    assert breaches_after(QUEUE, reading, breaches) == after


def test_point_sentences() -> None:
    """A breach says how many there were and how many it takes."""
    assert judge(QUEUE, "gate", PointReading(25), 2).text == "queue is 25, above 20, 3 readings in a row"
    text = judge(QUEUE, "gate", PointReading(25), 0).text
    assert text == "queue is 25, above 20; 1 of the 3 readings in a row that make it fail"
    assert judge(SUCCESS, "gate", PointReading(0.97)).text == "success_rate is 97 %, at least 95 %"


@pytest.mark.parametrize("reading", [PointReading(1.0), FractionReading(1, 100)])
def test_an_aggregate_cannot_be_compared(reading: Reading) -> None:
    """A comparison put to a source that does not tell the arms apart is the source's fault."""
    check = judge(REGRESSION, "gate", reading)
    assert check.verdict is Verdict.SOURCE_ERROR
    assert breaches_after(REGRESSION, reading, 2) == 0


@pytest.mark.parametrize(
    "arm",
    [
        ArmStats(units=100, samples=100, total=120.0),
        ArmStats(units=100, samples=100, total=-1.0),
        ArmStats(units=200, samples=100, total=50.0),
        ArmStats(units=0, samples=100, total=50.0),
        ArmStats(units=-5, samples=-5),
        ArmStats.model_construct(units=100, samples=100, total=math.nan),
    ],
)
@pytest.mark.parametrize("gate", [SUCCESS, REGRESSION])
def test_impossible_statistics(arm: ArmStats, gate: Gate) -> None:
    """Statistics that no outcomes can have are the source's fault, on either arm."""
    good = rate(99, 100)
    for reading in (ArmReading(arm, good, True), ArmReading(good, arm, True)):
        check = judge(gate, "gate", reading)
        assert check.verdict is Verdict.SOURCE_ERROR
        assert "contradict each other" in check.text


def test_failed_source() -> None:
    """A source that failed gives a check that says why, shortly, and nothing about the candidate."""
    check = failed_source(SUCCESS, "guardrail", SourceError("prometheus:9090 did not answer within 10s"))
    assert check.verdict is Verdict.SOURCE_ERROR
    assert check.text == "success_rate could not be read: prometheus:9090 did not answer within 10s"
    assert (check.role, check.value, check.samples) == ("guardrail", None, 0)
    assert len(failed_source(SUCCESS, "gate", SourceError("x" * 10_000)).text) < 400


def test_a_gate_without_limit_is_refused() -> None:
    """A gate that asks nothing is a mistake of the plan, not a verdict."""
    with pytest.raises(ValueError, match="one of min, max and versus"):
        judge(Gate(metric="cost"), "gate", PointReading(1.0))


number = st.floats() | st.integers(-10, 10).map(float)
counts = st.integers(-2, 10**6)
stats = st.builds(
    ArmStats.model_construct,
    units=counts,
    samples=counts,
    total=number,
    squares=number,
    nn=number,
    yy=number,
    ny=number,
)
readings = (
    st.builds(ArmReading, stats, stats, st.booleans())
    | st.builds(FractionReading, number, number)
    | st.builds(PointReading, st.none() | number)
)


@given(st.sampled_from([SUCCESS, ERRORS, P95, MEAN, QUALITY, REGRESSION, QUEUE]), readings)
def test_any_reading_gets_a_sound_check(gate: Gate, reading: Reading) -> None:
    """Whatever a source says, there is a check without NaN, and a decision rests on finite numbers."""
    check = judge(gate, "gate", reading, 5)
    numbers = [check.value, check.low, check.high, check.baseline, check.threshold]
    assert all(value is None or math.isfinite(value) for value in numbers)
    assert check.text
    if check.verdict in (Verdict.PASS, Verdict.FAIL):
        assert check.value is not None
