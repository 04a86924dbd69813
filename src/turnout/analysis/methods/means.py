"""Absolute gates on a mean: a confidence sequence between units, held against the threshold alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from turnout.analysis import confseq, wording
from turnout.analysis.clusters import design_effect, effective_units, sums_of
from turnout.analysis.confseq import MIN_UNITS, ConfidenceSequence
from turnout.analysis.intervals import Interval
from turnout.analysis.methods.finding import Decision, Finding, Limit, enough, no_outcome, plain_limit
from turnout.analysis.policy import Alphas
from turnout.analysis.projection import factor_to_decide, lacking, scaled
from turnout.domain.plan import Gate
from turnout.domain.readings import ArmReading
from turnout.domain.stats import ArmStats
from turnout.domain.verdicts import Verdict

METHOD = "asymptotic confidence sequence"


def judged(gate: Gate, reading: ArmReading, alphas: Alphas) -> Finding:
    """Hold the candidate's mean against the gate's limit; stable lends its spread where it has any."""
    own, limit = reading.candidate, plain_limit(gate)
    if own.samples == 0:
        return no_outcome(gate, limit, METHOD, alphas)
    stable = reading.stable if reading.stable.units >= 2 else None
    found = _level(own, stable, limit, alphas)
    decision = decided(found, limit, ready=enough(gate, own, MIN_UNITS))

    def decides(factor: float) -> bool:
        more = _level(scaled(own, factor), None if stable is None else scaled(stable, factor), limit, alphas)
        return not decided(more, limit, ready=True).open

    missing = lacking(gate, own, factor_to_decide(decides), MIN_UNITS) if decision.open else ""
    p_fail, p_pass = p_values(found, limit, alphas)
    return Finding(
        decision.verdict,
        _text(gate, own, limit, decision, _Said(found, missing, alphas.confidence)),
        METHOD,
        anytime=True,
        interval=Interval(found.estimate, found.low, found.high),
        threshold=limit.threshold,
        confidence=alphas.confidence,
        samples=own.samples,
        units=own.units,
        p_fail=p_fail,
        p_pass=p_pass,
        alphas=alphas,
        design_effect=float(design_effect(sums_of(own))),
        effective_units=float(effective_units(sums_of(own))),
        missing=missing,
    )


def decided(found: ConfidenceSequence, limit: Limit, *, ready: bool) -> Decision:
    """What a sequence proves; without any spread nothing, however clear it looks."""
    shown = limit.verdict(found.low, found.high) if ready and found.se > 0 else Verdict.INCONCLUSIVE
    return Decision(shown is Verdict.FAIL, shown is Verdict.PASS)


def p_values(found: ConfidenceSequence, limit: Limit, alphas: Alphas) -> tuple[float, float]:
    """The anytime-valid p-values of the claims "beyond the limit" and "within it"; 1 where nothing can be said."""
    if found.muted is not None or found.estimate is None or not 0 < found.se < math.inf:
        return 1.0, 1.0
    z = limit.distance(found.estimate) / found.se
    units = found.effective_units
    return confseq.anytime_p(z, units, alphas.fail), confseq.anytime_p(-z, units, alphas.good)


def _level(own: ArmStats, stable: ArmStats | None, limit: Limit, alphas: Alphas) -> ConfidenceSequence:
    return confseq.level(own, limit.threshold, *limit.ends(alphas), stable=stable)


@dataclass(frozen=True, slots=True)
class _Said:
    found: ConfidenceSequence
    missing: str
    confidence: float


def _text(gate: Gate, own: ArmStats, limit: Limit, decision: Decision, said: _Said) -> str:
    found = said.found
    if decision.open and not enough(gate, own, MIN_UNITS):
        return f"{gate.metric} cannot be judged yet: {wording.missing(gate, own, MIN_UNITS)}"
    scale = wording.scale_of(gate, rate=False).fitting(found.low, found.high)
    span = wording.span(scale, found.low, found.high)
    evidence = f"({wording.sure(said.confidence)} {span}, {wording.crowd(own)})"
    end = wording.against_limit(decision.verdict, scale.limit(limit.threshold), at_least=limit.at_least)
    rest = wording.would_decide(said.missing) if decision.open else ""
    return f"{gate.metric} averages {scale.value(found.estimate or 0.0)} {evidence}{end}{rest}"
