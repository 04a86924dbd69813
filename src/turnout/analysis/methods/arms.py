"""What all comparisons of two arms share: what keeps them from being made, and the words for it."""

from __future__ import annotations

from typing import Final

from turnout.analysis import wording
from turnout.analysis.methods.finding import Finding, enough, unheard
from turnout.analysis.policy import Alphas
from turnout.analysis.projection import lacking, lacking_baseline
from turnout.domain.plan import Gate
from turnout.domain.readings import ArmReading
from turnout.domain.verdicts import Verdict

NO_BASELINE: Final = "a baseline: enough values of stable"
"""What a comparison of quantiles lacks before stable's has been frozen."""


def without_baseline(gate: Gate) -> str:
    """The sentence for a comparison of quantiles before stable's has been frozen."""
    return f"{gate.metric} cannot be compared: no baseline yet, stable has too few values for its quantile"


def nobody(gate: Gate, reading: ArmReading) -> str:
    """The sentence for an arm without any outcome, the candidate first; empty where both have some."""
    if not reading.candidate.samples:
        return unheard(gate)
    return "" if reading.stable.samples else f"there is no outcome with {gate.metric} from stable to compare with"


def silent(gate: Gate, reading: ArmReading, method: str, threshold: float, alphas: Alphas) -> Finding | None:
    """The finding where an arm has no outcome at all, the candidate first; None where both have."""
    own, stable, text = reading.candidate, reading.stable, nobody(gate, reading)
    if not text:
        return None
    missing = lacking_baseline(gate, stable) if own.samples else lacking(gate, own, 1.0)
    return Finding(
        Verdict.NO_DATA,
        text,
        method,
        anytime=True,
        threshold=threshold,
        samples=own.samples,
        units=own.units,
        alphas=alphas,
        missing=missing,
    )


def too_few(gate: Gate, reading: ArmReading, units: int = 0) -> str:
    """The sentence for arms too small to be compared, by the gate or by its method (``units``); empty for none."""
    if not enough(gate, reading.candidate, units):
        return f"{gate.metric} cannot be judged yet: {wording.missing(gate, reading.candidate, units)}"
    if not enough(gate, reading.stable, units):
        return f"{gate.metric} cannot be compared yet: stable has {wording.missing(gate, reading.stable, units)}"
    return ""


def still_lacking(gate: Gate, reading: ArmReading, factor: float | None, units: int = 0) -> str:
    """What a comparison lacks; stable's minima are told where the candidate has its own."""
    baseline = lacking_baseline(gate, reading.stable, units) if enough(gate, reading.candidate, units) else ""
    return baseline or lacking(gate, reading.candidate, factor, units)
