"""Sample sizes and power against R, statsmodels and each other."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.analysis.design import (
    Design,
    mean_detectable,
    mean_power,
    mean_total,
    rate_detectable,
    rate_power,
    rate_total,
)

rates = st.floats(0, 1)


def test_power_prop_test() -> None:
    """R: power.prop.test(n = 50, p1 = .50, p2 = .75) has power 0.7401659, and 90 % power takes n = 76.7."""
    assert rate_power(0.5, 0.75, 100, Design()) == pytest.approx(0.7401659, abs=1e-7)
    assert rate_total(0.5, 0.75, Design(power=0.9)) / 2 == pytest.approx(76.7, abs=0.05)


def test_power_t_test() -> None:
    """R: power.t.test(n = 20, delta = 1, sd = 1) has power 0.8689528, and 90 % power takes n = 22.02110."""
    assert mean_power(1, 1, 40, Design()) == pytest.approx(0.8689528, abs=1e-7)
    assert mean_total(1, 1, Design(power=0.9)) / 2 == pytest.approx(22.02110, abs=1e-5)


def test_statsmodels() -> None:
    """statsmodels 0.15.0 gives the same for unequal arms on one side.

    TTestIndPower().power(0.3, nobs1=80, alpha=0.05, ratio=3, alternative="larger"); the same with 0.2, 50, 0.01, 19;
    solve_power(0.3, power=0.8, alpha=0.05, ratio=3, alternative="larger"); power_proportions_2indep(0.02, 0.01, 300,
    ratio=3, alternative="larger") is computed two-sided by it, and so here.
    """
    quarter = Design(share=0.25, sides=1)
    assert mean_power(0.3, 1, 320, quarter) == pytest.approx(0.7498407462120831, rel=1e-9)
    assert mean_power(0.2, 1, 1000, Design(share=0.05, alpha=0.01, sides=1)) == pytest.approx(
        0.17110413833500004, rel=1e-9
    )
    assert mean_total(0.3, 1, quarter) == pytest.approx(4 * 91.93350944923912, rel=1e-8)
    assert rate_power(0.01, 0.03, 1200, quarter) == pytest.approx(0.7395344662324703, rel=1e-9)
    assert rate_power(0.01, 0.03, 600, Design(sides=1)) == pytest.approx(0.5418320249264987, rel=1e-9)


@given(rates, rates, st.floats(0.01, 0.99), st.floats(1, 20))
def test_sample_gives_power(stable: float, candidate: float, share: float, effect: float) -> None:
    """The number of outcomes found has the power asked for, at any design effect."""
    design = Design(share=share, effect=effect)
    total = rate_total(stable, candidate, design)
    if math.isfinite(total) and total < 1e12 and abs(candidate - stable) > 1e-6 and 1e-9 < stable < 1 - 1e-9:
        assert rate_power(stable, candidate, total, design) == pytest.approx(0.8, abs=1e-6)


@given(st.floats(0.01, 5), st.floats(0.02, 0.98), st.floats(1, 20))
def test_mean_sample_gives_power(difference: float, share: float, effect: float) -> None:
    """The number of units found has the power asked for, unless fewer than three units already have it."""
    design = Design(share=share, effect=effect)
    total = mean_total(difference, 1.0, design)
    power = mean_power(difference, 1.0, total, design)
    if total > 3 * effect:
        assert power == pytest.approx(0.8, abs=1e-6)
    else:
        assert total == 3 * effect
        assert power >= 0.8


def test_detectable_is_the_inverse() -> None:
    """The smallest detectable change has exactly the power asked for, up and down."""
    design = Design(share=0.1, power=0.9)
    higher = rate_detectable(0.02, 20_000, design)
    lower = rate_detectable(0.02, 200_000, design, higher=False)
    assert higher is not None
    assert lower is not None
    assert lower < 0.02 < higher
    assert rate_power(0.02, higher, 20_000, design) == pytest.approx(0.9, abs=1e-9)
    assert rate_power(0.02, lower, 200_000, design) == pytest.approx(0.9, abs=1e-9)
    gap = mean_detectable(0.15, 4_000, design)
    assert gap is not None
    assert mean_power(gap, 0.15, 4_000, design) == pytest.approx(0.9, abs=1e-9)


def test_nothing_is_detectable() -> None:
    """Too little data detects nothing, and says so."""
    assert rate_detectable(0.02, 2, Design()) is None
    assert rate_detectable(0.02, 0, Design()) is None
    assert rate_detectable(1.0, 1000, Design()) is None
    assert mean_detectable(1.0, 2, Design()) is None
    assert mean_power(5.0, 1.0, 2, Design()) == 0
    assert rate_power(0.1, 0.5, 0, Design()) == 0


def test_no_difference() -> None:
    """No difference is found with the error rate, and takes infinitely many."""
    assert rate_total(0.1, 0.1, Design()) == math.inf
    assert mean_total(0.0, 1.0, Design()) == math.inf
    assert rate_power(0.1, 0.1, 500, Design()) == pytest.approx(0.025)


def test_extremes() -> None:
    """Huge samples and differences have a power of 1, not NaN."""
    assert mean_power(1.0, 1.0, 1e14, Design()) == 1
    assert mean_power(1e6, 1.0, 50, Design()) == 1
    assert rate_power(0.0, 1.0, 1e14, Design()) == 1
    assert mean_total(1e-7, 1.0, Design()) > 1e14


@pytest.mark.parametrize(("field", "value"), [("share", 0), ("share", 1), ("alpha", 0), ("power", 1), ("effect", 0.5)])
def test_designs_are_checked(field: str, value: float) -> None:
    """What is no design is refused."""
    with pytest.raises(ValueError, match=field if field != "effect" else "design effect"):
        Design(**{field: value})


def test_numbers_are_checked() -> None:
    """Rates outside 0..1, negative totals and deviations of 0 are refused."""
    with pytest.raises(ValueError, match="a rate must be"):
        rate_power(1.2, 0.5, 10, Design())
    with pytest.raises(ValueError, match="number of outcomes"):
        rate_power(0.2, 0.5, -1, Design())
    with pytest.raises(ValueError, match="standard deviation"):
        mean_power(1, 0, 10, Design())
