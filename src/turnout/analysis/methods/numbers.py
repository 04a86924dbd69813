"""A bare number without a sample: no statistical test, only patience with single readings."""

from __future__ import annotations

import math
from dataclasses import replace

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
    stage. Meeting the limit ends a row; no value neither lengthens nor ends it. The health of a service passes only
    with the ``consecutive``-th good answer in a row that its source asks for.
    """
    if gate.versus is not None:
        return incomparable(gate)
    limit, value = plain_limit(gate), reading.value
    row, all_of, met = (before.breaches, before.all_breaches, before.met) if before is not None else (0, 0, 0)
    if value is None or not math.isfinite(value):
        text = f"the source has no value of {gate.metric}"
        found = Finding(Verdict.NO_DATA, text, METHOD, threshold=limit.threshold, missing="a value")
        return replace(found, breaches=row, all_breaches=all_of, met=met)
    beyond = limit.verdict(value, value)
    interval = Interval(value, -math.inf, math.inf)
    text = _said(gate, value, beyond, reading.note)
    found = Finding(beyond, text, METHOD, interval=interval, threshold=limit.threshold)
    if gate.source.kind == "router":
        return found
    if beyond is Verdict.PASS:
        verdict, told, missing = _met(gate, met + 1)
        row, met = 0, met + 1
    else:
        verdict, told, missing = _breached(gate, row + 1, all_of + 1)
        row, all_of, met = row + 1, all_of + 1, 0
    return replace(
        found, verdict=verdict, text=text + told, missing=missing, breaches=row, all_breaches=all_of, met=met
    )


def _said(gate: Gate, value: float, beyond: Verdict, note: str) -> str:
    """The sentence about a reading; what a router does is no number to people."""
    if gate.source.kind == "router":
        does = "the router does as planned" if beyond is Verdict.PASS else "the router did otherwise"
        return f"{does}: {note}" if note else does
    limit, scale = plain_limit(gate), wording.scale_of(gate, rate=metric_of(gate.metric).kind == "rate")
    end = wording.against_limit(beyond, scale.limit(limit.threshold), at_least=limit.at_least)
    return f"{gate.metric} is {wording.significant(scale, value)}{end}" + (f" ({note})" if note else "")


def _met(gate: Gate, met: int) -> tuple[Verdict, str, str]:
    """The verdict after a reading within the limit, what the sentence says of it, and what it takes to pass."""
    source = gate.source
    if source.kind != "http" or met >= source.consecutive:
        return Verdict.PASS, "", ""
    told = f"; {met} of the {source.consecutive} good answers in a row that make it pass"
    return Verdict.INCONCLUSIVE, told, "good answers"


def _breached(gate: Gate, row: int, all_of: int) -> tuple[Verdict, str, str]:
    """The verdict after a breach, what the sentence says of it, and what it takes to fail."""
    if row >= gate.consecutive:
        return Verdict.FAIL, f", {wording.count(row, 'reading')} in a row", ""
    if gate.failure_limit is not None and all_of > gate.failure_limit:
        allowed = f"more than the {gate.failure_limit} that are allowed"
        return Verdict.FAIL, f", {wording.count(all_of, 'reading')} in this stage, {allowed}", ""
    told = f"; {row} of the {gate.consecutive} readings in a row that make it fail"
    return Verdict.INCONCLUSIVE, told, "readings within the limit, or more beyond it"
