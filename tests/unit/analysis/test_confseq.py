"""Asymptotic confidence sequences against the mixture they come from, and at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from turnout.analysis.clusters import pooled_variance, sums_of, variance
from turnout.analysis.confseq import anytime_p, difference, level, tuned, widening
from turnout.domain.stats import ArmStats
from turnout.testing.sources import arm_of

RNG = np.random.default_rng(3)
EMPTY = ArmStats()
ALPHAS = st.sampled_from([0.001, 0.01, 0.05, 0.2])
VALUES = st.lists(st.lists(st.floats(-1e9, 1e9, allow_nan=False), min_size=1, max_size=3), max_size=45)


def scores(units: int, centre: float, spread: float = 0.1) -> ArmStats:
    return arm_of([[float(v)] for v in RNG.normal(centre, spread, units)])


@pytest.mark.parametrize("alpha", [0.01, 0.05])
@pytest.mark.parametrize("units", [5.0, 100.0, 40_000.0])
def test_the_mixture(units: float, alpha: float) -> None:
    """At the bound the half-normal mixture of likelihood ratios is at least 1/α, by no more than the simplification.

    Waudby-Smith & al. bound ``2/√(t+1) e^y Φ(·)`` below by ``2/√(t+1) (e^y - 1)``, so the mixture exceeds 1/α by at
    most 2/√(t+1); here it is integrated numerically.
    """
    rho2 = tuned(alpha)
    z = float(widening(np.asarray(units), alpha))

    def term(drift: float) -> float:
        return math.exp(drift * z * math.sqrt(units) - drift * drift * units / 2 - drift * drift / (2 * rho2))

    peak = z * math.sqrt(units) / (units + 1 / rho2)
    width = 1 / math.sqrt(units + 1 / rho2)
    mixed, _ = integrate.quad(term, max(0.0, peak - 12 * width), peak + 12 * width, epsrel=1e-11, epsabs=0)
    e = 2 * mixed / math.sqrt(2 * math.pi * rho2)
    assert 1 / alpha <= e * (1 + 1e-9)
    assert e <= 1 / alpha + 2 / math.sqrt(rho2 * units + 1) + 1e-6


@pytest.mark.parametrize("alpha", [0.001, 0.01, 0.05])
def test_tuned_for(alpha: float) -> None:
    """At the number of units it is tuned for, no other tuning makes the sequence more than 2 % narrower."""
    at = np.asarray(100.0)
    best = min(float(widening(at, alpha, 100 * factor)) for factor in np.geomspace(0.05, 20, 200))
    assert float(widening(at, alpha)) <= best * 1.02


def test_growthbook_constant() -> None:
    """ρ at α = 0.05 and N* = 5000 is √((-2 ln 0.1 + ln(1 - 2 ln 0.1))/5000) = 0.0355777."""
    assert math.sqrt(tuned(0.05, 5000)) == pytest.approx(0.0355777, rel=2e-6)


def test_difference() -> None:
    """The ends are the estimate and the larger standard error times the widening, each at its own alpha."""
    ours, theirs = scores(30, 0.8), scores(600, 0.75, 0.2)
    found = difference(ours, theirs, 0.01, 0.05)
    own = variance(sums_of(ours)) + variance(sums_of(theirs))
    se = math.sqrt(max(float(own), float(pooled_variance(sums_of(ours), sums_of(theirs)))))
    units = np.asarray(30 * 600 / 630)
    assert found.estimate == pytest.approx(ours.total / 30 - theirs.total / 600, rel=1e-9)
    assert found.se == pytest.approx(se, rel=1e-9)
    assert found.low == pytest.approx((found.estimate or 0) - float(widening(units, 0.01)) * se, rel=1e-9)
    assert found.high == pytest.approx((found.estimate or 0) + float(widening(units, 0.05)) * se, rel=1e-9)
    assert found.muted is None


def test_a_lucky_small_arm() -> None:
    """Twenty units that happen to agree are judged by the spread of all."""
    found = difference(arm_of([[0.0]] * 20), arm_of([[0.0]] * 190 + [[1.0]] * 10), 0.05, 0.05)
    assert found.se > 0.04
    assert found.high > 0


def test_level_takes_the_spread_of_stable() -> None:
    """An arm that happens to vary little is held with stable's spread; an empty or quiet stable changes nothing."""
    own, stable = scores(100, 0.5, 0.01), scores(2000, 0.5, 0.1)
    alone, held = level(own, 0.5, 0.05, 0.05), level(own, 0.5, 0.05, 0.05, stable=stable)
    assert alone.se == pytest.approx(0.001, rel=0.3)
    assert held.se == pytest.approx(0.01, rel=0.1)
    assert level(own, 0.5, 0.05, 0.05, stable=EMPTY) == alone
    assert level(own, 0.5, 0.05, 0.05, stable=arm_of([[0.5]] * 30)) == alone


def test_level() -> None:
    """Against a threshold the spread about the threshold counts where it is larger than the arm's own."""
    values = RNG.normal(0.8, 0.05, 60)
    found = level(arm_of([[float(v)] for v in values]), 0.5, 0.05, 0.05)
    assert found.se == pytest.approx(math.sqrt(float(((values - 0.5) ** 2).sum())) / 60, rel=1e-9)
    near = level(arm_of([[float(v)] for v in values]), float(values.mean()), 0.05, 0.05)
    assert near.se == pytest.approx(float(values.std(ddof=1)) / math.sqrt(60), rel=1e-9)


