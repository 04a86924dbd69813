"""The mergeable histogram: quantiles within a percent, counts beyond an edge exactly."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.domain.histogram import ACCURACY, ZERO_BIN, Histogram, bin_of, upper_edge

positive = st.floats(min_value=1e-6, max_value=1e9)
samples = st.lists(positive, min_size=1, max_size=200)


def of(values: list[float]) -> Histogram:
    """The histogram of ``values``."""
    return Histogram(counts=Counter(bin_of(value) for value in values))


@given(positive)
def test_a_value_lies_in_its_bin(value: float) -> None:
    """Above the edge of the bin below, at or below its own (both to rounding)."""
    index = bin_of(value)
    assert upper_edge(index - 1) * (1 - 1e-12) < value <= upper_edge(index) * (1 + 1e-12)


@given(samples, st.floats(0.01, 1.0))
def test_a_quantile_is_within_a_percent(values: list[float], share: float) -> None:
    """The estimate is within 1 % of the value at that rank."""
    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    assert of(values).quantile(share) == pytest.approx(exact, rel=ACCURACY * 1.0001)


@given(samples, samples)
def test_merging_is_pooling(one: list[float], other: list[float]) -> None:
    """Two histograms together are the histogram of all values, in whatever order they are merged."""
    assert of(one).merged([of(other)]) == of(one + other) == of(other).merged([of(one)])


@given(samples, positive)
def test_counts_beyond_an_edge_are_exact(values: list[float], limit: float) -> None:
    """No value beyond the edge of a bin is missed, none at or below it counted."""
    index = bin_of(limit)
    assert of(values).above(index) == sum(bin_of(value) > index for value in values)
    assert of(values).total == len(values)


def test_zero_and_less_have_a_bin_of_their_own() -> None:
    """Values without a logarithm count as zero, below everything else."""
    histogram = of([0.0, -5.0, 1e-12, 10.0])
    assert histogram.counts[ZERO_BIN] == 3
    assert (histogram.quantile(0.5), upper_edge(ZERO_BIN)) == (0.0, 0.0)
    assert histogram.above(ZERO_BIN) == 1


def test_nothing_has_no_quantile() -> None:
    """An empty histogram does not invent a number."""
    assert Histogram().quantile(0.5) is None
    assert Histogram().total == 0
