"""Results that are right for one look, when the planned units are in."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.special import ndtr, stdtr, stdtrit

from turnout.analysis import abtest, intervals
from turnout.analysis.abtest import Comparison
from turnout.analysis.clusters import absolute_effect, sums_of
from turnout.analysis.cuped import Adjusted, Pairs, cuped
from turnout.analysis.evidence import Floats
from turnout.analysis.study.pairs import Pair, closed, divided, scaled, status_of
from turnout.analysis.study.question import Question
from turnout.analysis.study.result import Adjustment, Estimate, Ranks, Required
from turnout.analysis.study.sums import Arm

_OPEN = Comparison(None, -math.inf, math.inf, 0.0, 1.0, 0.0)


def comparison(pair: Pair, question: Question) -> tuple[Comparison, str, str]:
    """arm - control, the method's name, and a note on what limits it."""
    if pair.empty:
        return _OPEN, "none", "no data"
    few = "" if min(pair.arm.unit.size, pair.control.unit.size) > 1 else "one unit shows no spread"
    if pair.metric.kind == "mean":
        found = abtest.welch(pair.arm.stats, pair.control.stats, question.confidence, guarded=pair.guarded)
        spread = ", spread of both arms" if pair.guarded else ""
        return found, f"Welch's t between units{spread}", few or _no_spread(found)
    ours, theirs = _counts(pair)
    found = abtest.score(ours, theirs, question.confidence)
    if not pair.single:
        note = few or ("few events for an approximation" if abtest.sparse(ours, theirs) else "")
        return found, "Miettinen-Nurminen score" + divided(pair.effect), note
    if not abtest.sparse(ours, theirs):
        return found, "Miettinen-Nurminen score", few
    p_value = abtest.fisher((round(ours[0]), round(ours[1])), (round(theirs[0]), round(theirs[1])))
    exact = Comparison(found.estimate, found.low, found.high, found.statistic, p_value, found.freedom)
    return exact, "Fisher's exact test; interval by Miettinen-Nurminen", few


def estimate(found: Comparison, method: str, note: str) -> Estimate:
    """``found`` as a result."""
    nothing = found.estimate is None
    return Estimate(
        method=method,
        scale="difference",
        estimate=found.estimate,
        low=None if nothing else closed(found.low),
        high=None if nothing else closed(found.high),
        p_value=None if nothing else found.p_value,
        note=note,
    )


def ranks(pair: Pair) -> tuple[Ranks, float]:
    """Mann and Whitney's test on the units' means, and its p-value."""
    found = abtest.mann_whitney(pair.arm.means.tolist(), pair.control.means.tolist())
    return Ranks(superiority=found.superiority, shift=found.shift), found.p_value


def adjusted(pair: Pair, covariate: Floats, confidence: float) -> tuple[Comparison, Adjustment]:
    """The comparison of the units' means with the covariate's part taken out; ``covariate`` by unit, NaN for none.

    Units without one get the mean of the others (of both arms), so that they adjust nothing.
    """
    ours, theirs = _known(pair, covariate)
    found: Adjusted = cuped(_pairs(ours, pair.arm.means), _pairs(theirs, pair.control.means), confidence)
    without = sum(int(np.isnan(covariate[side.unit]).sum()) for side in (pair.arm, pair.control))
    return found.comparison, Adjustment(theta=found.theta, variance_left=found.variance_left, units_without=without)


def residual(pair: Pair, covariate: Floats) -> Pair:
    """The units' means with the covariate's part taken out, one value a unit; the slope is that of `adjusted`."""
    ours, theirs = _known(pair, covariate)
    theta = cuped(_pairs(ours, pair.arm.means), _pairs(theirs, pair.control.means), 0.95).theta
    return replace(pair, arm=_less(pair.arm, theta * ours), control=_less(pair.control, theta * theirs))


def _less(arm: Arm, part: Floats) -> Arm:
    left = arm.means - part
    return Arm(arm.unit, np.ones(left.size), left, float(left @ left), arm.centre)


def within_margin(pair: Pair, found: Comparison, margin: float, question: Question) -> Required:
    """Whether the arm is worse than the control by less than ``margin``, in the metric's unit."""
    if found.estimate is None:
        return _nothing()
    sign = pair.bad_sign
    if pair.metric.kind != "mean" and math.isinf(found.freedom):
        z = sign * abtest.score_statistic(*_counts(pair), sign * margin)
        return _required(float(ndtr(z)), float(ndtr(-z)), question)
    return _by_t(sign * found.estimate - margin, found, question)


