"""The sample-ratio test against its definition as a sequence of predictions."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.analysis.evidence import EValue
from turnout.analysis.srm import MISMATCH_ALPHA, log_evidence, mismatch


def test_sequence_of_predictions() -> None:
    """The Bayes factor is the product of Pólya-urn predictions over the intended shares."""
    shares, k = [0.2, 0.3, 0.5], 1000.0
    seen, log_e = [0, 0, 0], 0.0
    for arm in [0, 2, 2, 1, 0, 0, 0, 1, 2, 0] * 7:
        log_e += math.log((k * shares[arm] + seen[arm]) / (k + sum(seen)) / shares[arm])
        seen[arm] += 1
    assert mismatch(seen, shares).log_e == pytest.approx(log_e, rel=1e-9)


def test_fair_bet() -> None:
    """Under the intended shares the expected e-value is exactly 1."""
    shares = np.array([0.1, 0.9])
    total = sum(
        math.prod(shares[arm] for arm in draw)
        * math.exp(float(log_evidence(np.array([draw.count(0), draw.count(1)], float), shares, 5.0)))
        for draw in product((0, 1), repeat=10)
    )
    assert total == pytest.approx(1, rel=1e-9)


def test_a_mismatch_is_found() -> None:
    """A canary of 3 % instead of 5 % is found, one of 5 % is not, and neither is the scale of the shares asked."""
    assert mismatch([300, 9_700], [5, 95]).rejects(MISMATCH_ALPHA)
    assert not mismatch([500, 9_500], [5, 95]).rejects(0.5)
    assert mismatch([300, 9_700], [0.05, 0.95]).log_e == pytest.approx(mismatch([300, 9_700], [5, 95]).log_e, rel=1e-9)


def test_stages_add_up() -> None:
    """Several looks at once are an array of counts."""
    found = log_evidence(np.array([[5.0, 95.0], [9.0, 91.0]]), np.array([0.05, 0.95]))
    assert found == pytest.approx([mismatch([5, 95], [5, 95]).log_e, mismatch([9, 91], [5, 95]).log_e], rel=1e-9)


def test_nothing_to_test() -> None:
    """No unit, one arm, or an unused arm without a share prove nothing; units in such an arm prove everything."""
    assert mismatch([0, 0], [5, 95]) == EValue(0.0, "no_data")
    assert mismatch([7], [1]) == EValue(0.0, "no_split")
    assert mismatch([0, 7], [0, 1]) == EValue(0.0, "no_split")
    assert mismatch([1, 7], [0, 1]).log_e == math.inf


@pytest.mark.parametrize(("counts", "shares"), [([1], [1, 1]), ([-1, 2], [1, 1]), ([1, 2], [0, 0]), ([1, 2], [1, -1])])
def test_refusals(counts: list[int], shares: list[float]) -> None:
    """Counts and shares that do not belong together are refused."""
    with pytest.raises(ValueError, match="must"):
        mismatch(counts, shares)


@given(st.lists(st.tuples(st.integers(0, 10**9), st.floats(1e-6, 1)), min_size=1, max_size=6))
def test_never_nan(arms: list[tuple[int, float]]) -> None:
    """No counts give NaN."""
    assert not math.isnan(mismatch([count for count, _ in arms], [share for _, share in arms]).log_e)
