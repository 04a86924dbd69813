"""The intervals against published examples, scipy and independent closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from turnout.analysis.intervals import (
    Interval,
    design_effect,
    mean_difference,
    mean_interval,
    rate_difference,
    rate_interval,
    wilson,
)
from turnout.domain.stats import ArmStats
from turnout.testing.sources import arm_of

# Litters of C. S. Weil (1970), the example of Rao & Scott (1992): (survived, born).
CONTROL = [(13, 13), (12, 12), (9, 9), (9, 9), (8, 8), (8, 8), (12, 13), (11, 12)]
CONTROL += [(9, 10), (9, 10), (8, 9), (11, 13), (4, 5), (5, 7), (7, 10), (7, 10)]
TREATED = [(12, 12), (11, 11), (10, 10), (9, 9), (10, 11), (9, 10), (9, 10), (8, 9)]
TREATED += [(8, 9), (4, 5), (7, 9), (4, 7), (5, 10), (3, 6), (3, 10), (0, 7)]


def litters(counts: list[tuple[int, int]]) -> ArmStats:
    return arm_of([1.0] * good + [0.0] * (born - good) for good, born in counts)


def singles(good: int, total: int) -> ArmStats:
    """One outcome a user."""
    return arm_of([[1.0]] * good + [[0.0]] * (total - good))


def ends(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


@pytest.mark.parametrize(
    ("events", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_published(events: int, total: int, low: float, high: float) -> None:
    """Wilson's interval gives the figures of Newcombe (1998), Statistics in Medicine 17, 857-872, table I."""
    assert ends(wilson(events, total, 0.95)) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95, 0.999])
@pytest.mark.parametrize(("events", "total"), [(0, 7), (1, 50), (757, 812), (50, 50), (3, 1_000_000)])
def test_wilson_scipy(events: int, total: int, confidence: float) -> None:
    """Wilson's interval agrees with scipy's at any confidence."""
    theirs = stats.binomtest(events, total).proportion_ci(confidence, method="wilson")
    assert ends(wilson(events, total, confidence)) == pytest.approx((theirs.low, theirs.high), rel=1e-9, abs=1e-15)


def test_wilson_inverts_the_score_test() -> None:
    """Its ends are where the score statistic reaches the normal quantile, for counts that are not whole, too."""
    events, total = 12.7, 311.4
    z = stats.norm.ppf(0.975)
    rate = events / total

    def excess(p: float) -> float:
        return float((rate - p) ** 2 * total - z * z * p * (1 - p))

    low = optimize.brentq(excess, 1e-9, rate, xtol=1e-15)
    high = optimize.brentq(excess, rate, 1 - 1e-9, xtol=1e-15)
    assert ends(wilson(events, total, 0.95)) == pytest.approx((low, high), rel=1e-9)


def test_wilson_extremes() -> None:
    """Rates of 0 and 1 reach exactly 0 and 1, no data says nothing, and huge counts leave a narrow interval."""
    assert wilson(0, 100, 0.95).low == 0.0
    assert wilson(100, 100, 0.95).high == 1.0
    assert wilson(0, 0, 0.95) == Interval(None, 0.0, 1.0)
    tiny = wilson(1, 1e300, 0.95)
    assert 1e-301 < tiny.low < 1e-300 < tiny.high < 1e-299


@pytest.mark.parametrize(("events", "total"), [(-1, 10), (11, 10), (1, math.nan), (math.nan, 10), (1, math.inf)])
def test_wilson_refuses_nonsense(events: float, total: float) -> None:
    """Counts that contradict each other are refused by name."""
    with pytest.raises(ValueError, match="events must be between 0 and total"):
        wilson(events, total, 0.95)


def test_design_effect_published() -> None:
    """The design effects of the rat litters are those of Rao & Scott (1992): 1.232 and 3.953."""
    assert design_effect(litters(CONTROL)) == pytest.approx(1.2325, abs=5e-5)
    assert design_effect(litters(TREATED)) == pytest.approx(3.9529, abs=5e-5)


def test_design_effect_closed_form() -> None:
    """It is m_i v_i / p(1-p) with v from the residuals themselves, which are summed one by one here."""
    good, born = np.array(TREATED).T
    p = good.sum() / born.sum()
    variance = len(born) / (len(born) - 1) * ((good - p * born) ** 2).sum() / born.sum() ** 2
    assert design_effect(litters(TREATED)) == pytest.approx(born.sum() * variance / (p * (1 - p)), rel=1e-9)


def test_design_effect_of_copies() -> None:
    """A user who sends every outcome five times is worth a fifth of the outcomes, but for G/(G-1)."""
    copies = arm_of([[1.0] * 5] * 150 + [[0.0] * 5] * 50)
    assert design_effect(copies) == pytest.approx(5 * 200 / 199, rel=1e-12)


