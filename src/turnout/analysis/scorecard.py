"""One score for many metrics, in the manner of Kayenta's canary judge (Spinnaker, NetflixACAJudge 1.0).

Per metric the means of single minutes of both arms are two samples. Mann and Whitney's interval of their shift
decides: *high* when it lies above ``tolerance`` times the estimated shift, *low* when below minus that, else *pass*.
The score is the weight of what passed in percent of the weight of what was judged.

It departs from Kayenta where that is not replayable or takes silence for evidence. Two constant samples that differ
are compared as they are, not with random noise on them: their interval is the difference itself. The tolerance is a
share of the estimated shift, never of the baseline, so a baseline of zero needs no special case. A lack of data gives
no score instead of 0, unless a metric must have data. Minutes of one arm follow each other and are not independent,
and the test is for one look: a score is a summary for people who know it, not the evidence that gates rest on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri

from turnout.analysis.abtest import mann_whitney
from turnout.analysis.evidence import Floats
from turnout.domain.plan import Scorecard, ScoredMetric
from turnout.domain.readings import SeriesReading
from turnout.domain.stats import Minute

Classification = Literal["pass", "high", "low", "nodata"]
Decision = Literal["pass", "marginal", "fail", "no_data"]

_MOST_POINTS = 2000
_SILENT = 0.5
"""From this share of silent metrics there is no score."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One metric: ``points`` of candidate and stable, the Hodges-Lehmann ``shift`` with its interval, the two-sided p.

    ``shift`` and its ends are in the metric's unit and None for nodata. ``failed``: it counts against the score.
    """

    metric: str
    classification: Classification
    failed: bool
    reason: str
    points: tuple[int, int]
    shift: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """``score`` is 0..100, None with too little data; ``verdict`` holds it against the scorecard's two thresholds."""

    score: float | None
    verdict: Decision
    reason: str
    metrics: tuple[Scored, ...]


def judge_scorecard(card: Scorecard, reading: SeriesReading) -> Score:
    """The score of ``reading``; the same reading always has the same.

    A critical metric that fails makes it 0. There is none when a critical metric is silent, or half of the metrics or
    more are (those that must have data count as failed instead).
    """
    scored = tuple(_scored(card, metric, reading) for metric in card.metrics)
    pairs = list(zip(card.metrics, scored, strict=True))
    if failed := [one.metric for metric, one in pairs if metric.critical and one.failed]:
        return Score(0.0, "fail", f"critical {', '.join(failed)} did not pass", scored)
    silent = [one.metric for one in scored if one.classification == "nodata" and not one.failed]
    critical = [one.metric for metric, one in pairs if metric.critical and one.metric in silent]
    if critical or len(silent) >= _SILENT * len(scored):
        return Score(None, "no_data", f"too little data of {', '.join(critical or silent)}", scored)
    score = _share([(metric.weight, one) for metric, one in pairs if one.metric not in silent])
    verdict: Decision = "pass" if score >= card.passing else "marginal" if score >= card.marginal else "fail"
    lost = ", ".join(f"{one.metric} {one.classification}" for one in scored if one.failed)
    return Score(score, verdict, f"not passed: {lost}" if lost else "all with data passed", scored)


def _share(judged: Sequence[tuple[float, Scored]]) -> float:
    """The weight of what passed, in percent; summed exactly, so that all is 100 and not nearly."""
    whole = math.fsum(weight for weight, _ in judged)
    lost = math.fsum(weight for weight, one in judged if one.failed)
    return 100.0 * (1 - lost / whole)


def _scored(card: Scorecard, metric: ScoredMetric, reading: SeriesReading) -> Scored:
    candidate, stable = (_points(minutes) for minutes in reading.metrics.get(metric.metric, ((), ())))
    points = candidate.size, stable.size
    if min(points) < card.min_points:
        reason = f"{points[0]} and {points[1]} minutes with data, needs {card.min_points}"
        return Scored(metric.metric, "nodata", metric.must_have_data, reason, points)
    found = mann_whitney(candidate.tolist(), stable.tolist())
    shift = found.shift or 0.0
    low, high = shift_interval(candidate, stable, card.confidence)
    classification = _classified(metric, (low, shift, high), card.tolerance)
    reason = f"shift {shift:.4g} ({low:.4g} … {high:.4g})"
    failed = classification != "pass"
    return Scored(metric.metric, classification, failed, reason, points, shift, low, high, found.p_value)


def _classified(metric: ScoredMetric, interval: tuple[float, float, float], tolerance: float) -> Classification:
    low, shift, high = interval
    allowed = tolerance * abs(shift)
    if low > allowed and metric.direction != "decrease":
        return "high"
    return "low" if high < -allowed and metric.direction != "increase" else "pass"


def shift_interval(candidate: Floats, stable: Floats, confidence: float) -> tuple[float, float]:
    """Mann and Whitney's interval of the shift, from the ordered differences of all pairs.

    M. Hollander & D. A. Wolfe, "Nonparametric Statistical Methods" (1973) 4.3: the k-th smallest and largest
    difference, ``k = nm/2 - z √(nm(n+m+1)/12)`` rounded down, at least 1. Without ties it holds the shifts that the
    test does not reject; with ties it is wider.
    """
    differences = np.sort(np.subtract.outer(candidate, stable), axis=None)
    n, m = candidate.size, stable.size
    reach = float(ndtri((1 + confidence) / 2)) * math.sqrt(n * m * (n + m + 1) / 12)
    k = max(1, math.floor(n * m / 2 - reach))
    return float(differences[k - 1]), float(differences[n * m - k])


def _points(minutes: Sequence[Minute]) -> Floats:
    """The mean of every minute that has values; of a long series, of as few minutes together as keep 2000 points."""
    kept = [minute for minute in minutes if minute.samples > 0]
    together = -(-len(kept) // _MOST_POINTS) or 1
    groups = [kept[start : start + together] for start in range(0, len(kept), together)]
    return np.asarray([sum(one.total for one in group) / sum(one.samples for one in group) for group in groups])