def test_level_stretches_the_spread_of_another_scale() -> None:
    """Stable of half the scale is held at twice its spread, up to four times the arm's own; signs have to agree."""
    stable = scores(2000, 1.0, 0.1)
    assert level(scores(100, 10.0, 0.05), 10.0, 0.05, 0.05, stable=stable).se == pytest.approx(0.02, rel=0.3)
    loose = scores(100, 2.0, 0.1)
    plain = level(loose, 2.0, 0.05, 0.05).se
    assert level(loose, 2.0, 0.05, 0.05, stable=stable).se == pytest.approx(2 * plain, rel=0.3)
    assert level(loose, 2.0, 0.05, 0.05, stable=scores(2000, -1.0, 0.1)).se == pytest.approx(plain, rel=0.3)


def test_level_stretches_its_own_spread() -> None:
    """A mean below the limit is held as if its spread had grown to the limit with it, at most twofold."""
    values = RNG.exponential(1.0, 400)
    own, middle, spread = arm_of([[float(value)] for value in values]), values.mean(), values.var(ddof=1)
    for limit, stretch in ((0.9 * middle, 1), (middle, 1), (1.2 * middle, 1.2), (5 * middle, 2), (-middle, 1)):
        about = math.sqrt(max(spread, ((values - limit) ** 2).sum() / 400) / 400)
        assert level(own, limit, 0.05, 0.05).se == pytest.approx(stretch * about, rel=1e-9)


def test_level_of_centred_values() -> None:
    """Values that were summed about another origin, which is told, give the same standard error."""
    values = RNG.exponential(1.0, 200)
    plain, less = (arm_of([[float(value)] for value in values - origin]) for origin in (0.0, 0.7))
    found = level(plain, 1.4, 0.05, 0.05)
    assert level(less, 1.4 - 0.7, 0.05, 0.05, offset=0.7).se == pytest.approx(found.se, rel=1e-9)


def test_level_without_spread() -> None:
    """Units that all agree take as many units as the widening needs, not one, to be beyond a threshold."""
    assert level(arm_of([[1.0]] * 19), 0.8, 0.05, 0.05).muted == "few_units"
    strict = level(arm_of([[1.0]] * 20), 0.8, 1e-6, 1e-6)
    assert strict.low < 0.8
    assert level(arm_of([[1.0]] * 200), 0.8, 0.05, 0.05).low > 0.8


def test_no_data() -> None:
    """An empty arm has no estimate and no bounds."""
    for found in (difference(EMPTY, scores(30, 1), 0.05, 0.05), difference(scores(30, 1), EMPTY, 0.05, 0.05)):
        assert (found.estimate, found.low, found.high, found.muted) == (None, -math.inf, math.inf, "no_data")
    assert level(EMPTY, 1.0, 0.05, 0.05).muted == "no_data"


def test_few_units() -> None:
    """Below 20 units in either arm there is an estimate and no bounds."""
    found = difference(scores(19, 0.9), scores(500, 0.1), 0.05, 0.05)
    assert found.muted == "few_units"
    assert found.estimate is not None
    assert found.low == -math.inf
    assert difference(scores(500, 0.9), scores(19, 0.1), 0.05, 0.05).muted == "few_units"


def test_no_spread_at_all() -> None:
    """Two arms of one value have no difference; nothing is divided by zero."""
    found = difference(arm_of([[1.0]] * 30), arm_of([[1.0]] * 40), 0.05, 0.05)
    assert (found.estimate, found.low, found.high, found.muted) == (0.0, 0.0, 0.0, None)


def test_contradicting_sums() -> None:
    """Sums that contradict each other say nothing."""
    broken = ArmStats(units=30, samples=30, total=30, squares=1, nn=30, yy=1, ny=30)
    assert difference(broken, scores(30, 1), 0.05, 0.05).muted == "no_spread"


@given(VALUES, VALUES, ALPHAS)
def test_never_nan(ours: list[list[float]], theirs: list[list[float]], alpha: float) -> None:
    """No values give NaN, and bounds hold the estimate."""
    for found in (
        difference(arm_of(ours), arm_of(theirs), alpha, alpha),
        level(arm_of(ours), 3.0, alpha, alpha),
        level(arm_of(ours), -3.0, alpha, alpha, stable=arm_of(theirs)),
    ):
        assert not math.isnan(found.low + found.high * 0 if math.isfinite(found.high) else found.low)
        assert not math.isnan(found.high)
        if found.estimate is not None:
            assert found.low <= found.estimate <= found.high


@given(st.floats(0, 40), st.floats(0, 1e12), ALPHAS)
def test_p_value_agrees(z: float, units: float, alpha: float) -> None:
    """The anytime p-value is at most alpha exactly when z is beyond the widening."""
    p, edge = anytime_p(z, units, alpha), float(widening(np.asarray(units), alpha))
    assert 0 <= p <= 1
    if math.isinf(edge) or abs(z - edge) > 1e-9 * edge:
        assert (p < alpha) == (z > edge)


@pytest.mark.parametrize(("alpha", "tuned_for"), [(0.5, 100.0), (0.0, 100.0), (0.05, 0.0), (math.nan, 100.0)])
def test_refusals(alpha: float, tuned_for: float) -> None:
    """A one-sided alpha outside 0..0.5 or nothing to tune for is refused."""
    with pytest.raises(ValueError, match="must be"):
        tuned(alpha, tuned_for)
