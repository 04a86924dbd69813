"""Sample sizes against other programs."""

from __future__ import annotations

import pytest

from turnout.analysis.design import Design, mean_total, rate_total
from turnout.domain.sample_size import Wanted


def test_rates_are_those_of_power_prop_test() -> None:
    """Equal arms: R's power.prop.test(p1 = .9, p2 = .92, power = .8) gives n = 3212.93 in each group.

    statsmodels 0.15.0: power_proportions_2indep(0.02, 0.9, 3212.929, alpha=.05) is 0.8.
    """
    assert Wanted(0.05, 0.8).for_rates(0.9, 0.02) == 6426


def test_rates_of_unequal_arms() -> None:
    """statsmodels 0.15.0: power_proportions_2indep(0.02, 0.9, 2183.167, ratio=3, alpha=.05) is 0.8, in all 8732.7."""
    assert Wanted(0.05, 0.8, share=0.25).for_rates(0.9, 0.02) == 8733


@pytest.mark.parametrize(
    ("difference", "alpha", "power", "share", "total"),
    [(0.1, 0.05, 0.8, 0.5, 3141.5), (0.2, 0.05, 0.9, 0.25, 1402.9), (0.5, 0.025, 0.8, 0.5, 154.6)],
)
def test_means(difference: float, alpha: float, power: float, share: float, total: float) -> None:
    """statsmodels 0.15.0, TTestIndPower().solve_power(difference, power=, alpha=, ratio=): 1570.733 an arm,
    350.728 and three times as many (ratio=3), 77.310 an arm; the closed formula is within one user of it."""
    assert Wanted(alpha, power, share).for_means(1.0, difference) == pytest.approx(total, abs=1.5)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.7])
@pytest.mark.parametrize("effect", [-0.05, 0.03])
def test_the_same_as_the_analysis(share: float, effect: float) -> None:
    """What a test is planned with is what its analysis says of power."""
    wanted, design = Wanted(0.01, 0.9, share), Design(share=share, alpha=0.01, power=0.9)
    assert wanted.for_rates(0.4, effect) - rate_total(0.4, 0.4 + effect, design) == pytest.approx(0.5, abs=0.5)
    assert wanted.for_means(2.0, effect) == pytest.approx(mean_total(effect, 2.0, design), abs=2)


def test_impossible_wishes() -> None:
    """No effect, rates beyond 0..1, no deviation."""
    for effect in (0.0, 0.2):
        with pytest.raises(ValueError, match=r"0\.\.1"):
            Wanted(0.05, 0.8).for_rates(0.9, effect)
    with pytest.raises(ValueError, match="deviation"):
        Wanted(0.05, 0.8).for_means(0.0, 1.0)
