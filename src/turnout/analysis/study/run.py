"""The study itself: every metric of every arm, then what only all of them together say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from turnout.analysis.evidence import Floats
from turnout.analysis.multiple import benjamini_hochberg, holm
from turnout.analysis.srm import MISMATCH_ALPHA, mismatch
from turnout.analysis.study import words
from turnout.analysis.study.findings import Context, findings_of
from turnout.analysis.study.frame import Frame, frame_of
from turnout.analysis.study.metrics import Metric
from turnout.analysis.study.outcomes import Outcomes
from turnout.analysis.study.planned import crossing, plan_of
from turnout.analysis.study.question import Question
from turnout.analysis.study.result import ArmCount, Column, Estimate, Finding, Plan, Rows, SampleRatio, Study
from turnout.analysis.study.segments import unit_segments
from turnout.domain.errors import InvalidInput, Problem

_FIXED = "A result at this look is right for one planned look; who looks repeatedly reads the one at any time."
_SEGMENTS = "Effects by segment show whether the effect is the same everywhere; they pick no winner."
_CROSSED = "Units in several arms say nothing of any one of them and are left out."
_COVARIATE = "The covariate adjusts results at this look, and means at any time; it must be from before the exposure."

Found = Sequence[tuple[Metric, Finding]]


def study(outcomes: Outcomes, question: Question) -> Study:
    """What the outcomes say to the question. Every statistic counts units, never outcomes as if independent.

    Raises:
        InvalidInput: the control is no arm, there is nothing to compare it with, or shares and arms do not match.
    """
    unseen = [arm for arm in question.shares if arm not in outcomes.arms]
    outcomes = replace(outcomes, arms=(*outcomes.arms, *unseen))
    _check_arms(outcomes, question)
    frame = frame_of(outcomes, question)
    of_unit, several = unit_segments(frame) if question.segment else (None, 0)
    context = Context(frame, _unit_covariate(outcomes), of_unit)
    found = [(metric, finding) for metric in question.metrics for finding in findings_of(context, metric)]
    comparisons = sum(metric.limit is None for metric, _ in found)
    plan = plan_of(question, sum(frame.cohorts.counts), comparisons)
    ratio = _sample_ratio(frame)
    return Study(
        control=question.control,
        confidence=question.confidence,
        power=question.power,
        method=question.method,
        correction=question.correction,
        comparisons=comparisons,
        rows=_rows(frame, several),
        columns=_columns(outcomes),
        sample_ratio=ratio,
        comparable=not ratio.mismatch,
        plan=plan,
        findings=_judged(found, question, plan),
        notes=_notes(frame),
    )


def _check_arms(outcomes: Outcomes, question: Question) -> None:
    arms = ", ".join(outcomes.arms) or "none"
    if question.control not in outcomes.arms:
        raise InvalidInput([Problem("--control", "is no arm of the data", f"the arms are {arms}", question.control)])
    if len(outcomes.arms) < 2:
        remedy = "record another arm, or check --arm"
        raise InvalidInput([Problem("--arm", "has one arm only, nothing to compare with", remedy, arms)])
    missing = [arm for arm in outcomes.arms if question.shares and arm not in question.shares]
    if missing:
        remedy = "name every arm, such as --shares stable=0.95,candidate=0.05"
        raise InvalidInput([Problem("--shares", "leaves out an arm of the data", remedy, ", ".join(missing))])


def _unit_covariate(outcomes: Outcomes) -> Floats | None:
    """By unit the mean of its rows' covariate, NaN for none."""
    if outcomes.covariate is None:
        return None
    known = ~np.isnan(outcomes.covariate)
    unit = outcomes.unit[known]
    n = np.bincount(unit, minlength=outcomes.units)
    x = np.bincount(unit, weights=outcomes.covariate[known], minlength=outcomes.units)
    return np.where(n > 0, x / np.maximum(n, 1), np.nan)


def _sample_ratio(frame: Frame) -> SampleRatio:
    arms = tuple(
        ArmCount(arm=arm, units=units, share=share)
        for arm, units, share in zip(frame.outcomes.arms, frame.cohorts.counts, frame.shares, strict=True)
    )
    found = mismatch(frame.cohorts.counts, frame.shares)
    ratio = SampleRatio(
        arms=arms,
        given=bool(frame.question.shares),
        p_value=found.p_value,
        mismatch=found.rejects(MISMATCH_ALPHA),
        text="",
    )
    return ratio.model_copy(update={"text": words.ratio_text(ratio)})


def _rows(frame: Frame, several: int) -> Rows:
    outcomes = frame.outcomes
    return Rows(
        read=outcomes.rows,
        without_unit_or_arm=outcomes.nobody,
        repeated=outcomes.repeated,
        crossed_over_units=frame.cohorts.crossed,
        units_in_several_segments=several,
    )


def _columns(outcomes: Outcomes) -> tuple[Column, ...]:
    return tuple(
        Column(column=name, values=one.values, missing=one.missing, not_finite=one.not_finite)
        for name, one in outcomes.columns.items()
    )


def _notes(frame: Frame) -> tuple[str, ...]:
    question, outcomes = frame.question, frame.outcomes
    said = (
        (_FIXED, question.fixed and not question.looks),
        (_CROSSED, frame.cohorts.crossed > 0),
        (_COVARIATE, outcomes.covariate is not None),
        (_SEGMENTS, bool(question.segment)),
    )
    return tuple(text for text, applies in said if applies)


def _judged(found: Found, question: Question, plan: Plan | None) -> tuple[Finding, ...]:
    """The findings with what depends on all of them: corrected p-values, boundaries, verdicts, sentences."""
    at_look = _corrected([(metric, finding.fixed) for metric, finding in found], question)
    at_any = _corrected([(metric, finding.anytime) for metric, finding in found], question)
    judged: list[Finding] = []
    for (metric, finding), fixed, anytime in zip(found, at_look, at_any, strict=True):
        crossed = crossing(fixed, plan) if plan is not None and fixed is not None and metric.limit is None else None
        if crossed is not None and fixed is not None:
            fixed = fixed.model_copy(update={"verdict": words.verdict_of(fixed, metric, crossed.crossed)})
        whole = finding.model_copy(update={"fixed": fixed, "anytime": anytime, "crossing": crossed})
        judged.append(whole.model_copy(update={"text": words.sentence(whole, metric, question.control)}))
    return tuple(judged)


def _corrected(found: Sequence[tuple[Metric, Estimate | None]], question: Question) -> list[Estimate | None]:
    """Verdicts by p-values that count all comparisons; requirements are not counted, each has to hold by itself."""
    compared = [one for metric, one in found if metric.limit is None and one is not None and one.p_value is not None]
    values = [one.p_value or 0.0 for one in compared]
    adjust = {"holm": holm, "bh": benjamini_hochberg}.get(question.correction)
    corrected = iter(adjust(values) if adjust else values)
    done: list[Estimate | None] = []
    for metric, one in found:
        if one is None or metric.limit is not None:
            done.append(one)
        elif one.p_value is None:
            done.append(one.model_copy(update={"verdict": "no_data"}))
        else:
            p_value = next(corrected)
            verdict = words.verdict_of(one, metric, p_value < question.alpha)
            done.append(one.model_copy(update={"p_corrected": p_value, "verdict": verdict}))
    return done
