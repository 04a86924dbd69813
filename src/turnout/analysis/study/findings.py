"""One metric of one arm: against the control, or against its limit."""

from __future__ import annotations

from dataclasses import dataclass

from turnout.analysis.abtest import Comparison
from turnout.analysis.evidence import Floats
from turnout.analysis.multiple import dunnett
from turnout.analysis.study import anytime, fixed, inorder
from turnout.analysis.study.frame import Frame, Measured, measured
from turnout.analysis.study.metrics import Metric
from turnout.analysis.study.outcomes import Codes
from turnout.analysis.study.pairs import Pair, closed
from turnout.analysis.study.planned import power
from turnout.analysis.study.result import Adjustment, Estimate, Finding, Ranks, Requirement, Simultaneous
from turnout.analysis.study.segments import by_segment


@dataclass(frozen=True)
class Context:
    """The frame, and by unit the covariate (NaN for none) and the segment (-1 for none or several)."""

    frame: Frame
    covariate: Floats | None
    of_unit: Codes | None

    def adjusted(self, pair: Pair) -> Pair:
        """``pair`` for a result at any time: of means with the covariate's part taken out, where there is one."""
        if self.covariate is None or pair.metric.kind != "mean" or pair.empty:
            return pair
        return fixed.residual(pair, self.covariate)


def findings_of(context: Context, metric: Metric) -> list[Finding]:
    """One finding an arm against the control; with a limit one of every arm including it. No verdicts yet."""
    frame = context.frame
    values = measured(frame, metric)
    if metric.limit is not None:
        return [_limited(values, arm) for arm in (frame.control, *frame.others)]
    findings = [_compared(context, values, arm) for arm in frame.others]
    if metric.kind == "mean" and len(findings) > 1 and frame.question.fixed and context.covariate is None:
        return _simultaneous(values, findings)
    return findings


def _compared(context: Context, values: Measured, arm: int) -> Finding:
    question, pair = context.frame.question, values.pair(arm)
    margin = question.margins.get(values.metric.label)
    finding = _described(values, arm, pair).model_copy(
        update={
            "control_outcomes": int(pair.control.n.sum()),
            "control_units": pair.control.unit.size,
            "control_value": pair.control.value,
            "design_effect": 1.0 if pair.empty else pair.effect,
            "segments": None if context.of_unit is None else by_segment(values, arm, context.of_unit),
        }
    )
    look = _at_this_look(context, pair) if question.fixed else None
    left = look.adjustment.variance_left if look and look.adjustment else 1.0
    detectable, at_margin = power(pair, question, margin, left)
    return finding.model_copy(
        update={
            "fixed": look.estimate if look else None,
            "ranks": look.ranks if look else None,
            "adjustment": look.adjustment if look else None,
            "anytime": _at_any_time(context, values, arm, pair) if question.anytime else None,
            "requirement": _requirement(context, pair, look.comparison if look else None),
            "detectable": detectable,
            "power_at_margin": at_margin,
        }
    )


@dataclass(frozen=True)
class _Look:
    comparison: Comparison
    estimate: Estimate
    ranks: Ranks | None = None
    adjustment: Adjustment | None = None


def _at_this_look(context: Context, pair: Pair) -> _Look:
    question = context.frame.question
    found, method, note = fixed.comparison(pair, question)
    if pair.empty:
        return _Look(found, fixed.estimate(found, method, note))
    adjustment = None
    if context.covariate is not None and pair.metric.kind != "quantile":
        found, adjustment = fixed.adjusted(pair, context.covariate, question.confidence)
        method = "Welch's t between units' means, adjusted by the covariate (CUPED)"
    estimate = fixed.estimate(found, method, note)
    if question.test == "welch" or pair.metric.kind != "mean":
        return _Look(found, estimate, None, adjustment)
    ranks, p_value = fixed.ranks(pair)
    told = f"Mann-Whitney between units' means; interval by {method}"
    return _Look(found, estimate.model_copy(update={"p_value": p_value, "method": told}), ranks, adjustment)


def _at_any_time(context: Context, values: Measured, arm: int, pair: Pair) -> Estimate:
    last = anytime.compared(context.adjusted(pair), values.frame.question)
    found = inorder.first_decided(values, arm, last, context.adjusted)
    told = {"method": f"{found.method} of units' means, adjusted by the covariate (CUPED)"}
    return found if context.adjusted(pair) is pair else found.model_copy(update=told)


def _requirement(context: Context, pair: Pair, found: Comparison | None) -> Requirement | None:
    question, label = context.frame.question, pair.metric.label
    margin, ratio = question.margins.get(label), question.ratios.get(label)
    if margin is not None:
        return Requirement(
            kind="margin",
            value=margin,
            fixed=fixed.within_margin(pair, found, margin, question) if found else None,
            anytime=anytime.within_margin(context.adjusted(pair), margin, question) if question.anytime else None,
        )
    if ratio is None:
        return None
    return Requirement(
        kind="ratio",
        value=ratio,
        fixed=fixed.within_ratio(pair, ratio, question) if found else None,
        anytime=anytime.within_ratio(pair, ratio, question) if question.anytime else None,
    )


def _limited(values: Measured, arm: int) -> Finding:
    question, metric = values.frame.question, values.metric
    pair = Pair(metric, values.arm(arm), values.arm(_lender(values.frame, arm)), 0.5)
    by_fixed, met_fixed = fixed.against_limit(pair, question) if question.fixed else (None, None)
    by_anytime, met_anytime = anytime.against_limit(pair, question) if question.anytime else (None, None)
    flip = metric.kind == "rate" and metric.better == "higher"
    value = pair.arm.value
    return _described(values, arm, pair).model_copy(
        update={
            "value": 1 - value if flip and value is not None else value,
            "design_effect": fixed.level_effect(pair) if value is not None else 1.0,
            "fixed": _flipped(by_fixed) if flip else by_fixed,
            "anytime": _flipped(by_anytime) if flip else by_anytime,
            "requirement": Requirement(kind="limit", value=metric.limit or 0.0, fixed=met_fixed, anytime=met_anytime),
        }
    )


def _lender(frame: Frame, arm: int) -> int:
    """Another arm, which may know better how alike the outcomes of a unit are: the control, or the largest."""
    if arm != frame.control:
        return frame.control
    return max(frame.others, key=lambda other: frame.cohorts.counts[other])


def _described(values: Measured, arm: int, pair: Pair) -> Finding:
    """The finding without any test."""
    return Finding(
        metric=values.metric.label,
        arm=values.frame.outcomes.arms[arm],
        outcomes=int(pair.arm.n.sum()),
        units=pair.arm.unit.size,
        value=pair.arm.value,
        threshold=values.threshold,
        quantile=values.quantile(arm),
    )


def _flipped(found: Estimate | None) -> Estimate | None:
    """A level of zeros as one of ones."""
    if found is None or found.estimate is None:
        return found
    low = None if found.high is None else 1 - found.high
    high = None if found.low is None else 1 - found.low
    return found.model_copy(update={"estimate": 1 - found.estimate, "low": low, "high": high})


def _simultaneous(values: Measured, findings: list[Finding]) -> list[Finding]:
    frame = values.frame
    arms = [values.arm(arm).stats for arm in frame.others]
    joint = dunnett(arms, values.arm(frame.control).stats, frame.question.confidence)
    return [
        finding.model_copy(
            update={"simultaneous": Simultaneous(low=closed(one.low), high=closed(one.high), p_value=one.p_value)}
        )
        for finding, one in zip(findings, joint, strict=True)
    ]
