"""The which-arm e-process against its definition draw by draw, and its expectation."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from turnout.analysis.counting import (
    exceedance_evidence,
    first_error_evidence,
    log_components,
    log_mixture,
    ratio_interval,
)
from turnout.analysis.evidence import EValue
from turnout.testing.sources import arm_of

Side = Literal["fail", "pass"]
SIDES: tuple[Side, Side] = ("fail", "pass")
shares = st.sampled_from([0.001, 0.01, 0.05, 0.5, 0.99])
number = st.integers(0, 10**9)


@pytest.mark.parametrize(("side", "margin"), [("fail", 1.0), ("fail", 1.5), ("pass", 1.5), ("pass", 1.0)])
def test_draw_by_draw(side: Side, margin: float) -> None:
    """It is the weighted mean over rate ratios of the product of the likelihood ratios of the single errors."""
    factors = [1.5, 2, 3, 5, 10] if side == "fail" else [1 / 1.25, 1 / 1.5, 1 / 2, 1 / 3, 1 / 5]
    weights = np.array([1, 2, 2, 1, 1]) / 7 if side == "fail" else np.full(5, 0.2)
    share, draws = 0.05, [True, False, False, True, False, False, False, True]
    null = share * margin / (share * margin + 1 - share)
    values = []
    for factor in factors:
        theta = share * margin * factor / (share * margin * factor + 1 - share)
        values.append(math.prod(theta / null if ours else (1 - theta) / (1 - null) for ours in draws))
    found = first_error_evidence(sum(draws), len(draws) - sum(draws), share, side, margin)
    assert found.log_e == pytest.approx(math.log(weights @ np.array(values)), rel=1e-12)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("share", "margin"), [(0.05, 1.0), (0.5, 1.5), (0.01, 2.0)])
def test_fair_bet(share: float, margin: float, side: Side) -> None:
    """At the null rate ratio the expected e-value is exactly 1, and inside the null at most 1."""
    ours = np.arange(61.0)
    e = np.exp(log_mixture(log_components(ours, 60 - ours, share, margin, side), side))
    for ratio, most in ((margin, 1.0 + 1e-9), (margin * (0.8 if side == "fail" else 1.25), 1.0)):
        chance = share * ratio / (share * ratio + 1 - share)
        expected = float(stats.binom.pmf(ours, 60, chance) @ e)
        assert expected <= most
        if ratio == margin:
            assert expected == pytest.approx(1, rel=1e-9)


def test_stages_add_up() -> None:
    """Components of stages with other shares add: the e-process with the share at the time of each error."""
    first = log_components(np.asarray(3.0), np.asarray(40.0), 0.05, 1.0, "fail")
    second = log_components(np.asarray(9.0), np.asarray(9.0), 0.25, 1.0, "fail")
    drawn = [math.exp(float(part)) for part in first + second]
    assert float(log_mixture(first + second, "fail")) == pytest.approx(
        math.log(np.array([1, 2, 2, 1, 1]) / 7 @ np.array(drawn)), rel=1e-12
    )


@given(number, number, shares, st.sampled_from([0.5, 1.0, 1.5, 4.0]))
def test_never_nan(ours: int, theirs: int, share: float, margin: float) -> None:
    """No counts give NaN, and no counts decide both ways."""
    fail, passed = (first_error_evidence(ours, theirs, share, side, margin) for side in SIDES)
    assert not math.isnan(fail.log_e + 0 * passed.log_e)
    assert not (fail.rejects(0.5) and passed.rejects(0.5))


@given(st.integers(0, 500), st.integers(0, 500), shares)
def test_monotone(ours: int, theirs: int, share: float) -> None:
    """An error moved to the candidate strengthens failing and weakens passing."""
    for side, sign in (("fail", 1), ("pass", -1)):
        one = first_error_evidence(ours, theirs + 1, share, "fail" if side == "fail" else "pass").log_e
        two = first_error_evidence(ours + 1, theirs, share, "fail" if side == "fail" else "pass").log_e
        assert sign * (two - one) > 0


@given(st.integers(0, 2000), st.integers(0, 2000), shares, st.sampled_from([1.0, 1.5]))
def test_interval_agrees_with_tests(ours: int, theirs: int, share: float, margin: float) -> None:
    """An end of the interval of the rate ratio is beyond a margin exactly when the test of that margin rejects."""
    interval = ratio_interval(ours, theirs, share, 0.01, 0.05)
    fail = first_error_evidence(ours, theirs, share, "fail", margin)
    passed = first_error_evidence(ours, theirs, share, "pass", margin)
    assert fail.rejects(0.01) == (interval.low >= margin)
    assert passed.rejects(0.05) == (interval.high <= margin)
    if interval.estimate is not None:
        assert interval.low <= interval.estimate <= interval.high


def test_no_split() -> None:
    """With a share of 0 or 1 there is nothing to compare, and no error."""
    for share in (0.0, 1.0):
        assert first_error_evidence(9, 0, share, "fail") == EValue(0.0, "no_split")
        assert ratio_interval(9, 0, share, 0.01, 0.05).high == math.inf
    with pytest.raises(ValueError, match="share must be between 0 and 1"):
        log_components(np.asarray(1.0), np.asarray(1.0), 0.0, 1.0, "fail")


def test_no_errors() -> None:
    """Without any error nothing is said; without one in stable the ratio has no upper end."""
    assert first_error_evidence(0, 0, 0.05, "fail") == EValue(0.0, "no_data")
    assert ratio_interval(0, 0, 0.05, 0.01, 0.05).estimate is None
    assert ratio_interval(9, 0, 0.05, 0.01, 0.05).high == math.inf
    assert ratio_interval(0, 400, 0.05, 0.01, 0.05).low == 0


def test_refusals() -> None:
    """Negative counts and margins that are no ratio are refused."""
    with pytest.raises(ValueError, match="must not be negative"):
        first_error_evidence(-1, 3, 0.05, "fail")
    with pytest.raises(ValueError, match="margin is a ratio"):
        first_error_evidence(1, 3, 0.05, "fail", 0.0)


def test_exceedances_of_singles() -> None:
    """With one outcome a unit exceedances are counted as they are, at the share of the outcomes."""
    ours, theirs = arm_of([[1.0]] * 20 + [[0.0]] * 80), arm_of([[1.0]] * 95 + [[0.0]] * 1805)
    plain = first_error_evidence(20, 95, 100 / 2000, "fail")
    assert exceedance_evidence(ours, theirs, "fail").log_e == pytest.approx(plain.log_e, rel=1e-12)


def test_exceedances_of_clusters() -> None:
    """Outcomes all alike within units count once per unit."""
    ours, theirs = arm_of([[1.0] * 4] * 20 + [[0.0] * 4] * 80), arm_of([[1.0] * 4] * 95 + [[0.0] * 4] * 1805)
    once = first_error_evidence(20, 95, 0.05, "fail").log_e
    assert exceedance_evidence(ours, theirs, "fail").log_e == pytest.approx(once, rel=0.35)
    assert exceedance_evidence(ours, theirs, "fail").log_e < 0.4 * first_error_evidence(80, 380, 0.05, "fail").log_e


def test_exceedances_need_data() -> None:
    """An empty arm, no exceedance, or few units say nothing."""
    some, none = arm_of([[1.0], [0.0]] * 20), arm_of([[0.0]] * 40)
    assert exceedance_evidence(some, arm_of([]), "fail").muted == "no_data"
    assert exceedance_evidence(none, none, "pass").muted == "no_data"
    assert exceedance_evidence(arm_of([[1.0]] * 19), some, "fail") == EValue(0.0, "few_units")
    assert exceedance_evidence(some, some, "fail").muted is None
