"""CUPED from sums against the same from the values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from turnout.analysis.cuped import Pairs, cuped, pairs_of

RNG = np.random.default_rng(19)
numbers = st.floats(-1e6, 1e6, allow_nan=False)
ARMS = st.lists(st.tuples(numbers, numbers), max_size=8)


def drawn(size: int, gain: float) -> np.ndarray:
    before = RNG.normal(10, 3, size)
    return np.column_stack((before, 0.8 * before + RNG.normal(gain, 1, size)))


def sums(values: np.ndarray) -> Pairs:
    return pairs_of((float(x), float(y)) for x, y in values)


def test_from_the_values() -> None:
    """It is Welch's test on y - θ(x - x̄), θ the pooled slope about the arms' own means."""
    ours, theirs = drawn(80, 0.3), drawn(120, 0.0)
    about = np.vstack((ours - ours.mean(axis=0), theirs - theirs.mean(axis=0)))
    theta = float((about[:, 0] @ about[:, 1]) / (about[:, 0] @ about[:, 0]))
    expected = stats.ttest_ind(ours[:, 1] - theta * ours[:, 0], theirs[:, 1] - theta * theirs[:, 0], equal_var=False)
    found = cuped(sums(ours), sums(theirs), 0.95)
    assert found.theta == pytest.approx(theta, rel=1e-9)
    assert found.comparison.statistic == pytest.approx(expected.statistic, rel=1e-7)
    assert found.comparison.p_value == pytest.approx(expected.pvalue, rel=1e-6)
    interval = expected.confidence_interval(0.95)
    assert (found.comparison.low, found.comparison.high) == pytest.approx((interval.low, interval.high), rel=1e-7)


def test_variance_left() -> None:
    """1 - ρ² of the variance is left."""
    ours, theirs = drawn(500, 0.0), drawn(500, 0.0)
    about = np.vstack((ours - ours.mean(axis=0), theirs - theirs.mean(axis=0)))
    rho = float(np.corrcoef(about.T)[0, 1])
    assert cuped(sums(ours), sums(theirs), 0.95).variance_left == pytest.approx(1 - rho * rho, rel=1e-9)


def test_a_covariate_without_spread() -> None:
    """A covariate that is the same for all adjusts nothing."""
    ours, theirs = [(5.0, 1.0), (5.0, 2.0), (5.0, 4.0)], [(5.0, 0.0), (5.0, 2.0), (5.0, 1.0)]
    found = cuped(pairs_of(ours), pairs_of(theirs), 0.95)
    expected = stats.ttest_ind([1, 2, 4], [0, 2, 1], equal_var=False)
    assert (found.theta, found.variance_left) == (0, 1)
    assert found.comparison.p_value == pytest.approx(expected.pvalue, rel=1e-9)


def test_edges() -> None:
    """Empty arms and single units bound nothing; a perfect covariate leaves nothing and proves nothing."""
    some = pairs_of([(1.0, 2.0), (2.0, 1.0), (4.0, 3.0)])
    assert cuped(Pairs(), some, 0.95).comparison.estimate is None
    assert cuped(pairs_of([(1.0, 2.0)]), some, 0.95).comparison.high == math.inf
    perfect = cuped(pairs_of([(1.0, 1.0), (2.0, 2.0)]), pairs_of([(1.0, 1.0), (4.0, 4.0)]), 0.95)
    assert (perfect.theta, perfect.variance_left, perfect.comparison.p_value) == (1, 0, 1)


def test_values_are_checked() -> None:
    """Values that are not finite are refused."""
    with pytest.raises(ValueError, match="must be finite"):
        pairs_of([(math.nan, 1.0)])


@given(ARMS, ARMS)
def test_never_nan(ours: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> None:
    """No values give NaN."""
    found = cuped(pairs_of(ours), pairs_of(theirs), 0.95)
    assert 0 <= found.variance_left <= 1
    assert 0 <= found.comparison.p_value <= 1
    assert not math.isnan(found.theta + found.comparison.statistic)
