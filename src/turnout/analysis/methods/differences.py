"""Comparisons by a margin or by a ratio of means: a confidence sequence on the difference of both arms, between users.

A ratio r is a margin of 0 on the difference between the candidate and r times stable.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from turnout.analysis import confseq, wording
from turnout.analysis.clusters import comparative_effect, design_effect, effective_units, sums_of
from turnout.analysis.confseq import MIN_UNITS, ConfidenceSequence, widening
from turnout.analysis.intervals import Interval
from turnout.analysis.methods import arms, ratios
from turnout.analysis.methods.finding import Decision, Finding, Limit, enough, higher_is_better
from turnout.analysis.methods.means import decided, p_values
from turnout.analysis.policy import Alphas, allowance
from turnout.analysis.projection import factor_to_decide, scaled
from turnout.domain.plan import Gate
from turnout.domain.readings import ArmReading
from turnout.domain.stats import ArmStats

METHOD = "asymptotic confidence sequence of a difference"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two arms, how much the second counts, and the limit of the difference.

    ``times`` is 1 for a margin; for a ratio what stable is multiplied with, and the limit of the difference is 0.
    """

    candidate: ArmStats
    stable: ArmStats
    times: float
    limit: Limit

    @classmethod
    def of(cls, gate: Gate, candidate: ArmStats, stable: ArmStats) -> Comparison:
        """What ``gate`` compares: worse is above or below by its metric."""
        allowed, higher = allowance(gate), higher_is_better(gate)
        if allowed.kind == "margin":
            return cls(candidate, stable, 1.0, Limit(-allowed.value if higher else allowed.value, at_least=higher))
        times = 1 / allowed.value if higher else allowed.value
        return cls(candidate, stable, times, Limit(0.0, at_least=higher))

    def by(self, factor: float) -> Comparison:
        """The same with ``factor`` times as many units on both sides."""
        return replace(self, candidate=scaled(self.candidate, factor), stable=scaled(self.stable, factor))

    def sequence(self, alphas: Alphas) -> ConfidenceSequence:
        """The sequence of the difference. Arms without any spread that agree are as sure as their number makes them.

        Then the margin stands for the spread, as the distance to the threshold does for one arm: a single unit might
        differ by that much. Without a margin nothing is known.
        """
        weighted = ratios.multiplied(self.stable, self.times)
        found = confseq.difference(self.candidate, weighted, *self.limit.ends(alphas))
        if found.muted is not None or found.se > 0 or self.limit.threshold == 0:
            return found
        se = abs(self.limit.threshold) / math.sqrt(found.effective_units)
        below, above = (
            float(widening(np.asarray(found.effective_units), alpha)) * se for alpha in self.limit.ends(alphas)
        )
        return replace(found, se=se, low=-below, high=above)


def judged(gate: Gate, reading: ArmReading, alphas: Alphas) -> Finding:
    """Hold the difference to stable against the gate's margin, or the ratio against its ratio."""
    own, stable = reading.candidate, reading.stable
    pair = Comparison.of(gate, own, stable)
    threshold = pair.limit.threshold if allowance(gate).kind == "margin" else pair.times
    nobody = arms.silent(gate, reading, METHOD, threshold, alphas)
    if nobody is not None:
        return nobody
    found = pair.sequence(alphas)
    comparable = allowance(gate).kind == "margin" or stable.total > 0
    ready = comparable and enough(gate, own, MIN_UNITS) and enough(gate, stable, MIN_UNITS)
    decision = decided(found, pair.limit, ready=ready)
    missing = _lacking(gate, reading, pair, alphas) if decision.open else ""
    shown = _shown(gate, pair, found, alphas)
    p_fail, p_pass = p_values(found, pair.limit, alphas) if comparable else (1.0, 1.0)
    return Finding(
        decision.verdict,
        _text(gate, reading, decision, _Said(shown, pair, missing, alphas)),
        METHOD,
        anytime=True,
        interval=shown,
        threshold=threshold,
        baseline=stable.total / stable.samples,
        confidence=alphas.confidence,
        samples=own.samples,
        units=own.units,
        p_fail=p_fail,
        p_pass=p_pass,
        alphas=alphas,
        design_effect=_effect(reading),
        effective_units=float(effective_units(sums_of(own))),
        missing=missing,
    )


