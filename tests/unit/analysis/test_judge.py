"""How one gate is judged by sequential tests on the candidate alone: verdicts, and the sentences that explain them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.analysis.judging import BEGAN, NOBODY, around, look, minutes, rate
from turnout.analysis.eprocess import decision_counts
from turnout.analysis.judge import failed_source, judge
from turnout.analysis.policy import Alphas
from turnout.domain.errors import SourceError
from turnout.domain.plan import SAMPLE_RATIO, Gate, PrometheusSource, Scorecard, ScoredMetric
from turnout.domain.readings import (
    ArmReading,
    FractionReading,
    PointReading,
    Reading,
    SeriesReading,
    SplitReading,
)
from turnout.domain.stats import ArmStats, Minute
from turnout.domain.verdicts import Verdict
from turnout.testing.sources import arm_of

SUCCESS = Gate(metric="success_rate", min=0.95)
ERRORS = Gate(metric="error_rate", max=0.05)
P95 = Gate(metric="response_time", quantile=0.95, max=5000)
MEAN = Gate(metric="cost", max=0.8)
QUALITY = Gate(metric="quality_score", versus="stable", margin=0.02)
REGRESSION = Gate(metric="error_rate", versus="stable")
MARGIN = Gate(metric="error_rate", versus="stable", margin=0.01)
SLOWER = Gate(metric="response_time", quantile=0.95, versus="stable")
DEARER = Gate(metric="cost", versus="stable", ratio=1.1)
QUEUE = Gate(metric="queue", max=20, source=PrometheusSource(kind="prometheus", url="http://p", query="q"))
SPLIT = Gate(metric=SAMPLE_RATIO)
CARD = Gate(metric="score", score=Scorecard(metrics=(ScoredMetric(metric="cost", direction="increase"),)))


@pytest.mark.parametrize(
    ("gate", "ones", "verdict"),
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
def test_rates(gate: Gate, ones: int, verdict: Verdict) -> None:
    """The interval decides: wholly on the good side passes, wholly on the bad side fails, around the limit neither."""
    check = look(gate, rate(ones, 1000))
    assert check.verdict is verdict
    assert check.value == ones / 1000
    assert check.low is not None
    assert check.high is not None
    assert (check.low <= (check.threshold or 0) <= check.high) is (verdict is Verdict.INCONCLUSIVE)
    assert (check.samples, check.units, check.effective_units, check.design_effect) == (1000, 1000, 1000, 1)
    assert (check.anytime, check.alpha_fail, check.alpha_pass) == (True, 0.05, 0.05)
    assert check.confidence == pytest.approx(0.9)


@pytest.mark.parametrize(("bad", "verdict"), [(12, "pass"), (13, "inconclusive"), (40, "inconclusive"), (41, "fail")])
def test_counts_that_decide(bad: int, verdict: str) -> None:
    """Of 500 outcomes with at most 5 % bad, 12 bad ones pass and 41 fail: the published counts of the test."""
    assert decision_counts([500], 0.05, 0.05, 0.05)[0].pass_at_most == 12
    assert decision_counts([500], 0.05, 0.05, 0.05)[0].fail_at_least == 41
    assert look(ERRORS, rate(bad, 500)).verdict == verdict
    assert look(SUCCESS, rate(500 - bad, 500)).verdict == verdict


def test_alphas_decide() -> None:
    """A failure takes the more evidence the smaller its error rate; p-values tell how much there is."""
    reading = ArmReading(rate(41, 500), NOBODY, True)
    usual, strict = judge(ERRORS, "gate", reading), judge(ERRORS, "gate", reading, Alphas(0.001, 0.05))
    assert (usual.verdict, strict.verdict) == (Verdict.FAIL, Verdict.INCONCLUSIVE)
    assert usual.p_fail is not None
    assert 0.001 < usual.p_fail <= 0.05
    assert strict.alpha_fail == 0.001


def test_late_onset() -> None:
    """Trouble that begins after a long good time fails while the whole stage is still within the limit."""
    errors = [1] * 200 + [12] * 20
    stats = rate(sum(errors), 22_000)
    kept = minutes(errors)
    reading = ArmReading(stats, NOBODY, True, candidate_minutes=kept, began=BEGAN, planned=240)
    check, whole = judge(ERRORS, "gate", reading), look(ERRORS, stats)
    assert (check.verdict, whole.verdict) == (Verdict.FAIL, Verdict.PASS)
    assert check.text.endswith("the interval is of the whole stage, and the latest minutes are proven to be worse")
    assert check.method == "beta-binomial e-process, late onset"


def test_minutes_outside_the_stage() -> None:
    """Minutes of clocks that are wrong, before the stage or far behind it, are counted and cost nothing."""
    kept = [Minute(minute=0, samples=50, total=2), Minute(minute=10**9, samples=50, total=1)]
    reading = ArmReading(rate(3, 100), NOBODY, True, candidate_minutes=kept, began=BEGAN, planned=60)
    assert judge(ERRORS, "gate", reading).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("mean", "verdict"), [(0.7, Verdict.PASS), (0.8, Verdict.INCONCLUSIVE), (0.9, Verdict.FAIL)])
def test_means(mean: float, verdict: Verdict) -> None:
    """A number is judged by its mean."""
    check = look(MEAN, around(mean, 100))
    assert check.verdict is verdict
    assert (check.p_fail or 0) <= 0.05 if verdict is Verdict.FAIL else (check.p_fail or 0) > 0.05


def test_clusters_keep_a_gate_open() -> None:
    """Twenty users who repeat themselves prove less than as many outcomes of different users."""
    single = rate(990, 1000)
    repeated = arm_of([[1.0] * 50] * 19 + [[1.0] * 40 + [0.0] * 10])
    assert look(SUCCESS, single).verdict is Verdict.PASS
    check = look(SUCCESS, repeated)
    assert check.verdict is Verdict.INCONCLUSIVE
    assert check.design_effect is not None
    assert check.design_effect > 5
    assert check.effective_units == 20


def test_the_stable_arm_lends_its_design_effect() -> None:
    """A candidate whose few users look independent is judged by the clustering its stable neighbours show."""
    stable = arm_of([[1.0] * 10] * 190 + [[0.0] * 10] * 10)
    candidate = rate(199, 200)
    alone, beside = look(SUCCESS, candidate), look(SUCCESS, candidate, stable)
    assert (alone.verdict, beside.verdict) == (Verdict.PASS, Verdict.INCONCLUSIVE)
    assert ", worth 20 independent ones" in beside.text


@pytest.mark.parametrize("gate", [SUCCESS, MEAN, P95])
def test_no_data(gate: Gate) -> None:
    """Without an outcome there is no data, never a pass and never a failure, and the gate's minima are missing."""
    check = look(gate, NOBODY, rate(99, 100))
    assert check.verdict is Verdict.NO_DATA
    assert (check.value, check.low, check.high, check.confidence) == (None, None, None, None)
    assert gate.metric in check.text
    assert check.missing == "50 more outcomes, 20 more users"


