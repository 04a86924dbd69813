"""Confidence intervals of rates, means and differences, from sufficient statistics alone.

Outcomes of one user resemble each other, so every interval counts users, not outcomes: rates through the design
effect (Rao & Scott 1992), means through the variance between users (the delta method of a ratio). ``confidence``
is two-sided, 0 < confidence < 1. No function returns NaN: what the data cannot bound is unbounded.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from fractions import Fraction

from scipy.special import ndtri, stdtrit

from turnout.analysis.clusters import sums_of, unit_squares
from turnout.domain.stats import ArmStats


@dataclass(frozen=True, slots=True)
class Interval:
    """``estimate`` lies in ``low`` .. ``high``; None where there is nothing to estimate from. Ends may be infinite."""

    estimate: float | None
    low: float
    high: float


def wilson(events: float, total: float, confidence: float) -> Interval:
    """The score interval of a rate, ``events`` of ``total`` (any non-negative numbers, not only whole ones).

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927) 209-212:
    the roots of ``(p̂ - p)² = z² p(1 - p)/n``. The root nearer to the end comes from the product of both,
    ``p̂²/(1 + z²/n)``, so that neither is a difference of nearly equal numbers.

    Raises:
        ValueError: ``events`` is not between 0 and ``total``.
    """
    if not (0 <= events <= total and math.isfinite(total)):
        raise ValueError(f"events must be between 0 and total; got {events} of {total}")
    if total == 0:
        return Interval(None, 0.0, 1.0)
    z = _z(confidence)
    others = total - events
    rate, rest = events / total, others / total
    reach = z * z / 2 + z * math.sqrt(events * rest + z * z / 4)
    low = rate * (events / (events + reach))
    high = (events + reach) / (total + z * z) if rate < rest else 1 - rest * (others / (others + reach))
    return Interval(rate, low, min(high, 1.0))


def design_effect(stats: ArmStats) -> float:
    """How many outcomes are worth one independent outcome, at least 1.

    J. N. K. Rao & A. J. Scott, "A simple method for the analysis of clustered binary data", Biometrics 48 (1992)
    577-585: the variance of the ratio mean over users, ``G/(G-1) Σ(y_i - r n_i)²/N²``, over that of N independent
    outcomes, ``Σ(x - r)²/N²``. One outcome a user is 1 by definition. A single user is one observation, whatever
    the number of outcomes: ``Σn_i²/N``. Where all outcomes are equal nothing can be estimated, and it is 1.
    """
    if stats.samples <= 0 or stats.nn <= stats.samples:
        return 1.0
    if stats.units < 2:
        return stats.nn / stats.samples
    single = _float(Fraction(stats.squares) - Fraction(stats.total) ** 2 / stats.samples)
    if single <= 0:
        return 1.0
    effect = _residual(stats, _ratio(stats)) / single * stats.units / (stats.units - 1)
    return max(1.0, effect) if math.isfinite(effect) else stats.nn / stats.samples


def common_effect(own: ArmStats, other: ArmStats | None) -> float:
    """The larger `design_effect` of two arms of one metric.

    An arm of few users underestimates its own; the larger arm knows better. A single user of ``other`` says how
    many outcomes it sent, but nothing about how alike a user's outcomes are, and is not asked.
    """
    if other is None or other.units < 2:
        return design_effect(own)
    return max(design_effect(own), design_effect(other))


def rate_interval(own: ArmStats, other: ArmStats | None, confidence: float) -> Interval:
    """The Wilson interval of ``own``'s rate on its counts divided by the `common_effect` (Rao & Scott 1992)."""
    effect = common_effect(own, other)
    interval = wilson(own.total / effect, own.samples / effect, confidence)
    return interval if own.samples == 0 else replace(interval, estimate=own.total / own.samples)


def mean_interval(stats: ArmStats, confidence: float) -> Interval:
    """The t interval of the ratio mean Σy_i/Σn_i with its standard error between users, users - 1 degrees of freedom.

    W. G. Cochran, "Sampling Techniques" (1977) 6.4; A. Deng, U. Knoblich & J. Lu, "Applying the delta method in
    metric analytics" (KDD 2018): ``v = G/(G-1) Σ(y_i - r n_i)²/N²``. Fewer than two users bound nothing.
    """
    if stats.samples <= 0:
        return Interval(None, -math.inf, math.inf)
    mean = stats.total / stats.samples
    if stats.units < 2:
        return Interval(mean, -math.inf, math.inf)
    return _around(mean, _variance(stats), stats.units - 1, confidence)


