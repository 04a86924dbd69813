"""Variances between units against the same computed from the units themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.analysis import intervals
from turnout.analysis.clusters import (
    absolute_effect,
    comparative_effect,
    design_effect,
    effective_units,
    mean,
    merged,
    pooled_variance,
    spread_about,
    sums_of,
    unit_squares,
    variance,
)
from turnout.domain.stats import CLUSTERS, ArmStats
from turnout.testing.sources import arm_of

RNG = np.random.default_rng(7)
OURS = [list(RNG.normal(0.8, 0.1) + RNG.normal(0, 0.05, RNG.integers(1, 9))) for _ in range(40)]
THEIRS = [list(RNG.normal(0.7, 0.2) + RNG.normal(0, 0.05, RNG.integers(1, 9))) for _ in range(90)]
VALUES = st.lists(
    st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=4),
    max_size=6,
)
RATES = st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=12), max_size=30)
EMPTY = ArmStats()


def cluster(units: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([len(unit) for unit in units], float), np.array([sum(unit) for unit in units])


def test_variance() -> None:
    """The variance of the ratio mean is the sum of squared residuals of the units."""
    n, y = cluster(OURS)
    residuals = y - y.sum() / n.sum() * n
    expected = float(residuals @ residuals) / n.sum() ** 2 * 40 / 39
    assert float(variance(sums_of(arm_of(OURS)))) == pytest.approx(expected, rel=1e-9)


def test_variance_of_singles() -> None:
    """With one outcome a unit it is the squared standard error of a mean."""
    values = RNG.normal(5, 2, 30)
    assert float(variance(sums_of(arm_of([[v] for v in values])))) == pytest.approx(values.var(ddof=1) / 30, rel=1e-9)


def test_pooled_variance() -> None:
    """The pooled variance takes the residuals about the mean of both arms, shared out by Σn²/N²."""
    n, y = cluster(OURS)
    m, z = cluster(THEIRS)
    both, sums = np.concatenate((n, m)), np.concatenate((y, z))
    residuals = sums - sums.sum() / both.sum() * both
    expected = residuals @ residuals / (both @ both) * (n @ n / n.sum() ** 2 + m @ m / m.sum() ** 2)
    found = pooled_variance(sums_of(arm_of(OURS)), sums_of(arm_of(THEIRS)))
    assert float(found) == pytest.approx(float(expected), rel=1e-9)


def bundled(units: list[list[float]]) -> ArmStats:
    """The statistics as a store keeps them: units that share a cluster are summed as one."""
    together: dict[int, list[float]] = {}
    for unit in units:
        together.setdefault(int(RNG.integers(CLUSTERS)), []).extend(unit)
    return arm_of(list(together.values())).model_copy(update={"units": len(units), "clusters": len(together)})


def test_unit_squares_of_bundled_units() -> None:
    """Σn_i² of single units is found within a few per cent from clusters that hold five of them."""
    units = [[1.0] * int(size) for size in RNG.integers(1, 40, 5000)]
    exact, stats = sum(len(unit) ** 2 for unit in units), bundled(units)
    assert stats.nn > 3 * exact
    assert float(unit_squares(sums_of(stats))) == pytest.approx(exact, rel=0.2)
    assert float(unit_squares(sums_of(bundled([[1.0] * 3] * 50)))) == pytest.approx(450, rel=0.1)


def test_pooled_variance_of_bundled_units() -> None:
    """Bundling a large stable arm leaves the pooled variance as it is; otherwise five users a cluster would make a
    small candidate's look a fifth of what it is."""
    ours = [list(RNG.normal(RNG.normal(0, 1), 1, 20)) for _ in range(100)]
    theirs = [list(RNG.normal(RNG.normal(0, 1), 1, 20)) for _ in range(5000)]
    single = float(pooled_variance(sums_of(arm_of(ours)), sums_of(arm_of(theirs))))
    kept = float(pooled_variance(sums_of(bundled(ours)), sums_of(bundled(theirs))))
    assert kept == pytest.approx(single, rel=0.25)
    apart = intervals.mean_difference(arm_of(ours), arm_of(theirs), 0.95)
    together = intervals.mean_difference(bundled(ours), bundled(theirs), 0.95)
    assert together.high - together.low == pytest.approx(apart.high - apart.low, rel=0.15)


def test_arrays_are_many_looks() -> None:
    """An array of looks gives what each look gives alone."""
    looks = [sums_of(arm_of(OURS[:size])) for size in (5, 20, 40)]
    fields = ("units", "samples", "total", "squares", "nn", "yy", "ny")
    stacked = type(looks[0])(*(np.array([float(getattr(look, name)) for look in looks]) for name in fields))
    assert variance(stacked) == pytest.approx([float(variance(look)) for look in looks], rel=1e-12)
    assert design_effect(stacked) == pytest.approx([float(design_effect(look)) for look in looks], rel=1e-12)


@given(RATES)
def test_design_effect_is_that_of_intervals(units: list[list[float]]) -> None:
    """The design effect is the one that the fixed-horizon intervals divide by."""
    arm = arm_of(units)
    assert float(design_effect(sums_of(arm))) == pytest.approx(intervals.design_effect(arm), rel=1e-9)


