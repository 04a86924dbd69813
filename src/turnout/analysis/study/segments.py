"""Is the effect the same everywhere? Effects by segment, and Cochran's test that they differ by chance alone."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import chdtrc, stdtrit

from turnout.analysis.abtest import Comparison, welch
from turnout.analysis.study.frame import Frame, Measured
from turnout.analysis.study.outcomes import Codes
from turnout.analysis.study.pairs import closed
from turnout.analysis.study.result import Part, Segments


def unit_segments(frame: Frame) -> tuple[Codes, int]:
    """The segment of every unit, -1 for none or several, and how many units have several."""
    outcomes = frame.outcomes
    segment = outcomes.segment if outcomes.segment is not None else np.full(outcomes.unit.shape, -1)
    known = segment >= 0
    least = np.full(outcomes.units, len(outcomes.segments), dtype=np.int64)
    most = np.full(outcomes.units, -1, dtype=np.int64)
    np.minimum.at(least, outcomes.unit[known], segment[known])
    np.maximum.at(most, outcomes.unit[known], segment[known])
    several = (most >= 0) & (least != most)
    return np.where(several, -1, most), int(several.sum())


def by_segment(found: Measured, arm: int, of_unit: Codes) -> Segments:
    """The effect in every segment, by Welch's t between units.

    W. G. Cochran, "The combination of estimates from different experiments", Biometrics 10 (1954) 101-129:
    ``Q = Σ w_k (d_k - d̄)²`` with w_k = 1/se_k², d̄ their weighted mean, χ² with one degree less than segments.
    """
    frame = found.frame
    parts: list[Part] = []
    effects: list[tuple[float, float]] = []
    for code, name in enumerate(frame.outcomes.segments):
        pair = found.pair(arm, of_unit[frame.outcomes.unit] == code)
        one = welch(pair.arm.stats, pair.control.stats, frame.question.confidence, guarded=pair.guarded)
        parts.append(
            Part(
                segment=name,
                units=pair.arm.unit.size,
                control_units=pair.control.unit.size,
                estimate=one.estimate,
                low=closed(one.low),
                high=closed(one.high),
            )
        )
        se = standard_error(one, frame.question.confidence)
        if one.estimate is not None and se:
            effects.append((one.estimate, se))
    q, freedom, p_value = heterogeneity(effects)
    return Segments(column=frame.question.segment, parts=tuple(parts), q=q, freedom=freedom, p_value=p_value)


def heterogeneity(effects: list[tuple[float, float]]) -> tuple[float | None, int, float | None]:
    """Cochran's Q of effects with their standard errors, its degrees of freedom and p-value; None below two."""
    if len(effects) < 2:
        return None, 0, None
    estimate = np.asarray([effect for effect, _ in effects])
    weight = np.asarray([1 / (se * se) for _, se in effects])
    centre = float(weight @ estimate) / float(weight.sum())
    q = float(weight @ (estimate - centre) ** 2)
    return q, len(effects) - 1, float(chdtrc(len(effects) - 1, q))


def standard_error(found: Comparison, confidence: float) -> float | None:
    """The standard error that an interval by t was made with; None for an open or an empty one."""
    half = (found.high - found.low) / 2
    if not math.isfinite(half) or half <= 0 or not math.isfinite(found.freedom):
        return None
    return half / float(stdtrit(found.freedom, (1 + confidence) / 2))
