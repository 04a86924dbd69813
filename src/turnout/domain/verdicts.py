"""The five verdicts, and what one check of one gate found."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal

from turnout.domain.model import Frozen


class Verdict(StrEnum):
    """What the evidence says. The five are never merged: an outage of a source is not a bad candidate."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no_data"
    SOURCE_ERROR = "source_error"


_BY_WEIGHT = (Verdict.FAIL, Verdict.SOURCE_ERROR, Verdict.NO_DATA, Verdict.INCONCLUSIVE)


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of several gates together: proven harm first, then what keeps us from knowing.

    ``pass`` needs every verdict to be ``pass``; no verdict at all is ``no_data``, because silence proves nothing.
    """
    seen = set(verdicts)
    if not seen:
        return Verdict.NO_DATA
    return next((verdict for verdict in _BY_WEIGHT if verdict in seen), Verdict.PASS)


class Check(Frozen):
    """One gate or guardrail, read once.

    ``value`` is the candidate's estimate (a difference to stable when ``baseline`` is set) in the metric's own
    unit (rates 0..1, latency in milliseconds), ``low``/``high`` its interval at ``confidence``, ``threshold`` the
    limit it is held against. ``samples`` counts the candidate's outcomes, ``units`` its distinct units;
    both are 0 for a source that gives one aggregated number.
    """

    gate: str
    metric: str
    role: Literal["gate", "guardrail"]
    verdict: Verdict
    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    threshold: float | None = None
    confidence: float | None = None
    samples: int = 0
    units: int = 0
