"""A bare number without a sample: no statistical test, only patience with single readings."""

from __future__ import annotations

import math

from turnout.analysis import wording
from turnout.analysis.intervals import Interval
from turnout.analysis.methods.counted import incomparable
from turnout.analysis.methods.finding import Finding, plain_limit
from turnout.domain.metrics import metric_of
from turnout.domain.plan import Gate
from turnout.domain.readings import PointReading
from turnout.domain.verdicts import Check, Verdict

METHOD = "readings against the limit, no statistical test"


def judged(gate: Gate, reading: PointReading, before: Check | None) -> Finding:
    """Hold one number against the gate's limit.

    It fails with the ``consecutive``-th breach in a row, or when more than ``failure_limit`` breaches came in the
    stage. Meeting the limit ends a row; no value neither lengthens nor ends it.
    """
    if gate.versus is not None:
        return incomparable(gate)
    limit, value = plain_limit(gate), reading.value
    row, all_of = (before.breaches, before.all_breaches) if before is not None else (0, 0)
    if value is None or not math.isfinite(value):
        text = f"the source has no value of {gate.metric}"
        found = Finding(Verdict.NO_DATA, text, METHOD, threshold=limit.threshold, missing="a value")
        return _counted(found, row, all_of)
    scale = wording.scale_of(gate, rate=metric_of(gate.metric).kind == "rate")
    beyond = limit.verdict(value, value)
    end = wording.against_limit(beyond, scale.limit(limit.threshold), at_least=limit.at_least)
    text = f"{gate.metric} is {wording.significant(scale, value)}{end}"
    interval = Interval(value, -math.inf, math.inf)
    if beyond is Verdict.PASS:
        return _counted(Finding(beyond, text, METHOD, interval=interval, threshold=limit.threshold), 0, all_of)
    verdict, told, missing = _breached(gate, row + 1, all_of + 1)
    found = Finding(verdict, text + told, METHOD, interval=interval, threshold=limit.threshold, missing=missing)
    return _counted(found, row + 1, all_of + 1)


def _breached(gate: Gate, row: int, all_of: int) -> tuple[Verdict, str, str]:
    """The verdict after a breach, what the sentence says of it, and what it takes to fail."""
    if row >= gate.consecutive:
        return Verdict.FAIL, f", {wording.count(row, 'reading')} in a row", ""
    if gate.failure_limit is not None and all_of > gate.failure_limit:
        allowed = f"more than the {gate.failure_limit} that are allowed"
        return Verdict.FAIL, f", {wording.count(all_of, 'reading')} in this stage, {allowed}", ""
    told = f"; {row} of the {gate.consecutive} readings in a row that make it fail"
    return Verdict.INCONCLUSIVE, told, "readings within the limit, or more beyond it"


def _counted(found: Finding, row: int, all_of: int) -> Finding:
    return Finding(
        found.verdict,
        found.text,
        found.method,
        interval=found.interval,
        threshold=found.threshold,
        missing=found.missing,
        breaches=row,
        all_breaches=all_of,
    )