def rate_difference(candidate: ArmStats, stable: ArmStats, confidence: float) -> Interval:
    """The interval of the difference of two rates, candidate - stable, on design-effect-corrected counts.

    R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in
    Medicine 17 (1998) 873-890, method 10: both Wilson intervals joined by squares.
    """
    one, two = rate_interval(candidate, stable, confidence), rate_interval(stable, candidate, confidence)
    if one.estimate is None or two.estimate is None:
        return Interval(None, -1.0, 1.0)
    difference = one.estimate - two.estimate
    below = math.hypot(one.estimate - one.low, two.high - two.estimate)
    above = math.hypot(one.high - one.estimate, two.estimate - two.low)
    return Interval(difference, max(-1.0, difference - below), min(1.0, difference + above))


def mean_difference(candidate: ArmStats, stable: ArmStats, confidence: float) -> Interval:
    """The interval of the difference of two ratio means, candidate - stable.

    B. L. Welch, "The generalization of 'Student's' problem", Biometrika 34 (1947) 28-35, with the standard errors
    between users of both arms and Satterthwaite's degrees of freedom. The standard error is never below that of
    the pooled arms, ``Σ(y_i - r n_i)²/Σn_i² · (Σ_c n_i²/N_c² + Σ_s n_i²/N_s²)`` over all users with the common
    mean r and Σn_i² of single users (`clusters.unit_squares`): a few users of a small arm who happen to agree would
    otherwise prove anything.
    """
    if candidate.samples <= 0 or stable.samples <= 0:
        return Interval(None, -math.inf, math.inf)
    difference = candidate.total / candidate.samples - stable.total / stable.samples
    if candidate.units < 2 or stable.units < 2:
        return Interval(difference, -math.inf, math.inf)
    one, two = _variance(candidate), _variance(stable)
    pooled = _pooled_variance(candidate, stable)
    freedom = _welch_freedom(one, candidate.units - 1, two, stable.units - 1)
    return _around(difference, max(one + two, pooled), freedom, confidence)


def _z(confidence: float) -> float:
    return float(ndtri((1 + confidence) / 2))


def _around(estimate: float, variance: float, freedom: float, confidence: float) -> Interval:
    if not math.isfinite(variance):
        return Interval(estimate, -math.inf, math.inf)
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(variance)
    return Interval(estimate, estimate - half, estimate + half)


def _ratio(stats: ArmStats) -> Fraction:
    return Fraction(stats.total) / stats.samples


def _variance(stats: ArmStats) -> float:
    residual = _residual(stats, _ratio(stats))
    return residual / stats.samples / stats.samples * stats.units / (stats.units - 1)


def _pooled_variance(one: ArmStats, two: ArmStats) -> float:
    both = ArmStats(
        units=one.units + two.units,
        samples=one.samples + two.samples,
        total=one.total + two.total,
        squares=one.squares + two.squares,
        nn=one.nn + two.nn,
        yy=one.yy + two.yy,
        ny=one.ny + two.ny,
    )
    ours, theirs = float(unit_squares(sums_of(one))), float(unit_squares(sums_of(two)))
    if ours + theirs <= 0:
        return math.inf
    weight = ours / one.samples**2 + theirs / two.samples**2
    return _residual(both, _ratio(both)) / (ours + theirs) * weight


def _welch_freedom(one: float, freedom_one: int, two: float, freedom_two: int) -> float:
    largest = max(one, two)
    if largest == 0 or not math.isfinite(largest):
        return freedom_one + freedom_two
    one, two = one / largest, two / largest
    return (one + two) ** 2 / (one**2 / freedom_one + two**2 / freedom_two)


def _residual(stats: ArmStats, ratio: Fraction) -> float:
    """Σ(y_i - r n_i)², at least what rounding may have hidden.

    The three terms nearly cancel when the mean is large against the spread, so they are combined exactly; the
    sums themselves were rounded, and no variance below that rounding is believed. Sums that contradict each
    other say nothing, which is an infinite variance.
    """
    terms = (Fraction(stats.yy), 2 * ratio * Fraction(stats.ny), ratio**2 * Fraction(stats.nn))
    residual = _float(terms[0] - terms[1] + terms[2])
    if residual == 0:
        return 0.0
    magnitude = _float(abs(terms[0]) + abs(terms[1]) + abs(terms[2]))
    hidden = magnitude * sys.float_info.epsilon * (4 + math.sqrt(stats.units))
    return max(residual, hidden) if residual >= -hidden else math.inf


def _float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
