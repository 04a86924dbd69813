"""Comparing two arms on rare events, valid however often one looks: in which arm does the next error fall?

M. Lindon & A. Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022 (arXiv 2011.03567);
M. Lindon, D. W. Sanden & V. Shirikian, "Rapid regression detection in software deployments through sequential
testing", KDD 2022 (arXiv 2205.14762). With a share c of the units and errors R times as frequent in the candidate,
an error is the candidate's with probability ``cR/(cR + 1 - c)``, whatever the traffic and the base rate do.

Count each unit's *first* error only: then the draws are independent under any correlation within a unit. It sees
how many users meet errors, not that failing users fail more often; an absolute gate beside it does.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
from scipy import optimize

from turnout.analysis.clusters import Sums, comparative_effect, sums_of
from turnout.analysis.evidence import EValue, Floats, Side, check_alpha, log_sum, silent
from turnout.analysis.intervals import Interval
from turnout.domain.stats import ArmStats

_FAIL_FACTORS = (1.5, 2.0, 3.0, 5.0, 10.0)
_FAIL_WEIGHTS = (1 / 7, 2 / 7, 2 / 7, 1 / 7, 1 / 7)
"""Errors two and three times as frequent are bet on twice as much as the rest: what they gain, a factor of 10/7, the
others lose as 5/7, which delays a ratio of 1.5 little and one of 10 by no whole error."""

_PASS_FACTORS = (1 / 1.25, 1 / 1.5, 1 / 2.0, 1 / 3.0, 1 / 5.0)
_WIDEST = 60.0
"""Rate ratios are sought between e^-60 and e^60."""


def log_components(candidate: Floats, stable: Floats, share: float, margin: float, side: Side) -> Floats:
    """The logarithms of the five likelihood ratios that are mixed, in a new last axis.

    Against a null rate ratio ``margin``, for the alternatives ``margin·f``, f in 1.5, 2, 3, 5, 10 (fail) or
    1/1.25, 1/1.5, 1/2, 1/3, 1/5 (pass), with x errors in the candidate of n in all and ``c_m`` the probability
    under the null: ``x ln f - n ln(1 + c_m (f - 1))``. Sums over stages of other shares are again evidence:
    add the components of the stages before `log_mixture`.

    Raises:
        ValueError: ``share`` is not between 0 and 1, or ``margin`` is not positive.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must be between 0 and 1 (without the ends) to compare two arms; got {share}")
    return _components(candidate, stable, np.asarray(share), margin, side)


def log_mixture(components: Floats, side: Side) -> Floats:
    """The logarithm of the weighted mean of the likelihood ratios in the last axis.

    For a pass all five weigh the same; for a fail 2 and 3 weigh 2/7 each, the others 1/7.
    """
    if side == "fail":
        return log_sum(components + np.log(_FAIL_WEIGHTS))
    return log_sum(components) - math.log(components.shape[-1])


def first_error_evidence(candidate: int, stable: int, share: float, side: Side, margin: float = 1.0) -> EValue:
    """The e-value that errors are more than ``margin`` times as frequent in the candidate (fail), or less (pass).

    ``candidate`` and ``stable`` are numbers of units with at least one error, ``share`` the candidate's share of
    the units, 0..1, constant over the counts. Exact under any correlation within a unit, provided that the
    randomisation really is ``share``: test the sample ratio first. Without a split nothing is said.

    Raises:
        ValueError: a count is negative or not finite, or ``margin`` is not positive.
    """
    _check(candidate, stable)
    if not 0 < share < 1:
        return silent("no_split")
    if candidate + stable == 0:
        return silent("no_data")
    parts = log_components(np.asarray(float(candidate)), np.asarray(float(stable)), share, margin, side)
    return EValue(float(log_mixture(parts, side)))


