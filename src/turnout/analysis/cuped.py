"""Less noise from what was known before: CUPED, adjustment by a covariate from before the exposure.

A. Deng, Y. Xu, R. Kohavi & T. Walker, "Improving the sensitivity of online controlled experiments by utilizing
pre-experiment data", WSDM 2013: ``y - θ(x - x̄)`` with θ = cov(x, y)/var(x), which leaves 1 - ρ² of the variance.
The covariate must be strictly from before the exposure, one value a unit; give a unit without one the mean of the
others. One value y a unit: the mean of its outcomes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from turnout.analysis.abtest import Comparison, by_t


@dataclass(frozen=True, slots=True)
class Pairs:
    """Sums over the units of one arm: of the covariate x, the metric y, their squares and products. Additive.

    Subtract one fixed number from values that are large against their spread before they are summed: the sums
    are rounded.
    """

    units: int = 0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    yy: float = 0.0
    xy: float = 0.0


@dataclass(frozen=True, slots=True)
class Adjusted:
    """The adjusted comparison, the slope θ that was used, and the share of variance that is left, 0..1."""

    comparison: Comparison
    theta: float
    variance_left: float


def pairs_of(units: Iterable[tuple[float, float]]) -> Pairs:
    """The sums of ``(x, y)``, one pair a unit.

    Raises:
        ValueError: a value that is not finite.
    """
    pairs = list(units)
    if not all(math.isfinite(x) and math.isfinite(y) for x, y in pairs):
        raise ValueError("covariate and metric must be finite; leave such units out or give them a mean")
    return Pairs(
        len(pairs),
        math.fsum(x for x, _ in pairs),
        math.fsum(y for _, y in pairs),
        math.fsum(x * x for x, _ in pairs),
        math.fsum(y * y for _, y in pairs),
        math.fsum(x * y for x, y in pairs),
    )


def cuped(candidate: Pairs, stable: Pairs, confidence: float) -> Adjusted:
    """candidate - stable with the covariate's part taken out, by Welch's t.

    θ is that of the units about their own arm's means, both arms together. A covariate without spread adjusts
    nothing. Fewer than two units in an arm bound nothing.
    """
    if not candidate.units or not stable.units:
        return Adjusted(Comparison(None, -math.inf, math.inf, 0.0, 1.0, 0.0), 0.0, 1.0)
    ours, theirs = _Spread.of(candidate), _Spread.of(stable)
    xx, xy, yy = ours.xx + theirs.xx, ours.xy + theirs.xy, ours.yy + theirs.yy
    theta = xy / xx if xx > 0 else Fraction(0)
    raw = _gap(candidate.y, candidate.units, stable.y, stable.units)
    estimate = raw - theta * _gap(candidate.x, candidate.units, stable.x, stable.units)
    left = 1 - theta * xy / yy if yy > 0 else Fraction(1)
    return Adjusted(
        by_t(
            float(estimate),
            (ours.variance(theta, candidate.units), candidate.units - 1),
            (theirs.variance(theta, stable.units), stable.units - 1),
            confidence,
        ),
        float(theta),
        min(1.0, max(0.0, float(left))),
    )


@dataclass(frozen=True, slots=True)
class _Spread:
    """Sums of squares and products about the arm's means, exactly as the rounded sums give them."""

    xx: Fraction
    xy: Fraction
    yy: Fraction

    @classmethod
    def of(cls, sums: Pairs) -> _Spread:
        x, y, n = Fraction(sums.x), Fraction(sums.y), sums.units
        return cls(
            max(Fraction(0), Fraction(sums.xx) - x * x / n),
            Fraction(sums.xy) - x * y / n,
            max(Fraction(0), Fraction(sums.yy) - y * y / n),
        )

    def variance(self, theta: Fraction, units: int) -> float:
        """Of the adjusted mean; infinite below two units."""
        if units < 2:
            return math.inf
        return max(0.0, float((self.yy - 2 * theta * self.xy + theta * theta * self.xx) / (units * (units - 1))))


def _gap(one: float, units: int, two: float, others: int) -> Fraction:
    return Fraction(one) / units - Fraction(two) / others