def _lacking(gate: Gate, reading: ArmReading, pair: Comparison, alphas: Alphas) -> str:
    if allowance(gate).kind == "ratio" and reading.stable.total <= 0:
        return "a positive mean of stable, without which a ratio says nothing"
    found = pair.sequence(alphas)
    if enough(gate, reading.candidate, MIN_UNITS) and found.muted == "no_spread":
        return "any difference between single values to measure by"

    def decides(factor: float) -> bool:
        return not decided(pair.by(factor).sequence(alphas), pair.limit, ready=True).open

    return arms.still_lacking(gate, reading, factor_to_decide(decides), MIN_UNITS)


def _shown(gate: Gate, pair: Comparison, found: ConfidenceSequence, alphas: Alphas) -> Interval:
    if allowance(gate).kind == "margin":
        return Interval(found.estimate, found.low, found.high)
    return ratios.interval(pair.candidate, pair.stable, pair.limit.ends(alphas))


def _effect(reading: ArmReading) -> float:
    own, stable = sums_of(reading.candidate), sums_of(reading.stable)
    if reading.rate:
        return float(comparative_effect(own, stable))
    return max(float(design_effect(own)), float(design_effect(stable)) if reading.stable.units >= 2 else 1.0)


@dataclass(frozen=True, slots=True)
class _Said:
    interval: Interval
    pair: Comparison
    missing: str
    alphas: Alphas


def _text(gate: Gate, reading: ArmReading, decision: Decision, said: _Said) -> str:
    few = arms.too_few(gate, reading, MIN_UNITS) if decision.open else ""
    if few:
        return few
    by_ratio = allowance(gate).kind == "ratio"
    difference = _ratio(gate, reading, decision, said) if by_ratio else _difference(gate, reading, decision, said)
    rest = wording.would_decide(said.missing) if decision.open else ""
    return f"{difference}{rest}{_uncapped(gate, reading)}"


def _difference(gate: Gate, reading: ArmReading, decision: Decision, said: _Said) -> str:
    own, stable, interval = reading.candidate, reading.stable, said.interval
    scale = wording.scale_of(gate, rate=reading.rate).fitting(interval.low, interval.high)
    gap = replace(scale, unit="percentage points") if reading.rate else scale
    verb = "is" if reading.rate else "averages"
    means = f"{scale.value(own.total / own.samples)} against stable's {scale.value(stable.total / stable.samples)}"
    shown = f"{wording.sure(said.alphas.confidence)} {wording.span(gap, interval.low, interval.high)}"
    end = wording.against_margin(decision.verdict, wording.margin_of(allowance(gate).value, gap))
    found = gap.value(interval.estimate or 0.0)
    return f"{gate.metric} {verb} {means}, a difference of {found} ({shown}, {_crowds(reading)}){end}"


def _ratio(gate: Gate, reading: ArmReading, decision: Decision, said: _Said) -> str:
    own, stable, interval = reading.candidate, reading.stable, said.interval
    scale = wording.scale_of(gate, rate=reading.rate)
    ours, theirs = (wording.significant(scale, arm.total / arm.samples) for arm in (own, stable))
    verb = "is" if reading.rate else "averages"
    times = "no ratio" if interval.estimate is None else f"{interval.estimate:.3g} times as much"
    shown = f"{wording.sure(said.alphas.confidence)} {wording.times_span(interval.low, interval.high)}"
    limit = f"{said.pair.times:.3g} times"
    end = wording.against_times(decision.verdict, limit, at_least=said.pair.limit.at_least)
    return f"{gate.metric} {verb} {ours} against stable's {theirs}, {times} ({shown}, {_crowds(reading)}){end}"


def _crowds(reading: ArmReading) -> str:
    return f"{wording.crowd(reading.candidate)} against {wording.crowd(reading.stable)}" + (
        wording.clustering(_effect(reading)) if reading.rate else ""
    )


def _uncapped(gate: Gate, reading: ArmReading) -> str:
    """What the means are without the cap; empty where nothing was capped."""
    if reading.uncapped is None or reading.limit is None:
        return ""
    scale = wording.scale_of(gate, rate=False)
    ours, theirs = ("none" if mean is None else wording.significant(scale, mean) for mean in reading.uncapped)
    cap = wording.significant(scale, reading.limit)
    return f" (values above {cap} count as that; without the cap the means are {ours} and {theirs})"
