"""The port through which gates read their metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from turnout.domain.outcomes import arm_name
from turnout.domain.plan import Gate
from turnout.domain.readings import (
    ArmReading,
    ExperimentReading,
    FractionReading,
    PointReading,
    Reading,
    SeriesReading,
    SplitReading,
)
from turnout.domain.splits import RouterSplit

__all__ = [
    "ArmReading",
    "ExperimentReading",
    "FractionReading",
    "MetricSource",
    "PointReading",
    "Question",
    "Reading",
    "SeriesReading",
    "SplitReading",
]


@dataclass(frozen=True, slots=True)
class Question:
    """What a gate wants to know: its metric on the traffic of one generation, from ``since`` to ``now``.

    ``weights`` are those of the users it is about, by variant in 1/100000; ``hold`` is the stage's planned length, and
    ``over`` says that as much was watched. It is about users outside every segment, those in ``segment``, or about
    what was made in ``shadow``. ``split`` is what a router has to do, for a gate on one.
    """

    gate: Gate
    flag: str
    stable: str
    candidate: str
    generation: int
    since: datetime
    now: datetime
    weights: Mapping[str, int] = field(default_factory=dict[str, int])
    hold: timedelta = timedelta()
    over: bool = False
    segment: str | None = None
    shadow: bool = False
    split: RouterSplit | None = None

    @property
    def candidate_arm(self) -> str:
        """What the candidate's statistics are kept under."""
        return self.arm(self.candidate)

    @property
    def stable_arm(self) -> str:
        """What stable's statistics are kept under."""
        return self.arm(self.stable)

    def arm(self, variant: str) -> str:
        """What the statistics of ``variant`` that the question is about are kept under."""
        return arm_name(variant, self.segment, shadow=self.shadow)


class MetricSource(Protocol):
    """Answers questions from one kind of source."""

    async def read(self, question: Question) -> Reading:
        """The metric's reading. Having no data is a reading, not an error.

        Raises:
            SourceError: the source did not answer, or answered something that is no reading.
        """
        ...
