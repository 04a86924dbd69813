"""A quantile versus stable's: in which arm does the next value beyond stable's frozen quantile fall?

Every such value counts, so counts are divided by the design effect of the comparison (Rao & Scott 1992).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from turnout.analysis import counting, wording
from turnout.analysis.clusters import comparative_effect, effective_units, sums_of
from turnout.analysis.intervals import Interval
from turnout.analysis.methods import arms
from turnout.analysis.methods.finding import Decision, Finding, enough
from turnout.analysis.policy import FEWEST, Alphas, allowance
from turnout.analysis.projection import factor_to_decide, scaled
from turnout.domain.plan import Gate
from turnout.domain.readings import ArmReading
from turnout.domain.verdicts import Verdict

METHOD = "which-arm e-process on values beyond stable's quantile"


def judged(gate: Gate, reading: ArmReading, alphas: Alphas) -> Finding:
    """Hold how many times as many values lie beyond the frozen quantile against the ratio that is allowed."""
    allowed = allowance(gate).value
    if reading.limit is None:
        return _without_baseline(gate, reading, allowed, alphas)
    nobody = arms.silent(gate, reading, METHOD, allowed, alphas)
    if nobody is not None:
        return nobody
    return _compared(gate, reading, reading.limit, alphas)


def _compared(gate: Gate, reading: ArmReading, beyond: float, alphas: Alphas) -> Finding:
    own, stable, allowed = reading.candidate, reading.stable, allowance(gate).value
    harm = counting.exceedance_evidence(own, stable, "fail", allowed, gate.min_units)
    good = counting.exceedance_evidence(own, stable, "pass", allowed, gate.min_units)
    ready = enough(gate, own) and enough(gate, stable)
    decision = Decision(harm.rejects(alphas.fail) and own.samples >= FEWEST, good.rejects(alphas.good) and ready)

    def decides(factor: float) -> bool:
        ours, theirs = scaled(own, factor), scaled(stable, factor)
        worse = counting.exceedance_evidence(ours, theirs, "fail", allowed, 0)
        better = counting.exceedance_evidence(ours, theirs, "pass", allowed, 0)
        return worse.rejects(alphas.fail) or better.rejects(alphas.good)

    missing = arms.still_lacking(gate, reading, factor_to_decide(decides)) if decision.open else ""
    effect = float(comparative_effect(sums_of(own), sums_of(stable)))
    share = own.samples / (own.samples + stable.samples)
    interval = counting.ratio_interval(own.total / effect, stable.total / effect, share, alphas.fail, alphas.good)
    said = _Said(interval, beyond, effect, missing, alphas)
    return Finding(
        decision.verdict,
        _text(gate, reading, decision.verdict, said),
        METHOD,
        anytime=True,
        interval=interval,
        threshold=allowed,
        baseline=stable.total / stable.samples,
        confidence=alphas.confidence,
        samples=own.samples,
        units=own.units,
        p_fail=harm.p_value,
        p_pass=good.p_value,
        alphas=alphas,
        design_effect=effect,
        effective_units=float(effective_units(sums_of(own))),
        missing=missing,
    )


def _without_baseline(gate: Gate, reading: ArmReading, allowed: float, alphas: Alphas) -> Finding:
    text, own = arms.without_baseline(gate), reading.candidate
    found = Finding(Verdict.INCONCLUSIVE, text, METHOD, anytime=True, threshold=allowed, alphas=alphas)
    return replace(found, samples=own.samples, units=own.units, missing=arms.NO_BASELINE)


@dataclass(frozen=True, slots=True)
class _Said:
    interval: Interval
    beyond: float
    effect: float
    missing: str
    alphas: Alphas


def _text(gate: Gate, reading: ArmReading, verdict: Verdict, said: _Said) -> str:
    own, stable, interval = reading.candidate, reading.stable, said.interval
    few = arms.too_few(gate, reading) if verdict is Verdict.INCONCLUSIVE else ""
    if few:
        return few
    scale, share = wording.scale_of(gate, rate=False), wording.scale_of(gate, rate=True)
    quantile = f"stable's p{(gate.quantile or 0) * 100:g} of {wording.significant(scale, said.beyond)}"
    ours, theirs = (share.value(arm.total / arm.samples) for arm in (own, stable))
    crowds = f"{wording.crowd(own)} against {wording.crowd(stable)}{wording.clustering(said.effect)}"
    opening = f"{ours} of the {gate.metric} values are above {quantile} against {theirs} of stable's"
    evidence = f"{wording.sure(said.alphas.confidence)} {wording.times_span(interval.low, interval.high)}, {crowds}"
    end = wording.against_ratio(verdict, f"{allowance(gate).value:g} times")
    rest = wording.would_decide(said.missing) if verdict is Verdict.INCONCLUSIVE else ""
    return f"{opening} ({evidence}){end}{rest}"