@pytest.mark.parametrize("values", [[[1.0] * 100], [[1.0]] * 49, [[1.0] * 10] * 19])
def test_too_few_to_pass(values: list[list[float]]) -> None:
    """Fewer outcomes or users than the gate asks for never pass, however clear they look."""
    arm = arm_of(values)
    check = look(SUCCESS, arm)
    assert check.verdict is Verdict.INCONCLUSIVE
    assert check.text == f"success_rate cannot be judged yet: {arm.samples} of 50 outcomes, {arm.units} of 20 users"
    assert "more" in check.missing


@pytest.mark.parametrize(("failures", "verdict"), [(9, Verdict.INCONCLUSIVE), (10, Verdict.FAIL)])
def test_a_failure_does_not_wait_for_the_minima(failures: int, verdict: Verdict) -> None:
    """Ten straight errors of ten users fail an exact test; nine, which would prove it as well, do not."""
    assert look(ERRORS, rate(failures, failures)).verdict is verdict


def test_one_user_decides_nothing() -> None:
    """However many outcomes a single user sends, they are one observation."""
    for gate in (SUCCESS, ERRORS, P95, MEAN):
        for value in (0.0, 1.0):
            assert look(gate, arm_of([[value] * 1000])).verdict is Verdict.INCONCLUSIVE