def exceedance_evidence(
    candidate: ArmStats, stable: ArmStats, side: Side, margin: float = 1.0, min_units: int = 20
) -> EValue:
    """The same for frequent events, of which every one counts: outcomes beyond a frozen quantile of stable.

    ``total`` of the statistics is the number of such outcomes. Counts are divided by the design effect of the
    comparison (Rao & Scott 1992) and the share is that of the outcomes at this look, so it is asymptotic.

    Raises:
        ValueError: ``margin`` is not positive.
    """
    if candidate.samples == 0 or stable.samples == 0 or candidate.total + stable.total <= 0:
        return silent("no_data")
    if min(candidate.units, stable.units) < min_units:
        return silent("few_units")
    return EValue(float(log_exceedance(sums_of(candidate), sums_of(stable), side, margin)))


def log_exceedance(candidate: Sums, stable: Sums, side: Side, margin: float = 1.0) -> Floats:
    """`exceedance_evidence` on arrays, 0 with an empty arm; all other conditions are the caller's."""
    effect = comparative_effect(candidate, stable)
    both = (candidate.samples > 0) & (stable.samples > 0)
    share = np.where(both, candidate.samples / np.maximum(candidate.samples + stable.samples, 1.0), 0.5)
    parts = _components(candidate.total / effect, stable.total / effect, share, margin, side)
    return np.where(both, log_mixture(parts, side), 0.0)


def ratio_interval(candidate: float, stable: float, share: float, alpha_fail: float, alpha_pass: float) -> Interval:
    """The interval of the rate ratio (candidate / stable) that agrees with both tests at every look and margin.

    It holds the margins that neither the fail test at ``alpha_fail`` nor the pass test at ``alpha_pass`` rejects.
    The estimate is the ratio of the counts over that of the shares; infinite with no error in stable, None
    without any error. Without a split it is unbounded. Counts divided by a design effect, with the share of the
    outcomes, give the interval of `exceedance_evidence`.

    Raises:
        ValueError: a count is negative or not finite, or an alpha is not between 0 and 1.
    """
    _check(candidate, stable)
    check_alpha(alpha_fail)
    check_alpha(alpha_pass)
    if not 0 < share < 1 or candidate + stable == 0:
        return Interval(None, 0.0, math.inf)
    estimate = candidate / stable * (1 - share) / share if stable else math.inf
    low = _edge(candidate, stable, share, "fail", alpha_fail)
    high = _edge(candidate, stable, share, "pass", alpha_pass)
    return Interval(estimate, min(low, estimate), max(high, estimate))


def _components(candidate: Floats, stable: Floats, share: Floats, margin: float, side: Side) -> Floats:
    if not (margin > 0 and math.isfinite(margin)):
        raise ValueError(f"margin is a ratio of rates and must be positive, such as 1.5; got {margin}")
    factors = np.asarray(_FAIL_FACTORS if side == "fail" else _PASS_FACTORS)
    null = share * margin / (share * margin + 1 - share)
    gain = np.log1p(null[..., np.newaxis] * (factors - 1))
    return np.asarray(candidate[..., np.newaxis] * np.log(factors) - (candidate + stable)[..., np.newaxis] * gain)


def _edge(candidate: float, stable: float, share: float, side: Side, alpha: float) -> float:
    """The margin at which the test just rejects; every component is monotone in it, so there is one."""
    counts = np.asarray(float(candidate)), np.asarray(float(stable))

    def excess(log_margin: float) -> float:
        parts = log_components(*counts, share, math.exp(log_margin), side)
        return float(log_mixture(parts, side)) + math.log(alpha)

    least, most = (-_WIDEST, _WIDEST) if side == "fail" else (_WIDEST, -_WIDEST)
    if excess(least) <= 0:
        return 0.0 if side == "fail" else math.inf
    if excess(most) > 0:
        return math.exp(most)
    return math.exp(cast(float, optimize.brentq(excess, least, most, xtol=1e-13)))


def _check(candidate: float, stable: float) -> None:
    if not (0 <= candidate < math.inf and 0 <= stable < math.inf):
        raise ValueError(f"counts of units with an error must not be negative; got {candidate} and {stable}")
