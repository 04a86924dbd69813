"""Fixed-horizon tests against scipy, published tables and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from turnout.analysis import abtest
from turnout.analysis.abtest import Comparison, fisher, mann_whitney, score, score_statistic, sparse, welch
from turnout.domain.stats import ArmStats
from turnout.testing.sources import arm_of

RNG = np.random.default_rng(13)
EMPTY = ArmStats()
VALUES = st.lists(st.lists(st.floats(-1e9, 1e9, allow_nan=False), min_size=1, max_size=3), max_size=12)
pair = st.tuples(st.integers(0, 500), st.integers(0, 500)).map(lambda drawn: (drawn[0], drawn[0] + drawn[1]))


def singles(values: np.ndarray) -> ArmStats:
    return arm_of([[float(value)] for value in values])


def test_welch_is_scipys() -> None:
    """With one outcome a unit it is Welch's t test: statistic, p-value, degrees of freedom and interval."""
    ours, theirs = RNG.normal(1, 2, 23), RNG.normal(0.2, 1, 71)
    found = welch(singles(ours), singles(theirs), 0.9)
    expected = stats.ttest_ind(ours, theirs, equal_var=False)
    interval = expected.confidence_interval(0.9)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-8)
    assert found.freedom == pytest.approx(expected.df, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-8)


def test_guarded() -> None:
    """Guarded, a small arm whose units agree is judged by the spread of all; the wider is never narrowed."""
    ours, theirs = arm_of([[0.0]] * 19 + [[0.01]]), arm_of([[0.0]] * 90 + [[1.0]] * 10)
    plain, guarded = welch(ours, theirs, 0.95), welch(ours, theirs, 0.95, guarded=True)
    assert guarded.high - guarded.low > 1.5 * (plain.high - plain.low)
    wide = singles(RNG.normal(0, 9, 20))
    assert welch(wide, theirs, 0.95, guarded=True) == welch(wide, theirs, 0.95)


def test_welch_at_the_edges() -> None:
    """Empty arms, single units and no spread never divide by zero, and nothing becomes significant by it."""
    some = singles(RNG.normal(0, 1, 30))
    assert welch(EMPTY, some, 0.95) == Comparison(None, -math.inf, math.inf, 0.0, 1.0, 0.0)
    assert welch(arm_of([[1.0]]), some, 0.95).p_value == 1
    assert welch(arm_of([[1.0]]), some, 0.95).high == math.inf
    equal = welch(arm_of([[2.0]] * 9), arm_of([[2.0]] * 9), 0.95)
    assert (equal.low, equal.estimate, equal.high, equal.p_value) == (0, 0, 0, 1)
    apart = welch(arm_of([[0.0]] * 9), arm_of([[1.0]] * 9), 0.95)
    assert math.isfinite(apart.statistic)
    assert apart.p_value > 0


@given(VALUES, VALUES)
def test_welch_never_nan(ours: list[list[float]], theirs: list[list[float]]) -> None:
    """No values give NaN or a p-value outside 0..1."""
    for guarded in (False, True):
        found = welch(arm_of(ours), arm_of(theirs), 0.95, guarded=guarded)
        assert 0 <= found.p_value <= 1
        assert found.low <= (found.estimate or 0.0 if found.estimate is None else found.estimate) <= found.high


@pytest.mark.parametrize(
    ("ours", "theirs", "low", "high"),
    [((56, 70), (48, 80), 0.0528, 0.3382), ((9, 10), (3, 10), 0.1700, 0.8406), ((10, 10), (0, 20), 0.7156, 1.0)],
)
def test_score_published(ours: tuple[int, int], theirs: tuple[int, int], low: float, high: float) -> None:
    """The interval is that of Miettinen & Nurminen in Newcombe (1998) table II and of their own paper."""
    found = score(ours, theirs, 0.95)
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)


def test_score_is_the_pooled_test() -> None:
    """Without a margin it is the chi-square test without continuity correction, times (N-1)/N."""
    found = score((20, 100), (5, 120), 0.95)
    chi = stats.chi2_contingency([[20, 80], [5, 115]], correction=False).statistic
    assert found.statistic**2 == pytest.approx(chi * 219 / 220, rel=1e-9)
    assert found.p_value == pytest.approx(0.00023674498680432388, rel=1e-9)


