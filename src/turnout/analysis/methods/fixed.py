"""Plain confidence intervals, right for one look at a time that was fixed beforehand."""

from __future__ import annotations

import math
from dataclasses import replace

from turnout.analysis import intervals, wording
from turnout.analysis.clusters import effective_units, sums_of
from turnout.analysis.intervals import Interval
from turnout.analysis.methods import arms, ratios
from turnout.analysis.methods.counted import fault
from turnout.analysis.methods.finding import Finding, Limit, enough, higher_is_better, limit_of, unheard
from turnout.analysis.policy import allowance
from turnout.analysis.projection import lacking
from turnout.domain.plan import Gate
from turnout.domain.readings import ArmReading, FractionReading
from turnout.domain.stats import ArmStats
from turnout.domain.verdicts import Check, Verdict

METHOD = "interval for one look"


def judged(gate: Gate, reading: ArmReading) -> Finding:
    """Hold the candidate's rate or mean, or its difference to stable, against the gate's limit."""
    found = _absolute(gate, reading) if gate.versus is None else _versus(gate, reading)
    own = reading.candidate
    effect = intervals.common_effect(own, reading.stable if reading.stable.units else None) if reading.rate else None
    worth = float(effective_units(sums_of(own))) if own.samples else None
    return replace(found, samples=own.samples, units=own.units, design_effect=effect, effective_units=worth)


def fraction(gate: Gate, reading: FractionReading, before: Check | None) -> Finding:
    """Hold counts of an aggregating source against the gate's limit, each as one independent outcome."""
    wrong = fault(gate, reading, before)
    if wrong is not None:
        return replace(wrong, method=METHOD)
    events, total, limit = reading.events, reading.total, limit_of(gate)
    if total == 0:
        text = f"the source has counted nothing for {gate.metric} yet"
        return Finding(Verdict.NO_DATA, text, METHOD, threshold=limit.threshold)
    interval = intervals.wilson(events, total, gate.confidence)
    if total >= gate.min_samples:
        verdict = limit.verdict(interval.low, interval.high)
        counted = f"{wording.amount(events)} of {wording.amount(total)}"
        text = _sentence(gate, limit, interval, wording.scale_of(gate, rate=True), counted)
    else:
        verdict = Verdict.INCONCLUSIVE
        text = f"{gate.metric} cannot be judged yet: counted {wording.amount(total)} of {gate.min_samples} needed"
    return Finding(
        verdict,
        text,
        METHOD,
        interval=interval,
        threshold=limit.threshold,
        confidence=gate.confidence,
        samples=int(total),
    )


def _absolute(gate: Gate, reading: ArmReading) -> Finding:
    own, limit = reading.candidate, limit_of(gate)
    if own.samples == 0:
        return Finding(Verdict.NO_DATA, unheard(gate), METHOD, threshold=limit.threshold)
    if reading.rate:
        interval = intervals.rate_interval(own, reading.stable, gate.confidence)
    else:
        interval = intervals.mean_interval(own, gate.confidence)
    verdict, missing = Verdict.INCONCLUSIVE, ""
    if enough(gate, own):
        verdict = limit.verdict(interval.low, interval.high)
        effect = intervals.common_effect(own, reading.stable) if reading.rate else 1.0
        crowd = wording.crowd(own) + wording.worth(own.samples, effect)
        text = _sentence(gate, limit, interval, wording.scale_of(gate, rate=reading.rate), crowd)
    else:
        text = f"{gate.metric} cannot be judged yet: {wording.missing(gate, own)}"
        missing = lacking(gate, own, None)
    return Finding(
        verdict,
        text,
        METHOD,
        interval=interval,
        threshold=limit.threshold,
        confidence=gate.confidence,
        missing=missing,
    )