@pytest.mark.parametrize(
    ("arm", "effect"),
    [
        (ArmStats(), 1.0),
        (singles(90, 100), 1.0),
        (arm_of([[1.0, 0.0]] * 30), 1.0),
        (arm_of([[1.0] * 4] * 30), 1.0),
        (arm_of([[1.0, 0.0, 1.0, 1.0]]), 4.0),
    ],
    ids=["no data", "one outcome a user", "users differ less than chance", "no variance", "one user"],
)
def test_design_effect_degenerate(arm: ArmStats, effect: float) -> None:
    """What cannot be estimated is 1, never below; a single user is one observation."""
    assert design_effect(arm) == effect


def test_rate_interval_is_wilson_for_one_outcome_a_user() -> None:
    """Without clusters the interval is plainly Wilson's."""
    assert rate_interval(singles(93, 100), None, 0.95) == wilson(93, 100, 0.95)


def test_rate_interval_takes_the_larger_effect() -> None:
    """Counts are divided by the larger design effect of both arms, whichever arm it comes from."""
    control, treated, effect = litters(CONTROL), litters(TREATED), design_effect(litters(TREATED))
    assert ends(rate_interval(control, treated, 0.95)) == ends(wilson(142 / effect, 158 / effect, 0.95))
    assert ends(rate_interval(treated, control, 0.95)) == ends(wilson(112 / effect, 145 / effect, 0.95))
    own = design_effect(control)
    assert ends(rate_interval(control, None, 0.95)) == ends(wilson(142 / own, 158 / own, 0.95))
    assert rate_interval(control, treated, 0.95).estimate == 142 / 158


def test_rate_interval_ignores_a_lonely_user() -> None:
    """One user of the other arm says nothing about how alike a user's outcomes are."""
    lonely = arm_of([[1.0, 0.0] * 200])
    assert rate_interval(singles(93, 100), lonely, 0.95) == wilson(93, 100, 0.95)


def test_mean_interval_scipy() -> None:
    """With one value a user it is the t interval."""
    values = np.random.default_rng(1).normal(0.8, 0.15, 40)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    ours = mean_interval(arm_of([[v] for v in values]), 0.9)
    assert ends(ours) == pytest.approx((theirs.low, theirs.high), rel=1e-9)
    assert ours.estimate == pytest.approx(values.mean(), rel=1e-12)


def test_mean_interval_of_equal_clusters() -> None:
    """With equally many values a user it is the t interval of the users' means, however alike their values are."""
    random = np.random.default_rng(2)
    users = random.normal(800, 200, (25, 1)) + random.normal(0, 50, (25, 12))
    theirs = stats.ttest_1samp(users.mean(axis=1), 0).confidence_interval(0.95)
    assert ends(mean_interval(arm_of(users.tolist()), 0.95)) == pytest.approx((theirs.low, theirs.high), rel=1e-9)


def test_mean_interval_of_unequal_clusters() -> None:
    """With users of different activity it is the ratio estimator's, its residuals summed one by one here."""
    random = np.random.default_rng(3)
    users = [random.normal(random.normal(5, 1), 1, size) for size in random.integers(1, 30, 60)]
    n, y = np.array([len(u) for u in users]), np.array([u.sum() for u in users])
    ratio = y.sum() / n.sum()
    error = math.sqrt(60 / 59 * ((y - ratio * n) ** 2).sum()) / n.sum()
    half = stats.t.ppf(0.975, 59) * error
    ours = mean_interval(arm_of(u.tolist() for u in users), 0.95)
    assert ends(ours) == pytest.approx((ratio - half, ratio + half), rel=1e-9)


def test_mean_interval_does_not_cancel() -> None:
    """A spread that the rounding of the sums hides is never believed to be smaller than that rounding."""
    values = 1e9 + np.random.default_rng(4).normal(0, 2, 500)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    ours = mean_interval(arm_of([[v] for v in values]), 0.95)
    assert ours.low <= theirs.low
    assert ours.high >= theirs.high
    assert math.isfinite(ours.low)


def test_mean_interval_with_a_large_mean() -> None:
    """A mean half a million times the spread still gives the spread to four digits."""
    values = 1e6 + np.random.default_rng(5).normal(0, 2, 500)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    ours = mean_interval(arm_of([[v] for v in values]), 0.95)
    assert ours.high - ours.low == pytest.approx(theirs.high - theirs.low, rel=1e-3)


@pytest.mark.parametrize(
    ("arm", "estimate", "finite"),
    [(ArmStats(), None, False), (arm_of([[3.0, 5.0]]), 4.0, False), (arm_of([[2.0]] * 9), 2.0, True)],
    ids=["no data", "one user", "no variance"],
)
def test_mean_interval_degenerate(arm: ArmStats, estimate: float | None, finite: bool) -> None:
    """Fewer than two users bound nothing; equal values leave no width."""
    interval = mean_interval(arm, 0.95)
    assert interval.estimate == estimate
    assert ends(interval) == ((2.0, 2.0) if finite else (-math.inf, math.inf))


