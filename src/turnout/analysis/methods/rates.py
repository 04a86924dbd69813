"""Absolute gates on a rate, quantiles among them: a truncated beta-binomial e-process on either side.

Outcomes of one user resemble each other: all counts are divided by the larger design effect of both arms (Rao & Scott
1992). The failing side looks for trouble from the start and for trouble that began in any later minute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from turnout.analysis import eprocess, wording
from turnout.analysis.clusters import absolute_effect, effective_units, sums_of
from turnout.analysis.evidence import EValue
from turnout.analysis.intervals import Interval
from turnout.analysis.methods.finding import Decision, Finding, Limit, enough, limit_of, no_outcome
from turnout.analysis.methods.minutes import filled
from turnout.analysis.onset import LEAD, rate_onset
from turnout.analysis.policy import FEWEST, Alphas
from turnout.analysis.projection import factor_to_decide, lacking
from turnout.domain.plan import Gate
from turnout.domain.readings import ArmReading
from turnout.domain.stats import ArmStats
from turnout.domain.verdicts import Verdict

METHOD = "beta-binomial e-process"
ONSET_METHOD = f"{METHOD}, late onset"


@dataclass(frozen=True, slots=True)
class Counts:
    """Bad outcomes of all, both in independent outcomes, against the most that is allowed of them (a rate)."""

    bad: float
    total: float
    allowed: float

    @classmethod
    def of(cls, total: float, samples: float, limit: Limit, effect: float) -> Counts:
        """From the sum of 0/1 values: below a minimum it is the zeros that are bad, above a maximum the ones."""
        bad = samples - total if limit.at_least else total
        return cls(bad / effect, samples / effect, 1 - limit.threshold if limit.at_least else limit.threshold)

    def times(self, factor: float) -> Counts:
        """The same rate of ``factor`` times as many outcomes."""
        return Counts(self.bad * factor, self.total * factor, self.allowed)

    def harm(self) -> EValue:
        """The evidence for a rate above the allowed one."""
        return eprocess.evidence(self.bad, self.total, self.allowed, "fail")

    def good(self) -> EValue:
        """The evidence for a rate below the allowed one."""
        return eprocess.evidence(self.bad, self.total, self.allowed, "pass")

    def decided(self, alphas: Alphas) -> Callable[[float], bool]:
        """Whether a factor times as many outcomes would decide either way."""

        def decides(factor: float) -> bool:
            more = self.times(factor)
            return more.harm().rejects(alphas.fail) or more.good().rejects(alphas.good)

        return decides

    def interval(self, limit: Limit, alphas: Alphas) -> Interval:
        """The anytime-valid interval of the rate as it is shown, of zeros or of ones."""
        found = eprocess.anytime_interval(self.bad, self.total, self.allowed, alphas.fail, alphas.good)
        if not limit.at_least or found.estimate is None:
            return found
        return Interval(1 - found.estimate, 1 - found.high, 1 - found.low)


def judged(gate: Gate, reading: ArmReading, alphas: Alphas) -> Finding:
    """Hold the candidate's rate against the gate's limit."""
    own, limit = reading.candidate, limit_of(gate)
    if own.samples == 0:
        return no_outcome(gate, limit, METHOD, alphas)
    effect = float(absolute_effect(sums_of(own), sums_of(reading.stable)))
    counts = Counts.of(own.total, own.samples, limit, effect)
    since = _onset(reading, limit, effect)
    harm, good = since or counts.harm(), counts.good()
    decision = Decision(
        harm.rejects(alphas.fail) and own.samples >= FEWEST, good.rejects(alphas.good) and enough(gate, own)
    )
    # The mixture has rejected whenever its first component has at the weight it is given.
    shown = Alphas(alphas.fail * LEAD, alphas.good) if since else alphas
    factor = factor_to_decide(counts.decided(shown)) if decision.open else None
    missing = lacking(gate, own, factor) if decision.open else ""
    found = counts.interval(limit, shown)
    interval = Interval(own.total / own.samples, found.low, found.high)
    crowd = wording.crowd(own) + wording.worth(own.samples, effect)
    return Finding(
        decision.verdict,
        _text(gate, own, limit, decision.verdict, Shown(interval, alphas.confidence, crowd, missing)),
        ONSET_METHOD if since else METHOD,
        anytime=True,
        interval=interval,
        threshold=limit.threshold,
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


def _onset(reading: ArmReading, limit: Limit, effect: float) -> EValue | None:
    minutes = filled(reading.candidate_minutes, reading.began)
    if not minutes.size:
        return None
    bad = minutes.samples - minutes.total if limit.at_least else minutes.total
    allowed = 1 - limit.threshold if limit.at_least else limit.threshold
    return rate_onset(bad / effect, minutes.samples / effect, allowed, "fail", max(1, reading.planned))


@dataclass(frozen=True, slots=True)
class Shown:
    """What a sentence about a rate is made of: ``crowd`` tells from how much, ``missing`` what is lacking to decide."""

    interval: Interval
    confidence: float
    crowd: str
    missing: str


def sentence(gate: Gate, limit: Limit, verdict: Verdict, shown: Shown) -> str:
    """What a rate is, how sure that is, from how much, and how that stands to the limit."""
    low, high = shown.interval.low, shown.interval.high
    scale = wording.scale_of(gate, rate=True).fitting(low, high)
    value, threshold = scale.value(shown.interval.estimate or 0.0), scale.limit(limit.threshold)
    evidence = f"({wording.sure(shown.confidence)} {wording.span(scale, low, high)}, {shown.crowd})"
    late = wording.lately(verdict, limit.verdict(low, high))
    rest = late or (wording.would_decide(shown.missing) if verdict is Verdict.INCONCLUSIVE else "")
    if gate.quantile is None:
        end = "" if late else wording.against_limit(verdict, threshold, at_least=limit.at_least)
        return f"{gate.metric} is {value} {evidence}{end}{rest}"
    bound = wording.scale_of(gate, rate=False).limit(gate.max or 0.0)
    end = "" if late else wording.against_quantile(verdict, threshold, f"p{gate.quantile * 100:g} ≤ {bound}")
    return f"{value} of the {gate.metric} values are above {bound} {evidence}{end}{rest}"


def _text(gate: Gate, own: ArmStats, limit: Limit, verdict: Verdict, shown: Shown) -> str:
    if verdict is Verdict.INCONCLUSIVE and not enough(gate, own):
        return f"{gate.metric} cannot be judged yet: {wording.missing(gate, own)}"
    return sentence(gate, limit, verdict, shown)
