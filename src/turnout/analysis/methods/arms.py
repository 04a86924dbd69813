"""What all comparisons of two arms share: what keeps them from being made, and the words for it."""

from __future__ import annotations

from turnout.analysis import wording
from turnout.analysis.methods.finding import Finding, enough
from turnout.analysis.policy import Alphas
from turnout.analysis.projection import lacking, lacking_baseline
from turnout.domain.plan import Gate
from turnout.domain.readings import ArmReading
from turnout.domain.verdicts import Verdict


def silent(gate: Gate, reading: ArmReading, method: str, threshold: float, alphas: Alphas) -> Finding | None:
    """The finding where an arm has no outcome at all, the candidate first; None where both have."""
    own, stable = reading.candidate, reading.stable
    if own.samples and stable.samples:
        return None
    where = "from stable to compare with" if own.samples else "from the candidate yet"
    missing = lacking_baseline(gate, stable) if own.samples else lacking(gate, own, 1.0)
    return Finding(
        Verdict.NO_DATA,
        f"there is no outcome with {gate.metric} {where}",
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