def test_contradicting_sums_bound_nothing() -> None:
    """Sums that no values can have give an infinite variance, not a certain mean."""
    impossible = ArmStats(units=50, samples=50, total=100.0, squares=10.0, nn=50.0, yy=10.0, ny=100.0)
    assert ends(mean_interval(impossible, 0.95)) == (-math.inf, math.inf)
    assert ends(mean_difference(impossible, impossible, 0.95)) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("one", "two", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_rate_difference_published(one: tuple[int, int], two: tuple[int, int], low: float, high: float) -> None:
    """The hybrid score interval gives the figures of Newcombe (1998), method 10, table II."""
    assert ends(rate_difference(singles(*one), singles(*two), 0.95)) == pytest.approx((low, high), abs=6e-5)


def test_rate_difference_of_clusters() -> None:
    """Both arms' counts are divided by the larger design effect; the arms are then joined by squares."""
    effect = design_effect(litters(TREATED))
    z, p1, p2 = stats.norm.ppf(0.975), 142 / 158, 112 / 145

    def roots(p: float, n: float) -> np.ndarray:
        return np.sort(np.roots([1 + z * z / n, -(2 * p + z * z / n), p * p]).real)

    (l1, u1), (l2, u2) = roots(p1, 158 / effect), roots(p2, 145 / effect)
    low = p1 - p2 - math.sqrt((p1 - l1) ** 2 + (u2 - p2) ** 2)
    high = p1 - p2 + math.sqrt((u1 - p1) ** 2 + (p2 - l2) ** 2)
    assert ends(rate_difference(litters(CONTROL), litters(TREATED), 0.95)) == pytest.approx((low, high), rel=1e-9)


def test_rate_difference_without_an_arm() -> None:
    """An arm without outcomes leaves every difference possible."""
    assert rate_difference(singles(5, 10), ArmStats(), 0.95) == Interval(None, -1.0, 1.0)
    assert rate_difference(ArmStats(), singles(5, 10), 0.95) == Interval(None, -1.0, 1.0)


def test_mean_difference_scipy() -> None:
    """With one value a user, and the smaller arm the more varied one, it is Welch's interval."""
    random = np.random.default_rng(6)
    few, many = random.normal(900, 300, 30), random.normal(800, 100, 400)
    theirs = stats.ttest_ind(few, many, equal_var=False).confidence_interval(0.95)
    ours = mean_difference(arm_of([[v] for v in few]), arm_of([[v] for v in many]), 0.95)
    assert ends(ours) == pytest.approx((theirs.low, theirs.high), rel=1e-6)


def test_mean_difference_pooled() -> None:
    """A small arm whose users happen to agree gets the spread of all users, with Welch's degrees of freedom."""
    stable = [[v] for v in np.random.default_rng(7).normal(0.8, 0.2, 380)]
    candidate = [[0.85]] * 20
    values = np.array([v for (v,) in stable + candidate])
    error = math.sqrt(((values - values.mean()) ** 2).sum() / 400 * (1 / 20 + 1 / 380))
    half = stats.t.ppf(0.975, 379) * error
    ours = mean_difference(arm_of(candidate), arm_of(stable), 0.95)
    assert ours.estimate is not None
    assert (ours.high - ours.low) / 2 == pytest.approx(half, rel=1e-6)


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (ArmStats(), arm_of([[1.0]] * 9), Interval(None, -math.inf, math.inf)),
        (arm_of([[1.0, 2.0]]), arm_of([[1.0]] * 9), Interval(0.5, -math.inf, math.inf)),
        (arm_of([[2.0]] * 9), arm_of([[2.0]] * 9), Interval(0.0, 0.0, 0.0)),
    ],
    ids=["no data", "one user", "equal and without variance"],
)
def test_mean_difference_degenerate(one: ArmStats, two: ArmStats, expected: Interval) -> None:
    """Too few users bound nothing; equal constants do not differ."""
    assert mean_difference(one, two, 0.95) == expected


def test_constants_that_differ_leave_a_width() -> None:
    """Two arms without variance but with different means are not infinitely certain."""
    ours = mean_difference(arm_of([[1.0]] * 20), arm_of([[2.0]] * 20), 0.95)
    assert ours.low < -1 < ours.high < 0


value = st.floats(-1e150, 1e150) | st.sampled_from([0.0, 1.0, 1e-300, -1.0])
arms = st.lists(st.lists(value, max_size=4), max_size=6).map(arm_of)
rates = st.lists(st.lists(st.sampled_from([0.0, 1.0]), max_size=6), max_size=8).map(arm_of)


@given(arms, arms, st.floats(0.5, 0.9999))
def test_means_never_nan(one: ArmStats, two: ArmStats, confidence: float) -> None:
    """Whatever the values, no end is NaN and the estimate lies inside."""
    for interval in (mean_interval(one, confidence), mean_difference(one, two, confidence)):
        assert interval.low <= interval.high
        assert interval.estimate is None or interval.low <= interval.estimate <= interval.high


@given(rates, rates, st.floats(0.5, 0.9999))
def test_rates_never_nan(one: ArmStats, two: ArmStats, confidence: float) -> None:
    """Whatever the outcomes, a rate's interval stays within 0 and 1 and a difference's within -1 and 1."""
    single, difference = rate_interval(one, two, confidence), rate_difference(one, two, confidence)
    assert 0 <= single.low <= single.high <= 1
    assert -1 <= difference.low <= difference.high <= 1
