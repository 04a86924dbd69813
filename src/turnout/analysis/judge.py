"""One gate, one reading, one verdict: pure, and every verdict with the sentence that explains it.

Which method decides which gate is one table, `_by_method` and `_of_arms`; each method is a file in `methods`.
"""

from __future__ import annotations

import math
from typing import Literal

from turnout.analysis import wording
from turnout.analysis.methods import (
    counted,
    differences,
    experiment,
    first_errors,
    fixed,
    means,
    numbers,
    quantiles,
    rates,
    score,
    split,
)
from turnout.analysis.methods.finding import Finding
from turnout.analysis.methods.minutes import sound
from turnout.analysis.policy import Alphas, alphas_of, by_first_errors
from turnout.domain.plan import Gate
from turnout.domain.readings import (
    ArmReading,
    ExperimentReading,
    FractionReading,
    PointReading,
    Reading,
    SeriesReading,
    SplitReading,
)
from turnout.domain.stats import ArmStats
from turnout.domain.verdicts import Check, Verdict

Role = Literal["gate", "guardrail", "signal"]

_LONGEST_ERROR = 300


def judge(
    gate: Gate, role: Role, reading: Reading, alphas: Alphas | None = None, before: Check | None = None, key: str = ""
) -> Check:
    """Hold ``reading`` against ``gate``; ``before`` is the gate's check before this one, of the same stage.

    Harm proven at ``alphas.fail`` is a ``fail``, a good proven at ``alphas.good`` a ``pass`` (without ``alphas`` those
    of a stage with this gate alone); anything else is inconclusive. Fewer than ``min_samples`` outcomes or
    ``min_units`` users never pass, fewer than ten outcomes never fail. A bare number has no sample: it fails with the
    ``consecutive``-th breach in a row, or after more than ``failure_limit`` in the stage. Numbers that contradict each
    other are a ``source_error``.

    Raises:
        ValueError: the gate has none of min, max, versus and score.
    """
    finding = _by_method(gate, reading, alphas or alphas_of(gate), before)
    return _check(gate, role, key, finding)


def failed_source(gate: Gate, role: Role, error: Exception, before: Check | None = None, key: str = "") -> Check:
    """The check of a gate whose source could not be read; it says nothing about the candidate.

    Rows of breaches stay as they were: an outage neither lengthens nor ends them.
    """
    reason = str(error) or type(error).__name__
    short = reason if len(reason) <= _LONGEST_ERROR else reason[: _LONGEST_ERROR - 1] + "…"
    found = Finding(
        Verdict.SOURCE_ERROR,
        f"{gate.metric} could not be read: {short}",
        missing="an answer of its source",
        breaches=before.breaches if before is not None else 0,
        all_breaches=before.all_breaches if before is not None else 0,
        met=before.met if before is not None else 0,
    )
    return _check(gate, role, key, found).model_copy(
        update={"errors": (before.errors if before is not None else 0) + 1}
    )


def _by_method(gate: Gate, reading: Reading, alphas: Alphas, before: Check | None) -> Finding:
    match reading:
        case SplitReading():
            return split.judged(gate, reading, alphas)
        case SeriesReading():
            return score.scored(gate, reading)
        case ExperimentReading():
            return experiment.judged(gate, reading, before)
        case PointReading():
            return numbers.judged(gate, reading, before)
        case FractionReading() if gate.method == "fixed":
            return fixed.fraction(gate, reading, before)
        case FractionReading():
            return counted.judged(gate, reading, alphas, before)
        case ArmReading():
            return _contradiction(gate, reading) or _of_arms(gate, reading, alphas)


def _of_arms(gate: Gate, reading: ArmReading, alphas: Alphas) -> Finding:
    if gate.method == "fixed":
        return fixed.judged(gate, reading)
    if gate.versus is None:
        return rates.judged(gate, reading, alphas) if reading.rate else means.judged(gate, reading, alphas)
    if gate.quantile is not None:
        return quantiles.judged(gate, reading, alphas)
    if by_first_errors(gate):
        return first_errors.judged(gate, reading, alphas)
    return differences.judged(gate, reading, alphas)


def _contradiction(gate: Gate, reading: ArmReading) -> Finding | None:
    arms = (
        ("the candidate", reading.candidate, reading.candidate_minutes),
        ("stable", reading.stable, reading.stable_minutes),
    )
    for arm, stats, minutes in arms:
        if not _plausible(stats, reading.rate) or not sound(minutes, rate=reading.rate):
            numbers = f"{wording.crowd(stats)}, sum {stats.total:g}"
            text = f"the source's numbers of {gate.metric} for {arm} contradict each other: {numbers}"
            return Finding(Verdict.SOURCE_ERROR, text)
    return None


def _plausible(stats: ArmStats, rate: bool) -> bool:
    sums = (stats.total, stats.squares, stats.nn, stats.yy, stats.ny)
    counted = 0 <= stats.units <= stats.samples and (stats.units > 0) == (stats.samples > 0)
    counted = counted and 0 <= stats.hits <= stats.units and 0 <= stats.clusters <= stats.units
    return counted and all(map(math.isfinite, sums)) and (not rate or 0 <= stats.total <= stats.samples)


def _check(gate: Gate, role: Role, key: str, finding: Finding) -> Check:
    found = finding.interval
    bounded = found.estimate is not None and math.isfinite(found.low) and math.isfinite(found.high)
    alphas = finding.alphas
    return Check(
        gate=gate.label,
        metric=gate.metric,
        role=role,
        verdict=finding.verdict,
        text=finding.text,
        value=_finite(found.estimate),
        low=found.low if bounded else None,
        high=found.high if bounded else None,
        baseline=_finite(finding.baseline),
        threshold=_finite(finding.threshold),
        confidence=finding.confidence if bounded else None,
        samples=finding.samples,
        units=finding.units,
        key=key,
        method=finding.method,
        anytime=finding.anytime,
        p_fail=finding.p_fail,
        p_pass=finding.p_pass,
        alpha_fail=alphas.fail if alphas is not None else None,
        alpha_pass=alphas.good if alphas is not None and finding.p_pass is not None else None,
        design_effect=_finite(finding.design_effect),
        effective_units=_finite(finding.effective_units),
        missing=finding.missing,
        breaches=finding.breaches,
        all_breaches=finding.all_breaches,
        met=finding.met,
        dry_run=gate.dry_run,
        experiment=finding.experiment,
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
