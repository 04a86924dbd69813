"""What a study is asked: the metrics, the control, and how sure one wants to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from turnout.analysis.spending import Spending
from turnout.analysis.study.metrics import Metric
from turnout.domain.errors import InvalidInput, Problem

Method = Literal["fixed", "anytime", "both"]
Correction = Literal["holm", "bh", "none"]
Test = Literal["welch", "mann-whitney"]


@dataclass(frozen=True, slots=True)
class Question:
    """What to find out.

    ``confidence`` is that of two-sided intervals, ``shares`` the planned split (any scale; empty: equal), ``margins``
    and ``ratios`` by metric label how much worse than the control an arm may be, in the metric's unit and as a factor
    above 1. ``looks`` are the planned information fractions, with ``planned_units`` units in all arms at 1.
    """

    metrics: tuple[Metric, ...]
    control: str
    shares: Mapping[str, float] = field(default_factory=dict[str, float])
    confidence: float = 0.95
    method: Method = "both"
    margins: Mapping[str, float] = field(default_factory=dict[str, float])
    ratios: Mapping[str, float] = field(default_factory=dict[str, float])
    correction: Correction = "holm"
    test: Test = "welch"
    power: float = 0.8
    looks: tuple[float, ...] = ()
    spending: Spending = "obrien_fleming"
    planned_units: int = 0
    segment: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be answered.

        Raises:
            InvalidInput: every fault found.
        """
        faults = [*self._numbers(), *self._metrics(), *self._allowances(), *self._looks()]
        if faults:
            raise InvalidInput(faults)

    @property
    def alpha(self) -> float:
        """The two-sided error rate."""
        return 1 - self.confidence

    @property
    def fixed(self) -> bool:
        """Whether results for a fixed horizon are asked for."""
        return self.method != "anytime"

    @property
    def anytime(self) -> bool:
        """Whether results that are right at every look are asked for."""
        return self.method != "fixed"

    def _numbers(self) -> list[Problem]:
        faults: list[Problem] = []
        if not 0.5 < self.confidence < 1:
            faults.append(Problem("--confidence", "is out of range", "write 0.95", f"{self.confidence:g}"))
        if not 0.5 <= self.power < 1:
            faults.append(Problem("--power", "is out of range", "write 0.8", f"{self.power:g}"))
        if any(not 0 < share < float("inf") for share in self.shares.values()):
            remedy = "every share is above 0, such as stable=0.95,candidate=0.05"
            faults.append(Problem("--shares", "holds a share that is not positive", remedy))
        return faults

    def _metrics(self) -> list[Problem]:
        if not self.metrics:
            return [Problem("--metric", "is missing", "name at least one, such as --metric quality:mean")]
        labels = [metric.label for metric in self.metrics]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        return [Problem("--metric", "is asked twice", "ask once", label) for label in twice]

    def _allowances(self) -> list[Problem]:
        faults: list[Problem] = []
        for option, given, least in (("--margin", self.margins, 0.0), ("--ratio", self.ratios, 1.0)):
            for label, value in given.items():
                metric = next((metric for metric in self.metrics if metric.label == label), None)
                if metric is None:
                    known = ", ".join(metric.label for metric in self.metrics)
                    faults.append(Problem(option, "names no metric asked for", f"the metrics are {known}", label))
                    continue
                faults += _faults_of(option, metric, value, least)
        both = sorted(set(self.margins) & set(self.ratios))
        return faults + [Problem("--ratio", "is given beside a margin", "keep one of them", label) for label in both]

    def _looks(self) -> list[Problem]:
        if not self.looks:
            return []
        steps = (0.0, *self.looks)
        faults: list[Problem] = []
        if any(not one < two <= 1 for one, two in pairwise(steps)):
            faults.append(Problem("--looks", "must increase from above 0 to at most 1", "write 0.25,0.5,0.75,1"))
        if self.planned_units < 1:
            remedy = "name the units planned for all arms together, such as --planned-units 20000"
            faults.append(Problem("--planned-units", "is missing beside --looks", remedy))
        return faults


def _faults_of(option: str, metric: Metric, value: float, least: float) -> list[Problem]:
    if metric.limit is not None:
        return [Problem(option, "is given for a metric with a limit", "keep one of them", metric.label)]
    if metric.better is None:
        remedy = f"write --metric {metric.label}:higher or --metric {metric.label}:lower"
        return [Problem(option, "needs to know which direction is better", remedy, metric.label)]
    if not (least <= value < float("inf")) or (option == "--ratio" and value == 1):
        remedy = "a margin is 0 or more" if option == "--margin" else "a ratio is above 1, such as 1.5"
        return [Problem(option, "is out of range", remedy, f"{metric.label}={value:g}")]
    if metric.kind != "mean" and option == "--margin" and value >= 1:
        return [Problem(option, "is out of range", "the margin of a share is below 1", f"{metric.label}={value:g}")]
    return []