@given(VALUES, VALUES)
def test_never_nan(ours: list[list[float]], theirs: list[list[float]]) -> None:
    """No values give NaN or a negative variance; a design effect is at least 1."""
    one, two = sums_of(arm_of(ours)), sums_of(arm_of(theirs))
    for found in (variance(one), pooled_variance(one, two), mean(one), effective_units(one)):
        assert not math.isnan(float(found))
    assert float(variance(one)) >= 0
    assert float(pooled_variance(one, two)) >= 0
    for effect in (design_effect(one), comparative_effect(one, two), absolute_effect(one, two)):
        assert 1 <= float(effect) < math.inf


def test_empty_and_single() -> None:
    """No unit or one has an unbounded variance and a finite design effect."""
    assert float(variance(sums_of(EMPTY))) == math.inf
    assert float(design_effect(sums_of(EMPTY))) == 1
    one = sums_of(arm_of([[1.0, 0.0, 1.0]]))
    assert float(variance(one)) == math.inf
    assert float(design_effect(one)) == 3
    assert float(pooled_variance(one, sums_of(EMPTY))) == math.inf


def test_no_spread() -> None:
    """Equal outcomes have a variance of exactly 0, and each is worth one."""
    arm = sums_of(arm_of([[1.0, 1.0]] * 30))
    assert float(variance(arm)) == 0
    assert float(design_effect(arm)) == 1


def test_cancellation() -> None:
    """A small spread about a large mean is found to the rounding of the sums, never negative."""
    values = RNG.normal(1e6, 2, 500)
    found = float(variance(sums_of(arm_of([[v] for v in values]))))
    assert found == pytest.approx(values.var(ddof=1) / 500, rel=0.01)
    assert float(spread_about(sums_of(arm_of([[1e9 + 1e-4], [1e9], [1e9 - 2]])), 1e9)) >= 4


def test_contradicting_sums() -> None:
    """Sums no units can have say nothing: an infinite variance."""
    assert float(variance(sums_of(ArmStats(units=9, samples=9, total=9, nn=9, yy=1, ny=9)))) == math.inf
    assert float(variance(sums_of(ArmStats(units=9, samples=9, total=9, nn=9, yy=1e308, ny=1e308)))) > 0


def test_kish() -> None:
    """One unit with nearly all the traffic is one effective unit."""
    assert float(effective_units(sums_of(arm_of([[1.0]] * 30)))) == 30
    assert float(effective_units(sums_of(arm_of([[1.0] * 10_000, *[[1.0]] * 9])))) == pytest.approx(1.0018, abs=1e-4)
    assert float(effective_units(sums_of(EMPTY))) == 0


def test_merged() -> None:
    """Both arms together are the arm of all units."""
    assert float(variance(merged(sums_of(arm_of(OURS)), sums_of(arm_of(THEIRS))))) == pytest.approx(
        float(variance(sums_of(arm_of(OURS + THEIRS)))), rel=1e-12
    )


def test_absolute_effect_takes_the_larger() -> None:
    """An arm whose few units happen to differ little is corrected by stable's design effect."""
    own, stable = arm_of([[1.0, 0.0]] * 30), arm_of([[1.0] * 4, [0.0] * 4] * 150)
    assert float(design_effect(sums_of(own))) == 1
    found = float(absolute_effect(sums_of(own), sums_of(stable)))
    assert found == pytest.approx(float(design_effect(sums_of(stable))), rel=1e-12)
    assert found > 3.9


def test_assumed_effect() -> None:
    """Below 200 units the effect is at least 3, but never more than that of outcomes alike within a unit."""
    assert float(absolute_effect(sums_of(arm_of([[1.0, 0.0, 1.0, 0.0]] * 199)), None)) == 3
    assert float(absolute_effect(sums_of(arm_of([[1.0, 0.0, 1.0, 0.0]] * 200)), None)) == 1
    assert float(absolute_effect(sums_of(arm_of([[1.0, 0.0]] * 30)), None)) == 2
    assert float(absolute_effect(sums_of(arm_of([[1.0]] * 30)), None)) == 1
    assert float(absolute_effect(sums_of(arm_of([[1.0, 0.0]] * 30)), None, assumed=1.5)) == 1.5


def test_comparative_effect() -> None:
    """Outcomes all alike within units of one size are worth one per unit, in a comparison too."""
    ours, theirs = arm_of([[1.0] * 5, [0.0] * 5] * 40), arm_of([[1.0] * 5, [0.0] * 5] * 400)
    assert float(comparative_effect(sums_of(ours), sums_of(theirs))) == pytest.approx(5, rel=0.02)
    singles = arm_of([[1.0], [0.0]] * 40)
    assert float(comparative_effect(sums_of(singles), sums_of(singles))) == 1


def test_comparative_effect_sees_a_heavy_unit() -> None:
    """One unit with most of the candidate's traffic makes its outcomes worth little."""
    heavy = arm_of([[1.0] * 50 + [0.0] * 50, *[[0.0]] * 30])
    stable = arm_of([[1.0] * 2 + [0.0] * 2] * 50 + [[0.0] * 4] * 50)
    assert float(comparative_effect(sums_of(heavy), sums_of(stable))) > 10
