"""The arms of a test against its control, metric by metric, at one look. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from turnout.analysis import abtest
from turnout.analysis.abtest import Comparison
from turnout.analysis.clusters import comparative_effect, sums_of
from turnout.analysis.multiple import dunnett, holm
from turnout.domain.experiments import ArmResult, ArmVerdict, Correction, Experiment, MetricResult, MetricUnderTest
from turnout.domain.metrics import metric_of
from turnout.domain.stats import ArmStats

_FEW = 500
"""Below so many users an arm alone underestimates its variance of rare values; see `abtest.welch`."""

Arms = Mapping[str, ArmStats]
"""The statistics of one metric by arm."""


@dataclass(frozen=True, slots=True)
class Certainty:
    """How sure one look has to be: below which corrected p-value (two-sided) a comparison counts."""

    correction: Correction
    comparisons: int
    p_needed: float

    @property
    def confidence(self) -> float:
        """That of the intervals of one comparison: they exclude zero about when its p-value counts."""
        return 1 - self.p_needed / (1 if self.correction in ("none", "dunnett") else self.comparisons)


def correction_of(experiment: Experiment) -> Correction:
    """How the p-values of ``experiment`` are corrected.

    At one look several arms in one metric go by Dunnett, which knows that they share the control, and several metrics
    by Holm. Planned looks split the error rate evenly (Bonferroni), since each comparison has boundaries of its own.
    """
    if experiment.comparisons == 1:
        return "none"
    if len(experiment.looks) > 1:
        return "bonferroni"
    return "holm" if len(experiment.improving) > 1 else "dunnett"


def compared(experiment: Experiment, found: Mapping[str, Arms], certainty: Certainty) -> tuple[MetricResult, ...]:
    """Every metric of ``experiment`` at a look with the statistics ``found`` (by metric and arm), verdicts included."""
    results = [_metric(experiment, metric, found[metric.metric], certainty) for metric in experiment.metrics]
    return tuple(_judged(result, certainty) for result in _corrected(results, certainty))


def described(experiment: Experiment, found: Mapping[str, Arms]) -> tuple[MetricResult, ...]:
    """Values and numbers of the arms without any comparison: what may be seen before a look."""
    return tuple(
        _bare(metric, "", None, [_own(experiment, arm, found[metric.metric]) for arm in _in_order(experiment)])
        for metric in experiment.metrics
    )


def contradiction(metric: str, arms: Arms) -> str:
    """What is impossible about the statistics of ``metric``; empty when nothing is."""
    rate = metric_of(metric).kind == "rate"
    for arm, stats in arms.items():
        counted = 0 <= stats.units <= stats.samples and (stats.units > 0) == (stats.samples > 0)
        finite = all(map(math.isfinite, (stats.total, stats.squares, stats.nn, stats.yy, stats.ny)))
        if not (counted and finite and (not rate or 0 <= stats.total <= stats.samples)):
            numbers = f"{stats.samples} outcomes of {stats.units} users, sum {stats.total:g}"
            return f"the source's numbers of {metric} for {arm} contradict each other: {numbers}"
    return ""


def _metric(experiment: Experiment, metric: MetricUnderTest, arms: Arms, certainty: Certainty) -> MetricResult:
    improves = metric.goal == "improve"
    control, treatments = arms[experiment.control], experiment.treatments
    if improves and certainty.correction == "dunnett":
        confidence, method = certainty.confidence, "Dunnett's t between users"
        pairs = dunnett([arms[arm] for arm in treatments], control, confidence)
    else:
        # To be no worse has to hold of every metric by itself: nothing is won by trying more of them.
        single = 1 - certainty.p_needed if certainty.correction != "bonferroni" else certainty.confidence
        confidence = certainty.confidence if improves else single
        pairs = [_pair(metric, arms[arm], control, confidence) for arm in treatments]
        method = _method(metric, [arms[arm] for arm in (*treatments, experiment.control)])
    results = [_result(arm, arms[arm], control, pair) for arm, pair in zip(treatments, pairs, strict=True)]
    own = _own(experiment, experiment.control, arms)
    return _bare(metric, method, confidence, [own, *results])


def _pair(metric: MetricUnderTest, arm: ArmStats, control: ArmStats, confidence: float) -> Comparison:
    if metric_of(metric.metric).kind == "number":
        return abtest.welch(arm, control, confidence, guarded=min(arm.units, control.units) < _FEW)
    effect = float(comparative_effect(sums_of(arm), sums_of(control))) if arm.samples and control.samples else 1.0
    ours, theirs = ((one.total / effect, one.samples / effect) for one in (arm, control))
    return abtest.score(ours, theirs, confidence)


def _method(metric: MetricUnderTest, arms: Sequence[ArmStats]) -> str:
    if metric_of(metric.metric).kind == "number":
        return "Welch's t between users"
    single = all(one.nn <= one.samples for one in arms)
    return "Miettinen–Nurminen score" + ("" if single else ", counts divided by their design effect")


def _result(arm: str, stats: ArmStats, control: ArmStats, pair: Comparison) -> ArmResult:
    known = min(stats.units, control.units) >= 2 and pair.estimate is not None
    theirs = _value(control)
    return ArmResult(
        arm=arm,
        outcomes=stats.samples,
        users=stats.units,
        value=_value(stats),
        effect=pair.estimate if known else None,
        low=_closed(pair.low) if known else None,
        high=_closed(pair.high) if known else None,
        lift=pair.estimate / abs(theirs) if known and pair.estimate is not None and theirs else None,
        p_value=pair.p_value if known else None,
    )


def _own(experiment: Experiment, arm: str, arms: Arms) -> ArmResult:
    stats = arms[arm]
    told: ArmVerdict = "control" if arm == experiment.control else "undecided" if stats.units else "no_data"
    return ArmResult(arm=arm, outcomes=stats.samples, users=stats.units, value=_value(stats), verdict=told)


def _corrected(results: Sequence[MetricResult], certainty: Certainty) -> list[MetricResult]:
    """The p-values of all comparisons that share the error rate, in one family."""
    family = [one for result in results if result.goal == "improve" for one in result.arms if one.p_value is not None]
    values = [one.p_value or 0.0 for one in family]
    match certainty.correction:
        case "holm":
            adjusted = holm(values)
        case "bonferroni":
            adjusted = [min(1.0, value * certainty.comparisons) for value in values]
        case _:
            adjusted = values
    corrected = iter(adjusted)
    return [
        result
        if result.goal != "improve"
        else result.model_copy(
            update={
                "arms": tuple(
                    one if one.p_value is None else one.model_copy(update={"p_corrected": next(corrected)})
                    for one in result.arms
                )
            }
        )
        for result in results
    ]


def _judged(result: MetricResult, certainty: Certainty) -> MetricResult:
    arms = tuple(one.model_copy(update={"verdict": _verdict(result, one, certainty)}) for one in result.arms)
    return result.model_copy(update={"arms": arms})


def _verdict(result: MetricResult, one: ArmResult, certainty: Certainty) -> ArmVerdict:
    if one.verdict == "control":
        return "control"
    if one.effect is None:
        return "no_data"
    sign = 1 if result.better == "higher" else -1
    if result.goal == "improve":
        if one.p_corrected is None or one.p_corrected >= certainty.p_needed:
            return "undecided"
        return "better" if sign * one.effect > 0 else "worse"
    if one.low is None or one.high is None:
        return "undecided"
    worst, best = sorted((sign * one.low, sign * one.high))
    allowed = -(result.margin or 0.0)
    return "not_worse" if worst >= allowed else "worse" if best < allowed else "undecided"


def _bare(metric: MetricUnderTest, method: str, confidence: float | None, arms: Sequence[ArmResult]) -> MetricResult:
    return MetricResult(
        metric=metric.metric,
        goal=metric.goal,
        better=metric.better,
        kind=metric_of(metric.metric).kind,
        method=method,
        confidence=confidence,
        smallest_effect=metric.smallest_effect,
        margin=metric.margin,
        arms=tuple(arms),
    )


def _in_order(experiment: Experiment) -> tuple[str, ...]:
    return (experiment.control, *experiment.treatments)


def _value(stats: ArmStats) -> float | None:
    return stats.total / stats.samples if stats.samples else None


def _closed(end: float) -> float | None:
    return end if math.isfinite(end) else None
