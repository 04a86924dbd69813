"""Rates versus stable by a ratio: in which arm does the next user meet a first error? Exact under any clustering.

The failing side looks for trouble from the start and for trouble that began in any later minute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from turnout.analysis import counting, wording
from turnout.analysis.clusters import effective_units, sums_of
from turnout.analysis.evidence import EValue, Side
from turnout.analysis.intervals import Interval
from turnout.analysis.methods import arms
from turnout.analysis.methods.finding import Decision, Finding, Limit, enough
from turnout.analysis.methods.minutes import filled, length
from turnout.analysis.onset import LEAD, first_error_onset
from turnout.analysis.policy import FEWEST, Alphas, allowance
from turnout.analysis.projection import factor_to_decide
from turnout.domain.plan import Gate
from turnout.domain.readings import ArmReading
from turnout.domain.verdicts import Verdict

METHOD = "which-arm e-process on first errors, late onset"


@dataclass(frozen=True, slots=True)
class Hits:
    """Users with at least one error on either arm, the candidate's share of all users, the ratio that is allowed."""

    candidate: float
    stable: float
    share: float
    allowed: float

    def evidence(self, side: Side, factor: float = 1.0) -> EValue:
        """The evidence of ``factor`` times as many users with errors."""
        ours, theirs = round(self.candidate * factor), round(self.stable * factor)
        return counting.first_error_evidence(ours, theirs, self.share, side, self.allowed)

    def interval(self, alphas: Alphas) -> Interval:
        """The anytime-valid interval of the rate ratio."""
        return counting.ratio_interval(self.candidate, self.stable, self.share, alphas.fail, alphas.good)


def judged(gate: Gate, reading: ArmReading, alphas: Alphas) -> Finding:
    """Hold how many times as often the candidate's users meet an error against the ratio that is allowed."""
    own, limit = reading.candidate, Limit(allowance(gate).value, at_least=False)
    nobody = arms.silent(gate, reading, METHOD, limit.threshold, alphas)
    if nobody is not None:
        return nobody
    hits, harm, weight = _evidence(reading, limit.threshold)
    good = hits.evidence("pass")
    ready = enough(gate, own) and enough(gate, reading.stable)
    decision = Decision(harm.rejects(alphas.fail) and own.samples >= FEWEST, good.rejects(alphas.good) and ready)
    # The mixture has rejected whenever its first component has at the weight it is given.
    shown = Alphas(alphas.fail * weight, alphas.good)

    def decides(factor: float) -> bool:
        return hits.evidence("fail", factor).rejects(shown.fail) or hits.evidence("pass", factor).rejects(shown.good)

    missing = _lacking(gate, reading, hits, factor_to_decide(decides)) if decision.open else ""
    interval = hits.interval(shown)
    return Finding(
        decision.verdict,
        _text(gate, reading, hits, decision.verdict, _Said(interval, missing, alphas.confidence)),
        METHOD,
        anytime=True,
        interval=interval,
        threshold=limit.threshold,
        baseline=reading.stable.total / reading.stable.samples,
        confidence=alphas.confidence,
        samples=own.samples,
        units=own.units,
        p_fail=harm.p_value,
        p_pass=good.p_value,
        alphas=alphas,
        effective_units=float(effective_units(sums_of(own))),
        missing=missing,
    )


def _evidence(reading: ArmReading, allowed: float) -> tuple[Hits, EValue, float]:
    """The counts, the evidence for harm, and the weight that lies on the start of the stage in it."""
    size = length(reading.began, reading.candidate_minutes, reading.stable_minutes)
    if not size:
        hits = Hits(reading.candidate.hits, reading.stable.hits, reading.share, allowed)
        return hits, hits.evidence("fail"), 1.0
    ours = filled(reading.candidate_minutes, reading.began, size).hits
    theirs = filled(reading.stable_minutes, reading.began, size).hits
    hits = Hits(float(ours.sum()), float(theirs.sum()), reading.share, allowed)
    return hits, first_error_onset(ours, theirs, reading.share, "fail", max(1, reading.planned), allowed), LEAD


def _lacking(gate: Gate, reading: ArmReading, hits: Hits, factor: float | None) -> str:
    if not 0 < hits.share < 1:
        return "a split between both arms"
    if hits.candidate + hits.stable == 0 and enough(gate, reading.candidate):
        return "a first error in either arm; a margin decides without one"
    return arms.still_lacking(gate, reading, factor)


@dataclass(frozen=True, slots=True)
class _Said:
    interval: Interval
    missing: str
    confidence: float


def _text(gate: Gate, reading: ArmReading, hits: Hits, verdict: Verdict, said: _Said) -> str:
    missing, interval = said.missing, said.interval
    own, stable = reading.candidate, reading.stable
    few = arms.too_few(gate, reading) if verdict is Verdict.INCONCLUSIVE else ""
    if few:
        return few
    met = f"{hits.candidate:.0f} of {wording.count(own.units, 'user')} of the candidate met an error"
    counts = f"{met}, {hits.stable:.0f} of {stable.units} of stable"
    if not 0 < hits.share < 1:
        return f"{gate.metric} cannot be compared without a split: {counts}"
    if interval.estimate is None:
        return f"{gate.metric} cannot be compared yet: {counts}; {missing}"
    evidence = f"{wording.sure(said.confidence)} {wording.times_span(interval.low, interval.high)}"
    times = f"{interval.estimate:.3g} times as often" if math.isfinite(interval.estimate) else "only the candidate's"
    shown = Limit(hits.allowed, at_least=False).verdict(interval.low, interval.high)
    end = wording.lately(verdict, shown) or wording.against_ratio(verdict, f"{hits.allowed:g} times")
    rest = wording.would_decide(missing) if verdict is Verdict.INCONCLUSIVE else ""
    share = f"{hits.share * 100:.3g} % of users planned"
    return f"{gate.metric} versus stable: {counts}, {times} ({evidence}, {share}){end}{rest}"
