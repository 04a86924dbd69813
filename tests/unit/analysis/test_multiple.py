"""Corrections for several comparisons against statsmodels, scipy and published tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats

from turnout.analysis.abtest import by_t
from turnout.analysis.multiple import benjamini_hochberg, dunnett, holm
from turnout.domain.stats import ArmStats
from turnout.testing.sources import arm_of

RNG = np.random.default_rng(17)
P_VALUES = [0.01, 0.04, 0.03, 0.005, 0.8, 0.03]


def singles(values: np.ndarray) -> ArmStats:
    return arm_of([[float(value)] for value in values])


def centred(size: int) -> np.ndarray:
    """Values with mean 0 and sum of squares size - 1."""
    values = RNG.normal(size=size)
    return (values - values.mean()) / values.std(ddof=1)


def test_statsmodels() -> None:
    """statsmodels 0.15.0 multipletests(p, method="holm") and "fdr_bh" give the same."""
    assert holm(P_VALUES) == pytest.approx([0.05, 0.12, 0.12, 0.03, 0.8, 0.12], rel=1e-12)
    assert benjamini_hochberg(P_VALUES) == pytest.approx([0.03, 0.048, 0.045, 0.03, 0.8, 0.045], rel=1e-12)


@given(st.lists(st.floats(0, 1), max_size=9))
def test_adjusted(p_values: list[float]) -> None:
    """Adjusting never lowers a p-value nor changes the order, and Holm is never below Benjamini–Hochberg."""
    strict, loose = holm(p_values), benjamini_hochberg(p_values)
    for p, one, two in zip(p_values, strict, loose, strict=True):
        assert p <= two * (1 + 1e-12)
        assert two <= one * (1 + 1e-12)
        assert one <= 1
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [strict[index] for index in order] == sorted(strict)


def test_p_values_are_checked() -> None:
    """What is no p-value is refused."""
    for adjust in (holm, benjamini_hochberg):
        with pytest.raises(ValueError, match=r"p-values must be in 0\.\.1"):
            adjust([0.1, math.nan])


def test_one_arm_is_a_t_test() -> None:
    """With a single arm it is Student's t with the common variance."""
    ours, theirs = RNG.normal(1, 1, 12), RNG.normal(0, 1, 15)
    found = dunnett([singles(ours)], singles(theirs), 0.95)[0]
    expected = stats.ttest_ind(ours, theirs)
    interval = expected.confidence_interval(0.95)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-8)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-8)


def test_scipy() -> None:
    """With several arms it is scipy's Dunnett, whose quasi-Monte Carlo is good to three digits."""
    arms = [RNG.normal(0.8, 1, 20), RNG.normal(0, 1, 15), RNG.normal(-0.4, 1, 9)]
    control = RNG.normal(0, 1, 18)
    found = dunnett([singles(arm) for arm in arms], singles(control), 0.95)
    expected = stats.dunnett(*arms, control=control, rng=np.random.default_rng(1))
    interval = expected.confidence_interval(0.95)
    assert [one.statistic for one in found] == pytest.approx(list(expected.statistic), rel=1e-9)
    assert [one.p_value for one in found] == pytest.approx(list(expected.pvalue), abs=2e-3)
    assert [one.low for one in found] == pytest.approx(list(interval.low), abs=5e-3)


@pytest.mark.parametrize(
    ("arms", "size", "confidence", "expected"),
    [(3, 6, 0.95, 2.54), (2, 5, 0.95, 2.50), (5, 50_001, 0.99, 3.06), (4, 7, 0.95, 2.58)],
)
def test_published_critical_values(arms: int, size: int, confidence: float, expected: float) -> None:
    """Dunnett's table (Biometrics 20, 1964, two-sided): 2.54 at 3 arms, 20 degrees of freedom, 0.05, and others."""
    same = [singles(centred(size)) for _ in range(arms + 1)]
    found = dunnett(same[:-1], same[-1], confidence)[0]
    assert (found.high - found.low) / 2 / math.sqrt(2 / size) == pytest.approx(expected, abs=0.006)


def test_two_arms_by_integration() -> None:
    """The joint probability of two arms is the integral of the bivariate t density over a square."""
    values = [centred(9) + shift for shift in (1.1, 0.4, 0.0)]
    found = dunnett([singles(values[0]), singles(values[1])], singles(values[2]), 0.95)
    freedom, rho = 24, 0.5
    for one in found:
        t = abs(one.statistic)
        scale = special.gamma(freedom / 2 + 1) / special.gamma(freedom / 2) / (freedom * math.pi * math.sqrt(0.75))

        def density(x: float, y: float, scale: float = scale) -> float:
            return scale * (1 + (x * x - 2 * rho * x * y + y * y) / 0.75 / freedom) ** (-freedom / 2 - 1)

        within, _ = integrate.dblquad(density, -t, t, -t, t, epsabs=1e-11, epsrel=1e-11)
        assert one.p_value == pytest.approx(1 - within, rel=1e-7)


def test_clusters_count_once() -> None:
    """Outcomes repeated within units change neither the estimate nor the finding."""
    arms, control = [centred(30) + 0.5, centred(40)], centred(50)
    once = dunnett([singles(arm) for arm in arms], singles(control), 0.95)
    often = dunnett(
        [arm_of([[float(v)] * 4 for v in arm]) for arm in arms], arm_of([[float(v)] * 4 for v in control]), 0.95
    )
    assert [one.p_value for one in often] == pytest.approx([one.p_value for one in once], rel=1e-6)


def test_edges() -> None:
    """Empty arms, no spread and single units bound nothing and find nothing."""
    some = singles(centred(10))
    empty, filled = dunnett([ArmStats(), some], some, 0.95)
    assert (empty.estimate, empty.p_value, empty.high) == (None, 1.0, math.inf)
    assert math.isfinite(filled.high)
    assert dunnett([some], ArmStats(), 0.95)[0].p_value == 1
    flat = arm_of([[1.0]] * 5)
    assert dunnett([flat], flat, 0.95)[0].high == math.inf
    assert dunnett([arm_of([[1.0]])], arm_of([[2.0]]), 0.95)[0].p_value == 1
    assert dunnett([], some, 0.95) == []


def test_by_t_without_spread() -> None:
    """A difference without any spread is not significant."""
    assert by_t(1.0, (0.0, 5), (0.0, 5), 0.95).p_value == 1
    assert by_t(0.0, (0.0, 5), (0.0, 5), 0.95).high == 0
