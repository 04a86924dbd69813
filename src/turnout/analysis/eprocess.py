"""Absolute gates on a rate, valid however often one looks: a truncated beta-binomial e-process.

H. Robbins, "Statistical methods related to the law of the iterated logarithm", Ann. Math. Stat. 41 (1970)
1397-1409; S. R. Howard, A. Ramdas, J. McAuliffe & J. Sekhon, "Time-uniform, nonparametric, nonasymptotic
confidence sequences", Ann. Stat. 49 (2021) 1055-1080, proposition 7 (beta-binomial mixture).

A latency gate "p95 ≤ 5000 ms" is a gate on a rate: at most 5 % of the values above 5000 ms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.special import betainc, betaincc, betaln, gammaln, xlogy

from turnout.analysis.evidence import EValue, Floats, Side, check_alpha, check_counts, silent
from turnout.analysis.intervals import Interval

_STRENGTH = 20.0
"""Weight of the prior in outcomes; near the best for both sides over rates of 1 % to 20 %."""

_EXTREME = 1e-9
"""Limits of 0 and 1 are moved by this much: one outcome on the bad side still decides."""

_SERIES_FROM = 16.0
_SMALLEST = -690.0


@dataclass(frozen=True, slots=True)
class Prior:
    """Beta(a, b) over the rate; `prior_of` a limit is the one gates use."""

    a: float
    b: float


@dataclass(frozen=True, slots=True)
class Decision:
    """After ``total`` outcomes: ``pass`` with at most ``pass_at_most`` bad ones, ``fail`` with at least
    ``fail_at_least``; None where no count decides."""

    total: int
    pass_at_most: int | None
    fail_at_least: int | None


def prior_of(limit: float) -> Prior:
    """Beta(20·limit, 20·(1 - limit))."""
    rate = _inside(limit)
    return Prior(_STRENGTH * rate, _STRENGTH * (1 - rate))


def log_evidence(bad: Floats, total: Floats, limit: float, side: Side, prior: Prior | None = None) -> Floats:
    """The logarithm of the e-value that the bad rate is above ``limit`` (fail) or below it (pass).

    ``∫ (q/p)^S ((1-q)/(1-p))^(n-S) dπ(q)`` over the prior π truncated to q > p (fail) or q < p (pass), which is
    ``ln B(a+S, b+n-S) - ln B(a, b) - S ln p - (n-S) ln(1-p) + ln T(a+S, b+n-S) - ln T(a, b)`` with T the
    regularised incomplete beta function at p, upper for fail and lower for pass. ``bad`` and ``total`` may be
    fractions (counts divided by a design effect). -inf where the truncated mass underflows; never NaN.
    """
    bad, good = np.asarray(bad, dtype=np.float64), np.asarray(total - bad, dtype=np.float64)
    return _log_mixture(bad, good, _inside(limit), prior or prior_of(limit), side)


def evidence(bad: float, total: float, limit: float, side: Side) -> EValue:
    """The e-value of ``bad`` outcomes of ``total`` against ``limit`` (0..1); see `log_evidence`.

    Raises:
        ValueError: the counts contradict each other.
    """
    check_counts(bad, total)
    if total == 0:
        return silent("no_data")
    return EValue(float(log_evidence(np.asarray(bad), np.asarray(total), limit, side)))


def anytime_interval(bad: float, total: float, limit: float, alpha_fail: float, alpha_pass: float) -> Interval:
    """The interval of the bad rate that agrees with both tests against ``limit`` at every look.

    It holds the rates that neither the fail test at ``alpha_fail`` (the lower end) nor the pass test at
    ``alpha_pass`` (the upper end) rejects, each with the prior of ``limit``: the lower end is at least the limit
    exactly when ``evidence(…, "fail")`` rejects. It covers the true rate at all looks together with probability
    1 - ``alpha_fail`` - ``alpha_pass``.

    Raises:
        ValueError: the counts contradict each other, or an alpha is not between 0 and 1.
    """
    check_counts(bad, total)
    check_alpha(alpha_fail)
    check_alpha(alpha_pass)
    if total == 0:
        return Interval(None, 0.0, 1.0)
    prior = prior_of(limit)
    low = _lower_end(bad, total, alpha_fail, prior)
    high = 1 - _lower_end(total - bad, total, alpha_pass, Prior(prior.b, prior.a))
    rate = bad / total
    return Interval(rate, min(low, rate), max(high, rate))


def decision_counts(totals: Sequence[int], limit: float, alpha_fail: float, alpha_pass: float) -> list[Decision]:
    """The counts of bad outcomes that decide after each of ``totals`` outcomes, to show before a stage starts.

    Raises:
        ValueError: an alpha is not between 0 and 1.
    """
    check_alpha(alpha_fail)
    check_alpha(alpha_pass)
    size = np.asarray(totals, dtype=np.float64)
    fails = _first(lambda bad: log_evidence(bad, size, limit, "fail") >= -math.log(alpha_fail), size)
    passes = _first(lambda good: log_evidence(size - good, size, limit, "pass") >= -math.log(alpha_pass), size)
    return [
        Decision(total, total - int(good) if good <= total else None, int(bad) if bad <= total else None)
        for total, bad, good in zip(totals, fails, passes, strict=True)
    ]


def _log_mixture(bad: Floats, good: Floats, rate: float, prior: Prior, side: Side) -> Floats:
    tail = betaincc if side == "fail" else betainc
    with np.errstate(divide="ignore", under="ignore"):
        after: Floats = np.log(tail(prior.a + bad, prior.b + good, rate))
        before = math.log(tail(prior.a, prior.b, rate))
    return np.where(bad + good > 0, _log_untruncated(bad, good, rate, prior) + after - before, 0.0)


def _log_untruncated(bad: Floats, good: Floats, rate: float, prior: Prior) -> Floats:
    """``ln B(a+S, b+n-S) - ln B(a, b) - S ln p - (n-S) ln(1-p)`` without differences of large numbers.

    C. Loader, "Fast and accurate computation of binomial probabilities" (2000): Stirling's formula turns the
    large terms into two deviances, which are not negative. With the logarithms of beta functions as they stand,
    a thousand million outcomes would lose six digits.
    """
    x, y = prior.a + bad, prior.b + good
    n = x + y
    deviance = _deviance(x, n * rate) + _deviance(y, n * (1 - rate))
    root = 0.5 * (math.log(2 * math.pi) + np.log(n) - np.log(x) - np.log(y))
    origin = prior.a * math.log(rate) + prior.b * math.log1p(-rate) - float(betaln(prior.a, prior.b))
    return deviance + root + _stirling(x) + _stirling(y) - _stirling(n) + origin


def _deviance(x: Floats, expected: Floats) -> Floats:
    """``x ln(x/m) + m - x`` for m = ``expected``, accurate where x is near m."""
    off = (x - expected) / expected
    near = expected * ((1 + off) * np.log1p(np.clip(off, -0.5, 0.5)) - off)
    return np.where(np.abs(off) < 0.1, near, xlogy(x, x / expected) + expected - x)


def _stirling(x: Floats) -> Floats:
    """``ln Γ(x) - ((x - 1/2) ln x - x + ln(2π)/2)``: the rest of Stirling's formula."""
    z = np.maximum(x, _SERIES_FROM)
    square = z * z
    series = (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / (1188 * square)) / square) / square) / square) / z
    small = np.minimum(x, _SERIES_FROM)
    exact: Floats = gammaln(small) - ((small - 0.5) * np.log(small) - small + 0.5 * math.log(2 * math.pi))
    return np.where(x < _SERIES_FROM, exact, series)