def test_a_mean_at_its_limit_without_spread() -> None:
    """Values that all are exactly the limit prove neither side."""
    assert look(Gate(metric="cost", max=1), arm_of([[1.0]] * 500)).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("bad", [0, 10**6, 10**9])
def test_thousand_millions(bad: int) -> None:
    """Counts of a thousand million are judged without overflow."""
    total = 10**9
    arm = ArmStats(units=total, samples=total, total=bad, squares=bad, nn=total, yy=bad, ny=bad)
    check = look(Gate(metric="error_rate", max=0.001), arm)
    assert check.verdict is {0: Verdict.PASS, 10**6: Verdict.INCONCLUSIVE, 10**9: Verdict.FAIL}[bad]


def test_missing_is_enough() -> None:
    """With as much more data as is said to be missing, at the same rate, the gate decides."""
    assert look(ERRORS, rate(40, 1000)).missing == "about 3800 more outcomes, 3800 more users"
    assert look(ERRORS, rate(192, 4800)).verdict is Verdict.PASS
    assert look(ERRORS, rate(50, 1000)).missing == "a distance from the limit: so near to it this is not decidable"


@pytest.mark.parametrize(
    ("gate", "arm", "text"),
    [
        (
            SUCCESS,
            rate(900, 1000),
            "success_rate is 90.0 % (anytime 90 % interval 86.5–92.5 %, 1000 outcomes of 1000 users), below 95 %",
        ),
        (
            SUCCESS,
            rate(960, 1000),
            "success_rate is 96.0 % (anytime 90 % interval 93.8–97.6 %, 1000 outcomes of 1000 users); 95 % lies inside "
            "the interval, so this is not decided yet: about 3800 more outcomes, 3800 more users would decide at this "
            "rate",
        ),
        (
            P95,
            rate(100, 1000),
            "10.0 % of the response_time values are above 5000 ms (anytime 90 % interval 7.5–13.5 %, 1000 outcomes of "
            "1000 users), more than the 5 % that p95 ≤ 5000 ms allows",
        ),
        (
            MEAN,
            around(0.7, 100),
            "cost averages 0.700 (anytime 90 % interval 0.655–0.745, 100 outcomes of 100 users), at most 0.8",
        ),
    ],
)
def test_sentences(gate: Gate, arm: ArmStats, text: str) -> None:
    """The text says what was found, how sure that is, from how much, and what it is held against."""
    assert look(gate, arm).text == text


def test_failed_source() -> None:
    """A source that failed gives a check that says why, shortly, and nothing about the candidate."""
    check = failed_source(SUCCESS, "guardrail", SourceError("prometheus:9090 did not answer within 10s"))
    assert check.verdict is Verdict.SOURCE_ERROR
    assert check.text == "success_rate could not be read: prometheus:9090 did not answer within 10s"
    assert (check.role, check.value, check.samples, check.errors) == ("guardrail", None, 0, 1)
    assert len(failed_source(SUCCESS, "gate", SourceError("x" * 10_000)).text) < 400


@pytest.mark.parametrize(
    "arm",
    [
        ArmStats(units=100, samples=100, total=120.0),
        ArmStats(units=100, samples=100, total=-1.0),
        ArmStats(units=200, samples=100, total=50.0),
        ArmStats(units=0, samples=100, total=50.0),
        ArmStats(units=100, samples=100, total=50.0, hits=101),
        ArmStats(units=-5, samples=-5),
        ArmStats.model_construct(units=100, samples=100, total=math.nan, hits=0, clusters=0),
    ],
)
@pytest.mark.parametrize("gate", [SUCCESS, REGRESSION, MARGIN, SLOWER])
def test_impossible_statistics(arm: ArmStats, gate: Gate) -> None:
    """Statistics that no outcomes can have are the source's fault, on either arm."""
    good = rate(99, 100)
    for reading in (ArmReading(arm, good, True, limit=1.0), ArmReading(good, arm, True, limit=1.0)):
        check = judge(gate, "gate", reading)
        assert check.verdict is Verdict.SOURCE_ERROR
        assert "contradict each other" in check.text


