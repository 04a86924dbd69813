"""Scorecards as gates; see `turnout.analysis.scorecard`."""

from __future__ import annotations

import math

from turnout.analysis import wording
from turnout.analysis.intervals import Interval
from turnout.analysis.methods.finding import Finding
from turnout.analysis.scorecard import Score, judge_scorecard
from turnout.domain.plan import Gate
from turnout.domain.readings import SeriesReading
from turnout.domain.verdicts import Verdict

METHOD = "score of Mann–Whitney tests, for one look"

_VERDICTS = {
    "pass": Verdict.PASS,
    "marginal": Verdict.INCONCLUSIVE,
    "fail": Verdict.FAIL,
    "no_data": Verdict.NO_DATA,
}


def scored(gate: Gate, reading: SeriesReading) -> Finding:
    """The score of ``reading`` against the scorecard's two thresholds; between them nothing is decided.

    Raises:
        ValueError: the gate has no scorecard.
    """
    card = gate.score
    if card is None:
        raise ValueError(f"the gate on {gate.metric} has no score; add score: {{metrics: [...]}}")
    found = judge_scorecard(card, reading)
    verdict = _VERDICTS[found.verdict]
    samples = sum(minute.samples for candidate, _ in reading.metrics.values() for minute in candidate)
    return Finding(
        verdict,
        _text(gate, found),
        METHOD,
        interval=Interval(found.score, -math.inf, math.inf),
        threshold=card.passing,
        samples=samples,
        missing=_lacking(verdict, found),
    )


def _text(gate: Gate, found: Score) -> str:
    card = gate.score
    if card is None or found.score is None:
        return f"there is no score yet: {found.reason}"
    judged = sum(one.classification != "nodata" for one in found.metrics)
    opening = f"the score of {wording.count(judged, 'metric')} is {found.score:.4g} of 100"
    limits = f"passes from {card.passing:g}, fails below {card.marginal:g}"
    return f"{opening} ({limits}): {found.reason}"


def _lacking(verdict: Verdict, found: Score) -> str:
    match verdict:
        case Verdict.NO_DATA:
            return found.reason.removeprefix("too little ")
        case Verdict.INCONCLUSIVE:
            return "a score beyond the marginal range"
        case _:
            return ""