def within_ratio(pair: Pair, ratio: float, question: Question) -> Required:
    """Whether the arm is at most ``ratio`` times as bad as the control: arm - factor · control by Welch's t."""
    if pair.empty:
        return _nothing()
    factor = ratio if pair.bad_sign > 0 else 1 / ratio
    ours, theirs = pair.arm.plain, scaled(pair.control.plain, factor)
    own = abtest.welch(ours, theirs, question.confidence)
    return _by_t(pair.bad_sign * (own.estimate or 0.0), own, question)


def against_limit(pair: Pair, question: Question) -> tuple[Estimate, Required]:
    """The arm's own level and the metric's limit; ``pair.control`` only lends its design effect."""
    metric, arm = pair.metric, pair.arm
    if not arm.unit.size or metric.limit is None:
        nothing = Estimate(
            method="none", scale="level", estimate=None, low=None, high=None, p_value=None, note="no data"
        )
        return nothing, _nothing()
    if metric.kind == "mean":
        return _mean_level(arm, metric.limit, pair.bad_sign, question)
    return _rate_level(pair, question)


def level_effect(pair: Pair) -> float:
    """The design effect by which the arm's counts are divided when it stands alone."""
    other = sums_of(pair.control.stats) if pair.control.unit.size else None
    return float(absolute_effect(sums_of(pair.arm.stats), other))


def _mean_level(arm: Arm, limit: float, sign: float, question: Question) -> tuple[Estimate, Required]:
    found = intervals.mean_interval(arm.stats, question.confidence)
    value = arm.value or 0.0
    as_level = Comparison(value, found.low + arm.centre, found.high + arm.centre, 0.0, 1.0, arm.unit.size - 1.0)
    required = _by_t(sign * (value - limit), as_level, question)
    return _level(as_level, "t between units", required), required


def _rate_level(pair: Pair, question: Question) -> tuple[Estimate, Required]:
    allowed, arm, effect = pair.metric.allowed or 0.0, pair.arm, level_effect(pair)
    bad, total = arm.stats.total / effect, arm.stats.samples / effect
    found = intervals.wilson(bad, total, question.confidence)
    z = (bad / total - allowed) / math.sqrt(allowed * (1 - allowed) / total)
    required = _required(float(ndtr(z)), float(ndtr(-z)), question)
    method = "Wilson score" + divided(effect)
    return _level(Comparison(bad / total, found.low, found.high, z, 1.0, math.inf), method, required), required


def _level(found: Comparison, method: str, required: Required) -> Estimate:
    p_value = min(1.0, 2 * min(required.p_met, required.p_broken))
    return estimate(found, method, "").model_copy(update={"scale": "level", "p_value": p_value})


def _by_t(excess: float, found: Comparison, question: Question) -> Required:
    """One-sided p-values of an excess over what is allowed, with the standard error that ``found`` was made with."""
    width = found.high - found.low
    if not math.isfinite(width):
        return Required(status="undecided", p_met=1.0, p_broken=1.0)
    if width == 0:
        return _required(0.5, 0.5, question) if excess == 0 else Required(status="undecided", p_met=1.0, p_broken=1.0)
    if math.isinf(found.freedom):
        raise ValueError("a z statistic has no t distribution")
    se = width / 2 / float(stdtrit(found.freedom, (1 + question.confidence) / 2))
    t = excess / se
    return _required(float(stdtr(found.freedom, t)), float(stdtr(found.freedom, -t)), question)


def _required(p_met: float, p_broken: float, question: Question) -> Required:
    return Required(status=status_of(p_met, p_broken, question.alpha), p_met=p_met, p_broken=p_broken)


def _nothing() -> Required:
    return Required(status="no_data", p_met=1.0, p_broken=1.0)


def _counts(pair: Pair) -> tuple[tuple[float, float], tuple[float, float]]:
    """Events and totals of both arms, in independent outcomes."""
    effect, ours, theirs = pair.effect, pair.arm.stats, pair.control.stats
    return (ours.total / effect, ours.samples / effect), (theirs.total / effect, theirs.samples / effect)


def _known(pair: Pair, covariate: Floats) -> tuple[Floats, Floats]:
    """Both arms' covariates about the mean of all that are known; 0 for a unit without one."""
    ours, theirs = covariate[pair.arm.unit], covariate[pair.control.unit]
    known = np.concatenate([x[~np.isnan(x)] for x in (ours, theirs)])
    usual = float(known.mean()) if known.size else 0.0
    return np.where(np.isnan(ours), 0.0, ours - usual), np.where(np.isnan(theirs), 0.0, theirs - usual)


def _pairs(x: Floats, y: Floats) -> Pairs:
    return Pairs(x.size, float(x.sum()), float(y.sum()), float(x @ x), float(y @ y), float(x @ y))


def _no_spread(found: Comparison) -> str:
    return "no spread in either arm" if found.high == found.low else ""