@pytest.mark.parametrize("minute", [{"total": math.nan}, {"total": 11.0}, {"total": -1.0}, {"samples": -1}])
def test_impossible_minutes(minute: dict[str, float]) -> None:
    """So are minutes that no outcomes can have."""
    wrong = Minute.model_construct(**{"minute": BEGAN, "samples": 10, "total": 1.0, "units": 10, "hits": 1} | minute)
    reading = ArmReading(rate(1, 10), NOBODY, True, candidate_minutes=[wrong], began=BEGAN)
    assert judge(ERRORS, "gate", reading).verdict is Verdict.SOURCE_ERROR


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
    hits=st.integers(0, 3),
    clusters=st.just(0),
)
sound = st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=4), max_size=60).map(arm_of)
some_minutes = st.lists(
    st.builds(
        Minute,
        minute=st.integers(0, 5000),
        samples=st.integers(5, 50),
        total=st.integers(0, 5).map(float),
        hits=st.integers(0, 5),
    ),
    max_size=5,
)
readings = (
    st.builds(
        ArmReading,
        stats | sound,
        stats | sound,
        st.booleans(),
        share=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
        candidate_minutes=some_minutes,
        stable_minutes=some_minutes,
        began=st.just(BEGAN),
        limit=st.none() | st.just(1.0),
        uncapped=st.none() | st.just((1.0, None)),
    )
    | st.builds(FractionReading, number, number)
    | st.builds(PointReading, st.none() | number)
)
any_gate = st.sampled_from([SUCCESS, ERRORS, P95, MEAN, QUALITY, REGRESSION, MARGIN, SLOWER, DEARER, QUEUE])


@given(any_gate, readings, st.sampled_from(["anytime", "fixed"]))
def test_any_reading_gets_a_sound_check(gate: Gate, reading: Reading, method: str) -> None:
    """Whatever a source says, there is a check without NaN, and a decision rests on numbers."""
    asked = gate.model_copy(update={"method": method})
    check = judge(asked, "gate", reading)
    shown = [check.value, check.low, check.high, check.baseline, check.threshold, check.design_effect]
    assert all(value is None or math.isfinite(value) for value in shown)
    assert all(p is None or 0 <= p <= 1 for p in (check.p_fail, check.p_pass))
    assert check.text
    if check.verdict is Verdict.PASS:
        assert check.value is not None
    if isinstance(reading, ArmReading) and check.verdict in (Verdict.PASS, Verdict.FAIL):
        assert reading.candidate.samples > 0


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(-1, 10**9)),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
)
def test_any_split_gets_a_check(units: dict[str, int], shares: dict[str, int]) -> None:
    """No numbers of users and no shares stop the test of the split, and without users nothing passes."""
    check = judge(SPLIT, "signal", SplitReading(units, {name: float(share) for name, share in shares.items()}))
    assert check.verdict is not Verdict.PASS or sum(units.values()) > 0


@given(st.lists(some_minutes, min_size=2, max_size=2))
def test_any_series_gets_a_check(both: list[list[Minute]]) -> None:
    """A few minutes of anything are no score."""
    reading = SeriesReading({"cost": (both[0], both[1])})
    assert judge(CARD, "gate", reading).verdict is Verdict.NO_DATA


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 200))
def test_more_bad_never_helps(bad: int, good: int, more: int) -> None:
    """Turning good outcomes into bad ones never turns a fail into anything else, nor anything into a pass."""
    order = {Verdict.PASS: 0, Verdict.NO_DATA: 1, Verdict.INCONCLUSIVE: 1, Verdict.FAIL: 2}
    moved = min(more, good)
    for gate in (ERRORS, SUCCESS):
        ones = (bad, bad + moved) if gate is ERRORS else (good, good - moved)
        before, after = (look(gate, rate(count, bad + good)) for count in ones)
        assert order[after.verdict] >= order[before.verdict]
