"""What a sequential test has found so far: an e-value, and what keeps it from saying anything."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
"""Numbers of any shape; functions on them broadcast, so that one look and a million simulated ones are one code."""

Side = Literal["fail", "pass"]
"""Which claim is tested: that the candidate is beyond the limit (``fail``) or safely within it (``pass``)."""

Muted = Literal["no_data", "few_units", "no_spread", "no_split"]
"""Why a test says nothing: an empty arm, too few units, no spread to measure by, a share of 0 or 1."""


@dataclass(frozen=True, slots=True)
class EValue:
    """Evidence against a null hypothesis, valid at every look (Ramdas & al., "Game-theoretic statistics", 2023).

    ``log_e`` is the natural logarithm of the e-value: 0 says nothing, -inf is possible, NaN never. ``muted`` says
    why nothing can be said; ``log_e`` is 0 then.
    """

    log_e: float
    muted: Muted | None = None

    @property
    def p_value(self) -> float:
        """The anytime-valid p-value, min(1, 1/e)."""
        return math.exp(-max(0.0, self.log_e))

    def rejects(self, alpha: float) -> bool:
        """Whether the null is rejected at ``alpha``: e ≥ 1/alpha, by Ville's inequality."""
        return self.log_e >= -math.log(alpha)


def silent(muted: Muted) -> EValue:
    """The e-value of a test that cannot say anything yet."""
    return EValue(0.0, muted)


def log_sum(terms: Floats) -> Floats:
    """``ln Σ exp(terms)`` over the last axis, without overflow; -inf where every term is."""
    top = terms.max(axis=-1)
    shift = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore", over="ignore", under="ignore"):
        return np.asarray(shift + np.log(np.exp(terms - shift[..., np.newaxis]).sum(axis=-1)))


def check_alpha(alpha: float) -> None:
    """Refuse an error rate that is none.

    Raises:
        ValueError: ``alpha`` is not between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be between 0 and 1, such as 0.05; got {alpha}")


def check_counts(events: float, total: float) -> None:
    """Refuse counts that contradict each other (they may be fractional: counts divided by a design effect).

    Raises:
        ValueError: not 0 ≤ ``events`` ≤ ``total`` < ∞.
    """
    if not (0 <= events <= total and math.isfinite(total)):
        raise ValueError(f"events must be between 0 and total; got {events} of {total}")
