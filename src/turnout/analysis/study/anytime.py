"""Results that are right however often one looks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from turnout.analysis import confseq, counting, eprocess
from turnout.analysis.confseq import ConfidenceSequence, anytime_p
from turnout.analysis.evidence import EValue, Side
from turnout.analysis.intervals import Interval
from turnout.analysis.study.fixed import level_effect
from turnout.analysis.study.pairs import Pair, closed, divided, scaled, status_of
from turnout.analysis.study.question import Question
from turnout.analysis.study.result import Estimate, Required
from turnout.domain.stats import ArmStats

_RARE = 0.2
"""Up to this share of units with an event, counting a unit's first one loses little."""

_SINGLE_TUNED_FOR = 250.0
_WHY = {
    "no_data": "no data",
    "few_units": "needs 20 units in each arm",
    "no_spread": "no spread to measure by",
    "no_split": "no split",
}


def compared(pair: Pair, question: Question) -> Estimate:
    """arm against control: means by a confidence sequence, rare events by counting in which arm they fall.

    Frequent events of a rate are compared as means of 0 and 1; exceedances of a quantile by counting all.
    """
    if pair.metric.kind == "mean":
        return _sequence(pair, question)
    if pair.metric.kind == "quantile":
        return _exceedances(pair, question)
    counted = _first_events(pair)
    return _sequence(pair, question) if counted is None else _first(pair, counted, question)


def within_margin(pair: Pair, margin: float, question: Question) -> Required:
    """Whether the arm is worse than the control by less than ``margin``: the confidence sequence against it."""
    found = _difference(pair, pair.control.stats, pair.arm.stats, question)
    return _beyond(found, pair.bad_sign * (found.estimate or 0.0) - margin, pair, question)


def within_ratio(pair: Pair, ratio: float, question: Question) -> Required:
    """Whether the arm is at most ``ratio`` times as bad as the control.

    Rare bad events and exceedances by counting with that rate ratio as the null, else arm - factor · control.
    """
    if pair.metric.kind == "quantile":
        return _by_evidence(
            lambda side: counting.exceedance_evidence(pair.arm.stats, pair.control.stats, side, ratio), question
        )
    if pair.metric.kind == "rate" and pair.bad_sign > 0 and _first_events(pair) == "events":
        ours, theirs = pair.arm.stats.hits, pair.control.stats.hits
        return _by_evidence(lambda side: counting.first_error_evidence(ours, theirs, pair.share, side, ratio), question)
    factor = ratio if pair.bad_sign > 0 else 1 / ratio
    found = _difference(pair, scaled(pair.control.plain, factor), pair.arm.plain, question)
    return _beyond(found, pair.bad_sign * (found.estimate or 0.0), pair, question)


def against_limit(pair: Pair, question: Question) -> tuple[Estimate, Required]:
    """The arm's own level and the metric's limit."""
    metric, arm, half = pair.metric, pair.arm, question.alpha / 2
    if not arm.unit.size or metric.limit is None:
        return _none("level", "no data"), Required(status="no_data", p_met=1.0, p_broken=1.0)
    if metric.kind == "mean":
        threshold = metric.limit - arm.centre
        found = confseq.level(arm.stats, threshold, half, half, _tuned(pair), offset=arm.centre)
        excess = pair.bad_sign * ((found.estimate or 0.0) - threshold)
        required = _beyond(found, excess, pair, question)
        bounds = Interval(arm.value, found.low + arm.centre, found.high + arm.centre)
        told = _level("asymptotic confidence sequence", bounds, required)
        return told.model_copy(update={"note": _WHY.get(found.muted or "", "")}), required
    allowed, effect = metric.allowed or 0.0, level_effect(pair)
    bad, total = arm.stats.total / effect, arm.stats.samples / effect
    required = _by_evidence(lambda side: eprocess.evidence(bad, total, allowed, side), question)
    bounds = eprocess.anytime_interval(bad, total, allowed, half, half)
    method = "beta-binomial e-process" + divided(effect)
    return _level(method, bounds, required), required


def _sequence(pair: Pair, question: Question) -> Estimate:
    if pair.empty:
        return _none("difference", "no data")
    found = _difference(pair, pair.control.stats, pair.arm.stats, question)
    z = abs(found.estimate or 0.0) / found.se if found.se > 0 else 0.0
    p = 1.0 if found.muted else min(1.0, 2 * anytime_p(z, found.effective_units, question.alpha / 2, _tuned(pair)))
    return Estimate(
        method="asymptotic confidence sequence",
        scale="difference",
        estimate=found.estimate,
        low=closed(found.low),
        high=closed(found.high),
        p_value=p,
        note=_WHY.get(found.muted or "", ""),
    )