def _lower_end(bad: float, total: float, alpha: float, prior: Prior) -> float:
    """The largest rate below which every rate is rejected; the search is over its logarithm."""
    if bad == 0:
        return 0.0
    counts = np.asarray(bad), np.asarray(total - bad)

    def excess(log_rate: float) -> float:
        rate = math.exp(log_rate)
        return max(-1e6, min(1e6, float(_log_mixture(*counts, rate, prior, "fail")) + math.log(alpha)))

    highest = min(math.log(bad / total), -1e-12)
    if excess(highest) >= 0:
        return math.exp(highest)
    if excess(_SMALLEST) <= 0:
        return 0.0
    return math.exp(cast(float, optimize.brentq(excess, _SMALLEST, highest, xtol=1e-13)))


def _first(rejects: Callable[[Floats], NDArray[np.bool_]], size: Floats) -> Floats:
    """The smallest whole number up to each ``size`` at which ``rejects``, one more than ``size`` for none."""
    low, high = np.full(size.shape, -1.0), size + 1
    while np.any(high - low > 1):
        middle = np.floor((low + high) / 2)
        hit = rejects(np.clip(middle, 0, size))
        high = np.where(hit & (high - low > 1), middle, high)
        low = np.where(~hit & (high - low > 1), middle, low)
    return high


def _inside(limit: float) -> float:
    return min(max(limit, _EXTREME), 1 - _EXTREME)
