"""One gate, one reading, one verdict: pure, and every verdict with the sentence that explains it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from turnout.analysis import intervals, wording
from turnout.analysis.intervals import Interval
from turnout.domain.metrics import metric_of
from turnout.domain.plan import Gate
from turnout.domain.readings import ArmReading, FractionReading, PointReading, Reading
from turnout.domain.stats import ArmStats
from turnout.domain.verdicts import Check, Verdict

Role = Literal["gate", "guardrail"]

_LONGEST_ERROR = 300
_UNKNOWN = Interval(None, -math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class _Limit:
    """A threshold and its good side; the threshold itself is good."""

    threshold: float
    at_least: bool

    def verdict(self, low: float, high: float) -> Verdict:
        """Where the interval lies. NaN compares with nothing and so proves nothing."""
        if low >= self.threshold if self.at_least else high <= self.threshold:
            return Verdict.PASS
        if high < self.threshold if self.at_least else low > self.threshold:
            return Verdict.FAIL
        return Verdict.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class _Finding:
    """A check without the names of its gate."""

    verdict: Verdict
    text: str
    interval: Interval = _UNKNOWN
    threshold: float | None = None
    baseline: float | None = None
    confidence: float | None = None
    samples: int = 0
    units: int = 0


def judge(gate: Gate, role: Role, reading: Reading, breaches: int = 0) -> Check:
    """Hold ``reading`` against ``gate``.

    An interval wholly on the good side of the threshold passes, wholly on the bad side fails, any other is
    inconclusive; so is one from fewer than ``min_samples`` outcomes or ``min_units`` users. A bare number has no
    interval: it passes when it meets the limit and fails with the ``consecutive``-th breach in a row, of which
    ``breaches`` came before this reading. Numbers that contradict each other are a ``source_error``.

    Raises:
        ValueError: the gate has none of min, max and versus.
    """
    match reading:
        case ArmReading():
            finding = _arms(gate, reading)
        case FractionReading():
            finding = _fraction(gate, reading)
        case PointReading():
            finding = _point(gate, reading, breaches)
    return _check(gate, role, finding)


def breaches_after(gate: Gate, reading: Reading, breaches: int) -> int:
    """How many breaches in a row there are with ``reading``, after ``breaches`` before it.

    Meeting the limit ends the row; no value neither lengthens nor ends it. Only bare numbers are counted.
    """
    if not isinstance(reading, PointReading) or gate.versus is not None:
        return 0
    if reading.value is None or not math.isfinite(reading.value):
        return breaches
    return breaches + 1 if _point_limit(gate).verdict(reading.value, reading.value) is Verdict.FAIL else 0


def failed_source(gate: Gate, role: Role, error: Exception) -> Check:
    """The check of a gate whose source could not be read; it says nothing about the candidate."""
    reason = str(error) or type(error).__name__
    short = reason if len(reason) <= _LONGEST_ERROR else reason[: _LONGEST_ERROR - 1] + "…"
    return _check(gate, role, _Finding(Verdict.SOURCE_ERROR, f"{gate.metric} could not be read: {short}"))


def _check(gate: Gate, role: Role, finding: _Finding) -> Check:
    found = finding.interval
    bounded = found.estimate is not None and math.isfinite(found.low) and math.isfinite(found.high)
    return Check(
        gate=gate.label,
        metric=gate.metric,
        role=role,
        verdict=finding.verdict,
        text=finding.text,
        value=found.estimate,
        low=found.low if bounded else None,
        high=found.high if bounded else None,
        baseline=finding.baseline,
        threshold=finding.threshold,
        confidence=finding.confidence if bounded else None,
        samples=finding.samples,
        units=finding.units,
    )


def _arms(gate: Gate, reading: ArmReading) -> _Finding:
    for arm, stats in (("the candidate", reading.candidate), ("stable", reading.stable)):
        if not _plausible(stats, reading.rate):
            numbers = f"{wording.crowd(stats)}, sum {stats.total:g}"
            text = f"the source's numbers of {gate.metric} for {arm} contradict each other: {numbers}"
            return _Finding(Verdict.SOURCE_ERROR, text)
    return _absolute(gate, reading) if gate.versus is None else _versus(gate, reading)


def _plausible(stats: ArmStats, rate: bool) -> bool:
    sums = (stats.total, stats.squares, stats.nn, stats.yy, stats.ny)
    counted = 0 <= stats.units <= stats.samples and (stats.units > 0) == (stats.samples > 0)
    return counted and all(map(math.isfinite, sums)) and (not rate or 0 <= stats.total <= stats.samples)


def _absolute(gate: Gate, reading: ArmReading) -> _Finding:
    own, limit = reading.candidate, _limit(gate)
    if own.samples == 0:
        text = f"there is no outcome with {gate.metric} from the candidate yet"
        return _Finding(Verdict.NO_DATA, text, threshold=limit.threshold)
    if reading.rate:
        interval = intervals.rate_interval(own, reading.stable, gate.confidence)
    else:
        interval = intervals.mean_interval(own, gate.confidence)
    if _enough(gate, own):
        verdict = limit.verdict(interval.low, interval.high)
        effect = intervals.common_effect(own, reading.stable) if reading.rate else 1.0
        crowd = wording.crowd(own) + wording.worth(own.samples, effect)
        text = _sentence(gate, limit, interval, wording.scale_of(gate, rate=reading.rate), crowd)
    else:
        verdict = Verdict.INCONCLUSIVE
        text = f"{gate.metric} cannot be judged yet: {wording.missing(gate, own)}"
    return _Finding(verdict, text, interval, limit.threshold, None, gate.confidence, own.samples, own.units)


def _sentence(gate: Gate, limit: _Limit, interval: Interval, scale: wording.Scale, crowd: str) -> str:
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


def _versus(gate: Gate, reading: ArmReading) -> _Finding:
    own, stable, margin = reading.candidate, reading.stable, gate.margin or 0.0
    higher_is_better = metric_of(gate.metric, gate.better or "higher").better == "higher"
    limit = _Limit(-margin if higher_is_better else margin, at_least=higher_is_better)
    baseline = stable.total / stable.samples if stable.samples else None
    difference = intervals.rate_difference if reading.rate else intervals.mean_difference
    interval = difference(own, stable, gate.confidence)
    lacking = _lacking(gate, own, stable)
    if lacking is None:
        verdict = limit.verdict(interval.low, interval.high)
        text = _comparison(gate, verdict, interval, reading)
    else:
        verdict, text = lacking
    return _Finding(verdict, text, interval, limit.threshold, baseline, gate.confidence, own.samples, own.units)


def _lacking(gate: Gate, own: ArmStats, stable: ArmStats) -> tuple[Verdict, str] | None:
    """What keeps two arms from being compared, the candidate first."""
    if own.samples == 0:
        return Verdict.NO_DATA, f"there is no outcome with {gate.metric} from the candidate yet"
    if stable.samples == 0:
        return Verdict.NO_DATA, f"there is no outcome with {gate.metric} from stable to compare with"
    if not _enough(gate, own):
        return Verdict.INCONCLUSIVE, f"{gate.metric} cannot be judged yet: {wording.missing(gate, own)}"
    if not _enough(gate, stable):
        text = f"{gate.metric} cannot be compared yet: stable has {wording.missing(gate, stable)}"
        return Verdict.INCONCLUSIVE, text
    return None


def _comparison(gate: Gate, verdict: Verdict, interval: Interval, reading: ArmReading) -> str:
    own, stable = reading.candidate, reading.stable
    scale = wording.scale_of(gate, rate=reading.rate).fitting(interval.low, interval.high)
    gap = replace(scale, unit="percentage points") if reading.rate else scale
    verb = "is" if reading.rate else "averages"
    means = f"{scale.value(own.total / own.samples)} against stable's {scale.value(stable.total / stable.samples)}"
    shown = f"{wording.level(gate.confidence)} {wording.span(gap, interval.low, interval.high)}"
    effect = intervals.common_effect(own, stable) if reading.rate else 1.0
    crowds = f"{wording.crowd(own)} against {wording.crowd(stable)}{wording.clustering(effect)}"
    end = wording.against_margin(verdict, wording.margin_of(gate, gap))
    difference = f"a difference of {gap.value(interval.estimate or 0.0)} ({shown}, {crowds}){end}"
    return f"{gate.metric} {verb} {means}, {difference}"


def _fraction(gate: Gate, reading: FractionReading) -> _Finding:
    events, total = reading.events, reading.total
    if not (math.isfinite(total) and 0 <= events <= total):
        text = f"the source's counts of {gate.metric} contradict each other: {events:g} of {total:g}"
        return _Finding(Verdict.SOURCE_ERROR, text)
    if gate.versus is not None:
        return _incomparable(gate)
    limit = _limit(gate)
    if total == 0:
        text = f"the source has counted nothing for {gate.metric} yet"
        return _Finding(Verdict.NO_DATA, text, threshold=limit.threshold)
    interval = intervals.wilson(events, total, gate.confidence)
    if total >= gate.min_samples:
        verdict = limit.verdict(interval.low, interval.high)
        counted = f"{wording.amount(events)} of {wording.amount(total)}"
        text = _sentence(gate, limit, interval, wording.scale_of(gate, rate=True), counted)
    else:
        verdict = Verdict.INCONCLUSIVE
        text = f"{gate.metric} cannot be judged yet: counted {wording.amount(total)} of {gate.min_samples} needed"
    return _Finding(verdict, text, interval, limit.threshold, None, gate.confidence, int(total))


def _point(gate: Gate, reading: PointReading, breaches: int) -> _Finding:
    if gate.versus is not None:
        return _incomparable(gate)
    limit, value = _point_limit(gate), reading.value
    if value is None or not math.isfinite(value):
        text = f"the source has no value of {gate.metric}"
        return _Finding(Verdict.NO_DATA, text, threshold=limit.threshold)
    scale = wording.scale_of(gate, rate=metric_of(gate.metric).kind == "rate")
    beyond = limit.verdict(value, value)
    end = wording.against_limit(beyond, scale.limit(limit.threshold), at_least=limit.at_least)
    text = f"{gate.metric} is {wording.significant(scale, value)}{end}"
    if beyond is Verdict.FAIL:
        row = breaches_after(gate, reading, breaches)
        if row >= gate.consecutive:
            text = f"{text}, {row} reading{'s' if row > 1 else ''} in a row"
        else:
            beyond = Verdict.INCONCLUSIVE
            text = f"{text}; {row} of the {gate.consecutive} readings in a row that make it fail"
    return _Finding(beyond, text, Interval(value, -math.inf, math.inf), limit.threshold)


def _incomparable(gate: Gate) -> _Finding:
    why = f"a {gate.source.kind} source does not tell the two apart"
    return _Finding(Verdict.SOURCE_ERROR, f"{gate.metric} cannot be compared with stable: {why}")


def _limit(gate: Gate) -> _Limit:
    """The limit of what is estimated: for a quantile the share of values that may lie above ``max``."""
    if gate.quantile is not None:
        return _Limit(round(1 - gate.quantile, 12), at_least=False)
    return _point_limit(gate)


def _point_limit(gate: Gate) -> _Limit:
    if gate.min is not None:
        return _Limit(gate.min, at_least=True)
    if gate.max is not None:
        return _Limit(gate.max, at_least=False)
    raise ValueError(f"the gate on {gate.metric} has no limit; give it one of min, max and versus")


def _enough(gate: Gate, stats: ArmStats) -> bool:
    return stats.samples >= gate.min_samples and stats.units >= gate.min_units