def _first_events(pair: Pair) -> Literal["events", "non_events"] | None:
    """Which outcomes are rare enough to count units by their first one: ``events``, ``non_events`` or None."""
    units = pair.arm.unit.size + pair.control.unit.size
    if pair.arm.stats.hits + pair.control.stats.hits <= _RARE * units:
        return "events"
    return "non_events" if pair.arm.missed + pair.control.missed <= _RARE * units else None


def _first(pair: Pair, counted: Literal["events", "non_events"], question: Question) -> Estimate:
    if pair.empty:
        return _none("ratio", "no data")
    if counted == "events":
        ours, theirs = pair.arm.stats.hits, pair.control.stats.hits
    else:
        ours, theirs = pair.arm.missed, pair.control.missed
    sides = [counting.first_error_evidence(ours, theirs, pair.share, side) for side in ("fail", "pass")]
    bounds = counting.ratio_interval(ours, theirs, pair.share, question.alpha / 2, question.alpha / 2)
    note = "no event in either arm" if ours + theirs == 0 else ""
    found = _ratio("units by first event, e-process", bounds.estimate, bounds.low, bounds.high, _two_sided(*sides))
    return found.model_copy(update={"counted": counted, "note": note})


def _exceedances(pair: Pair, question: Question) -> Estimate:
    if pair.empty:
        return _none("ratio", "no data")
    ours, theirs = pair.arm.stats, pair.control.stats
    sides = [counting.exceedance_evidence(ours, theirs, side) for side in ("fail", "pass")]
    method = "exceedances, e-process" + divided(pair.effect)
    if sides[0].muted:
        rate = ours.total / ours.samples / (theirs.total / theirs.samples) if theirs.total else None
        return _ratio(method, rate, 0.0, math.inf, 1.0).model_copy(update={"note": _WHY[sides[0].muted]})
    share, half = ours.samples / (ours.samples + theirs.samples), question.alpha / 2
    bounds = counting.ratio_interval(ours.total / pair.effect, theirs.total / pair.effect, share, half, half)
    return _ratio(method, bounds.estimate, bounds.low, bounds.high, _two_sided(*sides))


def _difference(pair: Pair, control: ArmStats, arm: ArmStats, question: Question) -> ConfidenceSequence:
    half = question.alpha / 2
    return confseq.difference(arm, control, half, half, _tuned(pair))


def _tuned(pair: Pair) -> float:
    return _SINGLE_TUNED_FOR if pair.single else confseq.TUNED_FOR


def _beyond(found: ConfidenceSequence, excess: float, pair: Pair, question: Question) -> Required:
    """Whether a bad ``excess`` over what is allowed, with the sequence's standard error, is above or below 0."""
    if found.estimate is None:
        return Required(status="no_data", p_met=1.0, p_broken=1.0)
    if found.muted or found.se <= 0:
        return Required(status="undecided", p_met=1.0, p_broken=1.0)
    met, broken = (
        anytime_p(side * excess / found.se, found.effective_units, question.alpha / 2, _tuned(pair)) for side in (-1, 1)
    )
    return Required(status=status_of(met, broken, question.alpha), p_met=met, p_broken=broken)


def _by_evidence(evidence: Callable[[Side], EValue], question: Question) -> Required:
    fail, good = evidence("fail"), evidence("pass")
    if fail.muted == "no_data":
        return Required(status="no_data", p_met=1.0, p_broken=1.0)
    met, broken = good.p_value, fail.p_value
    return Required(status=status_of(met, broken, question.alpha), p_met=met, p_broken=broken)


def _two_sided(fail: EValue, good: EValue) -> float:
    return min(1.0, 2 * min(fail.p_value, good.p_value))


def _ratio(method: str, estimate: float | None, low: float, high: float, p_value: float) -> Estimate:
    value = None if estimate is None else closed(estimate)
    return Estimate(method=method, scale="ratio", estimate=value, low=low, high=closed(high), p_value=p_value)


def _level(method: str, bounds: Interval, required: Required) -> Estimate:
    return Estimate(
        method=method,
        scale="level",
        estimate=bounds.estimate,
        low=closed(bounds.low),
        high=closed(bounds.high),
        p_value=min(1.0, 2 * min(required.p_met, required.p_broken)),
    )


def _none(scale: Literal["difference", "ratio", "level"], note: str) -> Estimate:
    return Estimate(method="none", scale=scale, estimate=None, low=None, high=None, p_value=None, note=note)
