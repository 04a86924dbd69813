"""Who is compared: the rows of every arm, without the units that crossed over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from turnout.analysis.evidence import Floats
from turnout.analysis.study.metrics import Metric
from turnout.analysis.study.outcomes import Cohorts, Outcomes, cohorts_of
from turnout.analysis.study.pairs import Pair
from turnout.analysis.study.question import Question
from turnout.analysis.study.sums import Arm, arm_of, centre_of, events_of

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Frame:
    """``rows`` are those of each arm, in the order of ``outcomes.arms``; ``shares`` the planned split, summing to 1."""

    outcomes: Outcomes
    question: Question
    cohorts: Cohorts
    rows: Sequence[Mask]
    shares: Sequence[float]

    @property
    def control(self) -> int:
        """The control's place among the arms."""
        return self.outcomes.arms.index(self.question.control)

    @property
    def others(self) -> list[int]:
        """The places of all other arms."""
        return [arm for arm in range(len(self.outcomes.arms)) if arm != self.control]

    def share(self, arm: int) -> float:
        """The planned share of ``arm`` among its units and the control's."""
        return self.shares[arm] / (self.shares[arm] + self.shares[self.control])


@dataclass(frozen=True)
class Measured:
    """A metric's values as they are summed: ``threshold`` is what a quantile counts from, ``centre`` of means."""

    frame: Frame
    metric: Metric
    values: Floats
    threshold: float | None
    centre: float

    def pair(self, arm: int, among: Mask | None = None) -> Pair:
        """``arm`` and the control, of the rows ``among`` only."""
        return Pair(self.metric, self.arm(arm, among), self.arm(self.frame.control, among), self.frame.share(arm))

    def arm(self, arm: int, among: Mask | None = None) -> Arm:
        """The values of ``arm``, summed by unit."""
        rows = self.frame.rows[arm] if among is None else self.frame.rows[arm] & among
        outcomes = self.frame.outcomes
        return arm_of(outcomes.unit[rows], self.values[rows], outcomes.units, self.centre)

    def quantile(self, arm: int) -> float | None:
        """The arm's own quantile; None for another kind or without values."""
        raw = self.frame.outcomes.values[self.metric.column][self.frame.rows[arm]]
        return _quantile(raw, self.metric.quantile)


def frame_of(outcomes: Outcomes, question: Question) -> Frame:
    """The arms of ``outcomes``; shares that were not given are equal."""
    cohorts = cohorts_of(outcomes)
    given = [question.shares.get(arm, 0.0) if question.shares else 1.0 for arm in outcomes.arms]
    rows = [cohorts.rows(outcomes, arm) for arm in range(len(outcomes.arms))]
    return Frame(outcomes, question, cohorts, rows, [share / sum(given) for share in given])


def measured(frame: Frame, metric: Metric) -> Measured:
    """The metric's values: as recorded for means, 1 and 0 for what a rate or a quantile counts."""
    values = frame.outcomes.values[metric.column]
    if metric.kind == "mean":
        return Measured(frame, metric, values, None, centre_of(values))
    threshold = metric.limit
    if metric.kind == "quantile" and threshold is None:
        threshold = _quantile(values[frame.rows[frame.control]], metric.quantile)
    return Measured(frame, metric, events_of(metric, values, threshold), threshold, 0.0)


def _quantile(values: Floats, quantile: float | None) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.quantile(known, quantile)) if quantile is not None and known.size else None
