"""Group-sequential boundaries against published ones and against multivariate normal probabilities."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from turnout.analysis.spending import Spending, boundaries, spent_by


def thirds(number: int) -> list[float]:
    return [(look + 1) / number for look in range(number)]


@pytest.mark.parametrize(
    ("number", "spending", "expected"),
    [
        (3, "obrien_fleming", [3.710, 2.511, 1.993]),
        (3, "pocock", [2.279, 2.295, 2.296]),
        (5, "obrien_fleming", [4.877, 3.357, 2.680, 2.290, 2.031]),
        (5, "pocock", [2.438, 2.427, 2.410, 2.397, 2.386]),
    ],
)
def test_published(number: int, spending: Spending, expected: list[float]) -> None:
    """Boundaries at a one-sided 0.025 are those rpact (asOF, asP) and Jennison & Turnbull (2000) print."""
    found = [look.boundary for look in boundaries(thirds(number), 0.025, spending)]
    assert found == pytest.approx(expected, abs=6e-4)
    both = [look.boundary for look in boundaries(thirds(number), 0.05, spending, sides=2)]
    assert both == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
@pytest.mark.parametrize(("sides", "alpha"), [(1, 0.05), (2, 0.05), (1, 0.01)])
def test_spends_what_it_says(spending: Spending, sides: Literal[1, 2], alpha: float) -> None:
    """The probability to have stopped by each look is what is spent, by the multivariate normal distribution."""
    fractions = [0.3, 0.55, 1.0]
    looks = boundaries(fractions, alpha, spending, sides)
    for number in range(2, 4):
        times = np.array(fractions[:number])
        correlation = np.sqrt(np.minimum.outer(times, times) / np.maximum.outer(times, times))
        ends = np.array([look.boundary for look in looks[:number]])
        normal = stats.multivariate_normal(np.zeros(number), correlation, maxpts=2_000_000, abseps=1e-9, releps=1e-9)
        within = normal.cdf(ends, lower_limit=-ends if sides == 2 else None, rng=np.random.default_rng(1))
        assert 1 - float(within) == pytest.approx(looks[number - 1].spent, abs=2e-7)


def test_first_look_is_a_plain_test() -> None:
    """One look alone is the fixed test; the first of several spends its part alone."""
    assert boundaries([1.0], 0.025, "pocock")[0].boundary == pytest.approx(1.959963984540054, rel=1e-9)
    first = boundaries([0.4, 1.0], 0.05, "pocock")[0]
    assert first.boundary == pytest.approx(float(stats.norm.isf(spent_by(0.4, 0.05, "pocock"))), rel=1e-9)


def test_spending_functions() -> None:
    """Both spend nothing at the start and alpha at the end, by the formulas of Lan & DeMets."""
    assert spent_by(0.5, 0.05, "pocock") == pytest.approx(0.05 * math.log(1 + (math.e - 1) / 2), rel=1e-12)
    expected = 2 * float(stats.norm.sf(float(stats.norm.isf(0.025)) / math.sqrt(0.5)))
    assert spent_by(0.5, 0.05, "obrien_fleming") == pytest.approx(expected, rel=1e-12)
    for spending in ("obrien_fleming", "pocock"):
        assert spent_by(0.0, 0.05, spending) == 0
        assert spent_by(1.0, 0.05, spending) == pytest.approx(0.05, rel=1e-12)
        assert spent_by(1.3, 0.05, spending) == spent_by(1.0, 0.05, spending)


def test_too_early() -> None:
    """A look so early that next to nothing is spent does not stop, and its part is kept for later."""
    looks = boundaries([0.01, 0.5, 1.0], 0.025, "obrien_fleming")
    assert looks[0].boundary == math.inf
    without = boundaries([0.5, 1.0], 0.025, "obrien_fleming")
    assert [look.boundary for look in looks[1:]] == pytest.approx([look.boundary for look in without], rel=1e-9)


def test_many_looks() -> None:
    """Fifty looks spend alpha in all: simulated Brownian paths cross as often as they should."""
    fractions = thirds(50)
    ends = np.array([look.boundary for look in boundaries(fractions, 0.05, "pocock")])
    rng = np.random.default_rng(2)
    paths = np.cumsum(rng.normal(size=(40_000, 50)), axis=1) / np.sqrt(np.arange(1, 51))
    assert float((paths >= ends).any(axis=1).mean()) == pytest.approx(0.05, abs=0.004)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.01, 1.5), min_size=1, max_size=6, unique=True), st.sampled_from([0.001, 0.05, 0.5]))
def test_never_nan(fractions: list[float], alpha: float) -> None:
    """Any increasing looks have boundaries, and never less is spent than before."""
    looks = boundaries(sorted(fractions), alpha, "obrien_fleming")
    assert not any(math.isnan(look.boundary) for look in looks)
    assert sorted(look.spent for look in looks) == [look.spent for look in looks]


@pytest.mark.parametrize("fractions", [[0.0, 1.0], [0.5, 0.5], [0.7, 0.5], [0.5, math.nan]])
def test_refusals(fractions: list[float]) -> None:
    """Fractions that do not increase from above 0 are refused."""
    with pytest.raises(ValueError, match="information fractions must increase"):
        boundaries(fractions, 0.05, "pocock")
