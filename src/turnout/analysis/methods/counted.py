"""Counts from an aggregating source: the e-process of absolute rates, each count worth less than one outcome."""

from __future__ import annotations

import math

from turnout.analysis import wording
from turnout.analysis.intervals import Interval
from turnout.analysis.methods.finding import Decision, Finding, limit_of
from turnout.analysis.methods.rates import METHOD, Counts, Shown, sentence
from turnout.analysis.policy import FEWEST, Alphas
from turnout.analysis.projection import factor_to_decide
from turnout.domain.plan import Gate
from turnout.domain.readings import FractionReading
from turnout.domain.verdicts import Check, Verdict

_SLACK = 0.01
"""A source that extrapolates (Prometheus's ``increase``) moves a count back and forth by less than this part."""


def judged(gate: Gate, reading: FractionReading, alphas: Alphas, before: Check | None) -> Finding:
    """Hold the rate of events against the gate's limit; ``before`` is what the reading before it came to."""
    wrong = fault(gate, reading, before)
    if wrong is not None:
        return wrong
    events, total, limit = reading.events, reading.total, limit_of(gate)
    if total == 0:
        text = f"the source has counted nothing for {gate.metric} yet"
        missing = wording.count(gate.min_samples, "more count")
        return Finding(
            Verdict.NO_DATA, text, METHOD, anytime=True, threshold=limit.threshold, alphas=alphas, missing=missing
        )
    counts = Counts.of(events, total, limit, gate.design_effect)
    harm, good = counts.harm(), counts.good()
    ready = total >= gate.min_samples
    decision = Decision(harm.rejects(alphas.fail) and total >= FEWEST, good.rejects(alphas.good) and ready)
    missing = _lacking(gate, total, factor_to_decide(counts.decided(alphas))) if decision.open else ""
    interval = counts.interval(limit, alphas)
    shown = Interval(events / total, interval.low, interval.high)
    text = f"{gate.metric} cannot be judged yet: counted {wording.amount(total)} of {gate.min_samples} needed"
    if ready or not decision.open:
        counted = f"{wording.amount(events)} of {wording.amount(total)}{_worth(gate)}"
        text = sentence(gate, limit, decision.verdict, Shown(shown, alphas.confidence, counted, missing))
    return Finding(
        decision.verdict,
        text,
        METHOD,
        anytime=True,
        interval=shown,
        threshold=limit.threshold,
        confidence=alphas.confidence,
        samples=int(total),
        p_fail=harm.p_value,
        p_pass=good.p_value,
        alphas=alphas,
        design_effect=gate.design_effect,
        missing=missing,
    )


def fault(gate: Gate, reading: FractionReading, before: Check | None) -> Finding | None:
    """What is wrong with counts that contradict each other, or that fell since the reading before; None for nothing."""
    events, total = reading.events, reading.total
    if not (math.isfinite(total) and 0 <= events <= total):
        text = f"the source's counts of {gate.metric} contradict each other: {events:g} of {total:g}"
        return Finding(Verdict.SOURCE_ERROR, text, METHOD)
    if gate.versus is not None:
        return incomparable(gate)
    if before is None or before.value is None or before.verdict is Verdict.SOURCE_ERROR:
        return None
    earlier = before.value * before.samples, before.samples
    if any(now < then * (1 - _SLACK) - 1 for now, then in zip((events, total), earlier, strict=True)):
        was = f"{wording.amount(earlier[0])} of {wording.amount(earlier[1])}"
        now = f"{wording.amount(events)} of {wording.amount(total)}"
        text = f"the source's counts of {gate.metric} fell from {was} to {now} within the stage"
        return Finding(Verdict.SOURCE_ERROR, text, METHOD)
    return None


def incomparable(gate: Gate) -> Finding:
    """The finding for a comparison put to a source that does not tell the arms apart."""
    why = f"a {gate.source.kind} source does not tell the two apart"
    return Finding(Verdict.SOURCE_ERROR, f"{gate.metric} cannot be compared with stable: {why}")


def _worth(gate: Gate) -> str:
    worth = "" if gate.design_effect == 1 else f", each worth 1/{gate.design_effect:.3g} outcome"
    return f" counted by {gate.source.kind}{worth}"


def _lacking(gate: Gate, total: float, factor: float | None) -> str:
    least = max(gate.min_samples - total, 0)
    if factor is None and not least:
        return wording.NEAR
    more = max(least, total * ((factor or 1) - 1))
    return ("about " if more > least else "") + wording.count(math.ceil(more), "more count")