def _sentence(gate: Gate, limit: Limit, interval: Interval, scale: wording.Scale, crowd: str) -> str:
    verdict = limit.verdict(interval.low, interval.high)
    scale = scale.fitting(interval.low, interval.high)
    value, threshold = scale.value(interval.estimate or 0.0), scale.limit(limit.threshold)
    shown = wording.span(scale, interval.low, interval.high)
    evidence = f"({wording.level(gate.confidence)} {shown}, {crowd})"
    if gate.quantile is None:
        end = wording.against_limit(verdict, threshold, at_least=limit.at_least)
        return f"{gate.metric} {'is' if scale.rate else 'averages'} {value} {evidence}{end}"
    bound = wording.scale_of(gate, rate=False).limit(gate.max or 0.0)
    end = wording.against_quantile(verdict, threshold, f"p{gate.quantile * 100:g} ≤ {bound}")
    return f"{value} of the {gate.metric} values are above {bound} {evidence}{end}"


def _versus(gate: Gate, reading: ArmReading) -> Finding:
    own, stable, allowed = reading.candidate, reading.stable, allowance(gate)
    if gate.quantile is not None and reading.limit is None:
        return Finding(Verdict.INCONCLUSIVE, arms.without_baseline(gate), METHOD, missing=arms.NO_BASELINE)
    worse_below = higher_is_better(gate) and gate.quantile is None
    times = 1.0
    limit = Limit(-allowed.value if worse_below else allowed.value, at_least=worse_below)
    if allowed.kind == "ratio":
        times = 1 / allowed.value if worse_below else allowed.value
        # The rates of a ratio are error rates, whatever the gate's metric: the source reads them then.
        limit = Limit(0.0, at_least=worse_below and not reading.rate)
        times = allowed.value if reading.rate else times
    silent, few = arms.nobody(gate, reading), arms.too_few(gate, reading)
    interval = _difference(own, stable, times, gate.confidence, rate=reading.rate)
    if silent or few:
        verdict, text = (Verdict.NO_DATA, silent) if silent else (Verdict.INCONCLUSIVE, few)
    else:
        verdict = limit.verdict(interval.low, interval.high)
        text = _comparison(gate, verdict, interval, reading, times)
    baseline = stable.total / stable.samples if stable.samples else None
    return Finding(
        verdict,
        text,
        METHOD,
        interval=interval,
        threshold=limit.threshold,
        baseline=baseline,
        confidence=gate.confidence,
        missing=arms.still_lacking(gate, reading, None) if silent or few else "",
    )


def _difference(own: ArmStats, stable: ArmStats, times: float, confidence: float, *, rate: bool) -> Interval:
    """The interval of candidate - times·stable; of rates by Newcombe's squares, which bear a factor on either side."""
    if not rate:
        return intervals.mean_difference(own, ratios.multiplied(stable, times), confidence)
    if times == 1:
        return intervals.rate_difference(own, stable, confidence)
    one, two = intervals.rate_interval(own, stable, confidence), intervals.rate_interval(stable, own, confidence)
    if one.estimate is None or two.estimate is None:
        return Interval(None, -math.inf, math.inf)
    difference = one.estimate - times * two.estimate
    below = math.hypot(one.estimate - one.low, times * (two.high - two.estimate))
    above = math.hypot(one.high - one.estimate, times * (two.estimate - two.low))
    return Interval(difference, difference - below, difference + above)


def _comparison(gate: Gate, verdict: Verdict, interval: Interval, reading: ArmReading, times: float) -> str:
    own, stable = reading.candidate, reading.stable
    scale = wording.scale_of(gate, rate=reading.rate).fitting(interval.low, interval.high)
    gap = replace(scale, unit="percentage points") if reading.rate else scale
    verb = "is" if reading.rate else "averages"
    means = f"{scale.value(own.total / own.samples)} against stable's {scale.value(stable.total / stable.samples)}"
    shown = f"{wording.level(gate.confidence)} {wording.span(gap, interval.low, interval.high)}"
    effect = intervals.common_effect(own, stable) if reading.rate else 1.0
    crowds = f"{wording.crowd(own)} against {wording.crowd(stable)}{wording.clustering(effect)}"
    if allowance(gate).kind == "margin":
        end = wording.against_margin(verdict, wording.margin_of(allowance(gate).value, gap))
        opening = "a difference of "
    else:
        end = wording.against_times(verdict, f"{times:.3g} times", at_least=times < 1)
        opening = f"a difference to {times:.3g} times that of "
    return f"{gate.metric} {verb} {means}, {opening}{gap.value(interval.estimate or 0.0)} ({shown}, {crowds}){end}"