@pytest.mark.parametrize("difference", [-0.9, -0.2, -0.01, 0.05, 0.3, 0.95])
@pytest.mark.parametrize("counts", [((20, 100), (5, 120)), ((0, 30), (3, 25)), ((7, 7), (11, 12))])
def test_restricted_likelihood(counts: tuple[tuple[int, int], tuple[int, int]], difference: float) -> None:
    """The variance is that at the most likely rates with the given difference, here by search."""
    (x, n), (y, m) = counts

    def unlikely(rate: float) -> float:
        return -float(stats.binom.logpmf(x, n, rate + difference) + stats.binom.logpmf(y, m, rate))

    ends = max(0.0, -difference) + 1e-13, min(1.0, 1 - difference) - 1e-13
    rate = optimize.minimize_scalar(unlikely, bounds=ends, method="bounded", options={"xatol": 1e-13}).x
    ours = rate + difference
    spread = (ours * (1 - ours) / n + rate * (1 - rate) / m) * (n + m) / (n + m - 1)
    expected = (x / n - y / m - difference) / math.sqrt(spread)
    assert score_statistic(*counts, difference) == pytest.approx(expected, rel=1e-4)


@given(pair, pair, st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_score_never_nan(ours: tuple[int, int], theirs: tuple[int, int], confidence: float) -> None:
    """No counts give NaN; the interval holds the estimate, stays in -1..1, and turns round with the arms."""
    found, turned = score(ours, theirs, confidence), score(theirs, ours, confidence)
    assert 0 <= found.p_value <= 1
    if found.estimate is None:
        assert min(ours[1], theirs[1]) == 0
        return
    assert -1 <= found.low <= found.estimate + 1e-12
    assert found.estimate - 1e-12 <= found.high <= 1
    assert found.low == pytest.approx(-turned.high, abs=1e-9)


def test_fisher() -> None:
    """Fisher's tea: 3 of 4 against 1 of 4 has a two-sided p-value of 34/70."""
    assert fisher((3, 4), (1, 4)) == pytest.approx(34 / 70, rel=1e-9)
    assert fisher((0, 0), (1, 4)) == 1
    assert fisher((0, 5), (0, 9)) == 1


def test_sparse() -> None:
    """Small expected counts ask for the exact test, large ones do not."""
    assert sparse((1, 100), (5, 1900))
    assert not sparse((20, 100), (100, 1900))
    assert not sparse((0, 0), (0, 0))


def test_counts_are_checked() -> None:
    """Counts that contradict each other are refused."""
    for test in (score, fisher):
        with pytest.raises(ValueError, match="between 0 and total"):
            test((5, 4), (1, 4), 0.95) if test is score else fisher((5, 4), (1, 4))


def test_mann_whitney() -> None:
    """Superiority counts pairs with ties half, the shift is the median difference, the p-value scipy's."""
    ours, theirs = [1.0, 4.0, 4.0, 8.0, 9.0], [1.0, 2.0, 4.0, 3.0]
    found = mann_whitney(ours, theirs)
    wins = sum((a > b) + 0.5 * (a == b) for a in ours for b in theirs)
    assert found.superiority == pytest.approx(wins / 20)
    assert found.shift == float(np.median([a - b for a in ours for b in theirs]))
    assert found.p_value == pytest.approx(float(stats.mannwhitneyu(ours, theirs).pvalue), rel=1e-12)


def test_mann_whitney_at_the_edges() -> None:
    """Empty samples, equal values and values that are not numbers give no finding and no NaN."""
    assert mann_whitney([], [1.0]).p_value == 1
    assert mann_whitney([2.0] * 5, [2.0] * 5) == abtest.RankComparison(0.5, 0.0, 1.0)
    assert mann_whitney([math.nan, 3.0], [math.inf, 1.0]).superiority == 1
    assert mann_whitney(list(range(2001)), list(range(2000))).shift is None
