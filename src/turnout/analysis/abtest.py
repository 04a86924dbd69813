"""A/B tests at a fixed horizon: analysed once, when the planned units are in. Looking earlier needs `spending`.

Rates here are counts of events; divide clustered counts by their design effect first (`clusters`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy import optimize
from scipy.special import chdtrc, chdtri, stdtr, stdtrit

from turnout.analysis.clusters import pooled_variance, sums_of, variance
from turnout.analysis.evidence import check_counts
from turnout.domain.stats import ArmStats

_MOST_PAIRS = 4_000_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """candidate - stable: the estimate, its interval, the statistic and the two-sided p-value.

    ``freedom`` are the degrees of freedom of a t statistic, infinite for a z. Without enough data the estimate is
    None or the interval infinite, and p is 1.
    """

    estimate: float | None
    low: float
    high: float
    statistic: float
    p_value: float
    freedom: float


@dataclass(frozen=True, slots=True)
class RankComparison:
    """``superiority``: the probability that a candidate's value is above a stable one, ties half (0.5 without data).

    ``shift`` is the Hodges–Lehmann estimate, the median of all differences; None above four million pairs or
    without data. ``p_value`` is two-sided.
    """

    superiority: float
    shift: float | None
    p_value: float


def welch(candidate: ArmStats, stable: ArmStats, confidence: float, *, guarded: bool = False) -> Comparison:
    """Two ratio means by Welch's t with standard errors between units (the delta method).

    With one outcome a unit this is Welch's test (Biometrika 34, 1947) itself; A. Deng, U. Knoblich & J. Lu (KDD
    2018) for ratio metrics. ``guarded`` takes the pooled standard error where it is larger: for rare events in an
    arm of under about 500 units, which alone underestimates its own. No spread in either arm and no difference is
    p = 1; no spread of its own but a difference goes by the pooled one.
    """
    if candidate.samples <= 0 or stable.samples <= 0:
        return _nothing(None)
    estimate = candidate.total / candidate.samples - stable.total / stable.samples
    ours, theirs = sums_of(candidate), sums_of(stable)
    one, two, pooled = float(variance(ours)), float(variance(theirs)), float(pooled_variance(ours, theirs))
    own = one + two
    if own == 0:
        one = two = pooled / 2
    elif guarded and own < pooled:
        one, two = one / own * pooled, two / own * pooled
    return by_t(estimate, (one, candidate.units - 1), (two, stable.units - 1), confidence)


def by_t(estimate: float, one: tuple[float, int], two: tuple[float, int], confidence: float) -> Comparison:
    """A difference by t, from the variance and the degrees of freedom of either side, with Satterthwaite's formula."""
    both = one[0] + two[0]
    if min(one[1], two[1]) < 1 or not math.isfinite(both) or (both == 0 and estimate != 0):
        return _nothing(estimate)
    if both == 0:
        return Comparison(0.0, 0.0, 0.0, 0.0, 1.0, float(one[1] + two[1]))
    share, rest = one[0] / both, two[0] / both
    freedom = 1 / (share * share / one[1] + rest * rest / two[1])
    t, half = estimate / math.sqrt(both), float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(both)
    return Comparison(estimate, estimate - half, estimate + half, t, 2 * float(stdtr(freedom, -abs(t))), freedom)


def score(candidate: tuple[float, float], stable: tuple[float, float], confidence: float) -> Comparison:
    """Two rates, each ``(events, total)``, by the score test and the interval it inverts to.

    O. S. Miettinen & M. Nurminen, "Comparative analysis of two rates", Statistics in Medicine 4 (1985) 213-226:
    the variance is that under each difference held against the data, times N/(N-1). Keeps its level at rates of
    0 and 1 and in small arms. ``p_value`` is that of no difference.

    Raises:
        ValueError: counts that contradict each other.
    """
    check_counts(*candidate)
    check_counts(*stable)
    if candidate[1] == 0 or stable[1] == 0:
        return _nothing(None)
    estimate = candidate[0] / candidate[1] - stable[0] / stable[1]
    squared = float(chdtri(1, 1 - confidence))
    low = _rate_end(candidate, stable, estimate, -1.0, squared)
    high = _rate_end(candidate, stable, estimate, 1.0, squared)
    z = score_statistic(candidate, stable, 0.0)
    return Comparison(estimate, low, high, z, float(chdtrc(1, z * z)), math.inf)


