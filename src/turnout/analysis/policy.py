"""How sure a verdict has to be, and how much worse than stable is allowed, where the gate does not say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from turnout.analysis.srm import MISMATCH_ALPHA
from turnout.domain.metrics import metric_of
from turnout.domain.plan import SAMPLE_RATIO, Gate

STAGE_ALPHA: Final = 0.05
"""With at most this probability a stage fails although nothing is beyond its limit: the fails share it (Bonferroni)."""

RATE_RATIO: Final = 1.5
COST_RATIO: Final = 1.1
SCORE_MARGIN: Final = 0.02

FEWEST: Final = 10
"""Outcomes of the candidate below which even an exact test does not fail: two or three straight errors would do."""


@dataclass(frozen=True, slots=True)
class Alphas:
    """One-sided error rates over all looks: of a false ``fail``, and of a false ``good`` verdict (a pass)."""

    fail: float
    good: float

    @property
    def confidence(self) -> float:
        """How sure an interval is whose ends have these error rates."""
        return 1 - self.fail - self.good


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much worse than stable is allowed: a ``ratio`` of at least 1, or a ``margin`` in the metric's unit."""

    kind: Literal["ratio", "margin"]
    value: float


def shared_alpha(gates: Iterable[Gate]) -> float:
    """What each of a stage's ``gates`` gets of `STAGE_ALPHA`: they share it evenly, so that all together keep it.

    Passes need no such correction: a stage passes only if every gate does (an intersection–union test).
    """
    return STAGE_ALPHA / max(1, sum(fails_by_chance(gate) for gate in gates))


def fails_by_chance(gate: Gate) -> bool:
    """Whether the gate decides by a test that chance could fail.

    A single number, a scorecard and a dry run are none; the sample ratio and a test have an error rate of their own.
    """
    source = gate.source
    tested = source.kind == "outcomes" or getattr(source, "denominator", None) is not None
    own_rate = gate.metric == SAMPLE_RATIO or gate.experiment is not None
    return tested and gate.score is None and not own_rate and not gate.dry_run


def alphas_of(gate: Gate, shared: float = STAGE_ALPHA) -> Alphas:
    """The error rates of ``gate``: its own, or else ``shared`` for a fail and 1 - confidence for a pass."""
    usual = MISMATCH_ALPHA if gate.metric == SAMPLE_RATIO else shared
    fail = gate.alpha_fail if gate.alpha_fail is not None else usual
    # Rounded, because 1 - 0.95 is a little more than 0.05.
    return Alphas(fail, gate.alpha_pass if gate.alpha_pass is not None else round(1 - gate.confidence, 12))


def allowance(gate: Gate) -> Allowance:
    """How much worse than stable ``gate`` allows the candidate to be; what is usual where it does not say."""
    if gate.ratio is not None:
        return Allowance("ratio", gate.ratio)
    if gate.margin is not None:
        return Allowance("margin", gate.margin)
    if gate.quantile is not None or metric_of(gate.metric).kind == "rate":
        return Allowance("ratio", RATE_RATIO)
    if gate.metric == "cost":
        return Allowance("ratio", COST_RATIO)
    return Allowance("margin", SCORE_MARGIN if gate.metric in ("quality_score", "satisfaction") else 0.0)


def comparative(gate: Gate) -> bool:
    """Whether the gate's verdict rests on both arms being alike but for the candidate."""
    return gate.versus is not None or gate.score is not None


def by_first_errors(gate: Gate) -> bool:
    """Whether the gate compares how many users met an error, and so is asked of the error rate."""
    rate = metric_of(gate.metric).kind == "rate" and gate.quantile is None
    return gate.versus is not None and rate and allowance(gate).kind == "ratio"
