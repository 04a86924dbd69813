"""The five verdicts, and what one check of one gate found."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal

from turnout.domain.experiments import ExperimentResult
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

    ``value`` is the candidate's estimate (when ``baseline`` is set a difference to stable, or a ratio for a gate with
    one) in the metric's own unit (rates 0..1, latency in milliseconds), ``low``/``high`` its interval at
    ``confidence``, ``threshold`` the limit it is held against. ``samples`` counts the candidate's outcomes, ``units``
    its distinct units; both are 0 for a source that gives one aggregated number.

    ``role`` is ``signal`` for a guardrail that makes the stage wait instead of acting. ``method`` names the test in a
    few words. ``p_fail`` and ``p_pass`` are the p-values of the two claims "beyond the limit" and "safely within it",
    held against ``alpha_fail`` and ``alpha_pass``; those of ``anytime`` methods are valid at every look.
    ``design_effect`` is how many outcomes were worth one independent outcome, ``effective_units`` how many equally
    busy units the candidate's are worth. ``missing`` says what is lacking to decide. ``breaches`` and
    ``all_breaches`` count readings beyond the limit, in a row and in the stage, ``errors`` failed reads in a row: the
    memory of sources without a sample. A gate that has failed stays ``latched`` for the stage. A ``dry_run`` check is
    shown and decides nothing. That of a test carries all that the ``experiment`` has found.
    """

    gate: str
    metric: str
    role: Literal["gate", "guardrail", "signal"]
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
    key: str = ""
    """Tells the check apart from the stage's others: ``gate:0``."""
    method: str = ""
    anytime: bool = False
    p_fail: float | None = None
    p_pass: float | None = None
    alpha_fail: float | None = None
    alpha_pass: float | None = None
    design_effect: float | None = None
    effective_units: float | None = None
    missing: str = ""
    breaches: int = 0
    all_breaches: int = 0
    met: int = 0
    """Readings within the limit in a row."""
    errors: int = 0
    latched: bool = False
    dry_run: bool = False
    experiment: ExperimentResult | None = None
