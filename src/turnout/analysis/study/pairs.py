"""One metric on one arm beside the control, and the pieces both methods share."""

from __future__ import annotations

import math
from dataclasses import dataclass

from turnout.analysis.clusters import comparative_effect, design_effect, sums_of
from turnout.analysis.study.metrics import Metric
from turnout.analysis.study.result import Status
from turnout.analysis.study.sums import Arm
from turnout.domain.stats import ArmStats

_FEW_UNITS = 500
_LOPSIDED = 4


@dataclass(frozen=True, slots=True)
class Pair:
    """``arm`` against ``control`` in ``metric``. ``share`` is the arm's planned share of the units of both, 0..1."""

    metric: Metric
    arm: Arm
    control: Arm
    share: float

    @property
    def empty(self) -> bool:
        """Whether an arm has no value."""
        return not (self.arm.unit.size and self.control.unit.size)

    @property
    def single(self) -> bool:
        """Whether every unit of both arms has one value."""
        return self.arm.single and self.control.single

    @property
    def bad_sign(self) -> float:
        """1 where more is worse, -1 where less is; events of a quantile are bad ones."""
        return 1.0 if self.metric.kind == "quantile" or self.metric.better == "lower" else -1.0

    @property
    def effect(self) -> float:
        """The design effect of the comparison: of a rate that of both arms, of a mean the larger of both."""
        ours, theirs = sums_of(self.arm.stats), sums_of(self.control.stats)
        if self.metric.kind == "mean":
            return max(float(design_effect(ours)), float(design_effect(theirs)))
        return float(comparative_effect(ours, theirs))

    @property
    def guarded(self) -> bool:
        """Whether an arm's own spread is not to be trusted alone.

        A rate of few units, or a mean in an arm of few units beside one more than four times as large: the small arm
        of a canary underestimates a skewed spread.
        """
        small, large = sorted((self.arm.unit.size, self.control.unit.size))
        return small < _FEW_UNITS and (self.metric.kind != "mean" or large > _LOPSIDED * small)


def scaled(stats: ArmStats, factor: float) -> ArmStats:
    """The statistics of all values times ``factor``."""
    square = factor * factor
    return stats.model_copy(
        update={
            "total": stats.total * factor,
            "squares": stats.squares * square,
            "yy": stats.yy * square,
            "ny": stats.ny * factor,
        }
    )


def status_of(p_met: float, p_broken: float, alpha: float) -> Status:
    """What two one-sided p-values say at ``alpha``, the two-sided error rate, half of it each."""
    if p_broken < alpha / 2:
        return "broken"
    return "met" if p_met < alpha / 2 else "undecided"


def closed(value: float) -> float | None:
    """An end of an interval, None where it is open."""
    return value if math.isfinite(value) else None


def divided(effect: float) -> str:
    """What the method's name says of a design effect."""
    return "" if effect < 1.005 else f", counts divided by {effect:.3g}"
