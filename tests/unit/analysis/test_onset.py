"""The mixture over start minutes against the recurrence that defines it."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from turnout.analysis.counting import first_error_evidence, log_components
from turnout.analysis.eprocess import evidence, log_evidence
from turnout.analysis.evidence import EValue
from turnout.analysis.onset import (
    first_error_onset,
    log_grid_evidence,
    log_onset,
    rate_onset,
    since_each,
    start_weights,
)

Side = Literal["fail", "pass"]
SIDES: tuple[Side, Side] = ("fail", "pass")
RNG = np.random.default_rng(5)


def test_the_recurrence() -> None:
    """It is S_j ← (S_j + w_k)·L_j minute by minute, the mean over j, and the weight not yet released."""
    ours, theirs = RNG.poisson(0.8, 50).astype(float), RNG.poisson(9.0, 50).astype(float)
    planned = 60
    weights = np.full(50, 0.25 / planned)
    weights[0] += 0.75
    running = np.zeros(5)
    for minute in range(50):
        gains = np.exp(log_components(ours[minute], theirs[minute], 0.05, 1.0, "fail"))
        running = (running + weights[minute]) * gains
    expected = float(running @ np.array([1, 2, 2, 1, 1])) / 7 + 1 - float(weights.sum())
    found = first_error_onset(ours, theirs, 0.05, "fail", planned)
    assert found.log_e == pytest.approx(math.log(expected), rel=1e-9)


@given(st.integers(0, 300), st.integers(1, 300), st.floats(0, 1))
def test_weights(minutes: int, planned: int, lead: float) -> None:
    """Weights are not negative and sum to 1 at any look; past the planned length nothing is left."""
    weights = start_weights(minutes, planned, lead)
    assert float(weights.min()) >= 0
    assert float(weights.sum()) == pytest.approx(1, rel=1e-12)
    if minutes >= planned:
        assert weights[-1] == 0


def test_since_each() -> None:
    """Sums run from each minute to the end, in every row."""
    assert since_each(np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 4.0]])).tolist() == [[6, 5, 3], [4, 4, 4]]


def test_trouble_from_the_start_costs_little() -> None:
    """Trouble from the first minute is found with at least three quarters of the cumulative e-value."""
    ours, theirs = [2.0] * 30, [9.0] * 30
    whole = first_error_evidence(60, 270, 0.05, "fail").log_e
    assert first_error_onset(ours, theirs, 0.05, "fail", 240).log_e >= whole - math.log(4 / 3)
    bad, total = [5.0] * 30, [50.0] * 30
    assert rate_onset(bad, total, 0.05, "fail", 240).log_e >= evidence(150, 1500, 0.05, "fail").log_e - math.log(4 / 3)


def test_late_trouble() -> None:
    """Trouble after a good past is found where the cumulative tests find nothing."""
    ours, theirs = [0.5] * 300 + [2.0] * 20, [9.5] * 320
    assert first_error_onset(ours, theirs, 0.05, "fail", 480).rejects(0.001)
    assert not first_error_evidence(190, 3040, 0.05, "fail").rejects(0.01)
    bad, total = [1.0] * 300 + [6.0] * 20, [50.0] * 320
    assert rate_onset(bad, total, 0.05, "fail", 480).rejects(0.001)
    assert not evidence(420, 16000, 0.05, "fail").rejects(0.5)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("limit", [0.01, 0.05, 0.5])
def test_grid_is_a_fair_bet(limit: float, side: Side) -> None:
    """The prior on 32 rates gives an expected e-value of exactly 1 at the limit, and less inside it."""
    bad = np.arange(201.0)
    log_e = log_grid_evidence(bad, np.full(201, 200.0), limit, side)
    assert float(special.logsumexp(stats.binom.logpmf(bad, 200, limit) + log_e)) == pytest.approx(0, abs=1e-9)
    inside = limit * (0.9 if side == "fail" else 1.05)
    assert float(special.logsumexp(stats.binom.logpmf(bad, 200, inside) + log_e)) < 0


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("total", [50.0, 1000.0, 1e6])
@pytest.mark.parametrize("limit", [0.001, 0.05, 0.5])
def test_grid_is_close(limit: float, total: float, side: Side) -> None:
    """Evidence by the grid is within 2 % or 0.3 of the integral's logarithm where it matters."""
    for factor in (0.5, 0.8, 1.2, 1.5):
        bad = np.asarray(round(total * limit * factor))
        exact = float(log_evidence(bad, np.asarray(total), limit, side))
        if exact > 1:
            found = float(log_grid_evidence(bad, np.asarray(total), limit, side))
            assert found == pytest.approx(exact, rel=0.02, abs=0.3)


def test_false_alarms() -> None:
    """Over 400 stages of 100 minutes at the limit, watched every minute, no more than 5 % alarm at 0.05."""
    rng = np.random.default_rng(11)
    bad = rng.binomial(50, 0.05, (400, 100)).astype(float)
    alarmed = np.zeros(400, dtype=bool)
    for minute in range(1, 101):
        since, total = since_each(bad[:, :minute]), since_each(np.full((1, minute), 50.0))
        alarmed |= log_onset(log_grid_evidence(since, total, 0.05, "fail"), 100) >= math.log(20)
    assert float(alarmed.mean()) <= 0.05


def test_nothing_yet() -> None:
    """No minute, or minutes without anything, say nothing; neither does a share of 0 or 1."""
    assert rate_onset([], [], 0.05, "fail", 60) == EValue(0.0, "no_data")
    assert rate_onset([0, 0], [0, 0], 0.05, "fail", 60) == EValue(0.0, "no_data")
    assert first_error_onset([], [], 0.05, "fail", 60) == EValue(0.0, "no_data")
    assert first_error_onset([1], [0], 1.0, "fail", 60) == EValue(0.0, "no_split")


def test_longer_than_planned() -> None:
    """A stage that lasts longer than planned goes on with the starts it has."""
    found = rate_onset([6.0] * 90, [50.0] * 90, 0.05, "fail", 60)
    assert found.rejects(0.001)


def test_refusals() -> None:
    """Minutes that do not match, impossible counts and no planned length are refused."""
    with pytest.raises(ValueError, match="one number a minute"):
        rate_onset([1.0], [1.0, 2.0], 0.05, "fail", 60)
    with pytest.raises(ValueError, match="more bad outcomes"):
        rate_onset([2.0], [1.0], 0.05, "fail", 60)
    with pytest.raises(ValueError, match="finite and not negative"):
        first_error_onset([math.nan], [1.0], 0.05, "fail", 60)
    with pytest.raises(ValueError, match="planned must be"):
        rate_onset([1.0], [2.0], 0.05, "fail", 0)


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=30),
    st.sampled_from([0.0, 1e-6, 0.05, 0.999, 1.0]),
    st.sampled_from(SIDES),
)
def test_never_nan(minutes: list[tuple[int, int]], limit: float, side: Side) -> None:
    """No counts at any limit give NaN."""
    bad, good = [float(one) for one, _ in minutes], [float(two) for _, two in minutes]
    total = [one + two for one, two in zip(bad, good, strict=True)]
    assert not math.isnan(rate_onset(bad, total, limit, side, 20).log_e)
    assert not math.isnan(first_error_onset(bad, good, 0.05, side, 20).log_e)