def score_statistic(candidate: tuple[float, float], stable: tuple[float, float], difference: float) -> float:
    """z of two rates against a true ``difference`` (a non-inferiority margin, or 0), after Miettinen & Nurminen."""
    (x, n), (y, m) = candidate, stable
    rate = _restricted_rate(candidate, stable, difference)
    ours = min(max(rate + difference, 0.0), 1.0)
    spread = (ours * (1 - ours) / n + rate * (1 - rate) / m) * (n + m) / max(n + m - 1, 1e-9)
    gap = x / n - y / m - difference
    if spread <= 0:
        return 0.0 if abs(gap) < 1e-12 else math.copysign(math.inf, gap)
    return gap / math.sqrt(spread)


def fisher(candidate: tuple[int, int], stable: tuple[int, int]) -> float:
    """The two-sided p-value of R. A. Fisher's exact test of two rates, each ``(events, total)`` of whole counts.

    Raises:
        ValueError: counts that contradict each other.
    """
    from scipy import stats as scipy_stats

    check_counts(*candidate)
    check_counts(*stable)
    table = [[candidate[0], candidate[1] - candidate[0]], [stable[0], stable[1] - stable[0]]]
    return min(1.0, float(cast(float, scipy_stats.fisher_exact(table)[1])))


def sparse(candidate: tuple[float, float], stable: tuple[float, float]) -> bool:
    """Whether an expected count is below 5, where `fisher` is to be preferred (W. G. Cochran, 1954)."""
    total = candidate[1] + stable[1]
    events = candidate[0] + stable[0]
    return total > 0 and min(candidate[1], stable[1]) * min(events, total - events) / total < 5


def mann_whitney(candidate: Sequence[float], stable: Sequence[float]) -> RankComparison:
    """Two samples of single values by ranks (H. B. Mann & D. R. Whitney, 1947), one value a unit.

    Exact without ties up to 8 values in an arm, with the normal approximation, ties and continuity corrected, above.
    Values that are not finite are left out.
    """
    from scipy import stats as scipy_stats

    ours, theirs = (np.asarray([value for value in arm if math.isfinite(value)]) for arm in (candidate, stable))
    if not ours.size or not theirs.size:
        return RankComparison(0.5, None, 1.0)
    shift = None
    if ours.size * theirs.size <= _MOST_PAIRS:
        shift = float(np.median(np.subtract.outer(ours, theirs)))
    if np.ptp(np.concatenate((ours, theirs))) == 0:
        return RankComparison(0.5, 0.0, 1.0)
    rank_sum, p_value = cast(tuple[float, float], scipy_stats.mannwhitneyu(ours, theirs))
    return RankComparison(float(rank_sum) / (ours.size * theirs.size), shift, float(p_value))


def _nothing(estimate: float | None) -> Comparison:
    return Comparison(estimate, -math.inf, math.inf, 0.0, 1.0, 0.0)


def _restricted_rate(candidate: tuple[float, float], stable: tuple[float, float], difference: float) -> float:
    """The maximum-likelihood rate of stable if the candidate's is ``difference`` higher.

    The root of a cubic, in the trigonometric form of Miettinen & Nurminen (1985), appendix I.
    """
    (x, n), (y, m) = candidate, stable
    square = ((n + 2 * m) * difference - n - m - x - y) / (3 * (n + m))
    linear = ((m * difference - n - m - 2 * y) * difference + x + y) / (n + m)
    constant = y * difference * (1 - difference) / (n + m)
    half = square**3 - square * linear / 2 + constant / 2
    root = math.copysign(math.sqrt(max(0.0, square * square - linear / 3)), half)
    angle = (math.pi + math.acos(min(1.0, max(-1.0, half / root**3)))) / 3 if root**3 else 0.0
    return min(max(2 * root * math.cos(angle) - square, 0.0, -difference), 1.0, 1 - difference)


def _rate_end(
    candidate: tuple[float, float], stable: tuple[float, float], estimate: float, end: float, squared: float
) -> float:
    def excess(difference: float) -> float:
        return min(abs(score_statistic(candidate, stable, difference)), 1e9) ** 2 - squared

    edge = end * (1 - 1e-12)
    if abs(estimate - edge) < 1e-11 or excess(edge) <= 0:
        return end
    return _root(excess, estimate, edge)


def _root(function: Callable[[float], float], one: float, two: float) -> float:
    return cast(float, optimize.brentq(function, one, two, xtol=1e-14))
