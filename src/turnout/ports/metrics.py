"""The port through which gates read their metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from turnout.domain.plan import Gate
from turnout.domain.readings import ArmReading, FractionReading, PointReading, Reading

__all__ = ["ArmReading", "FractionReading", "MetricSource", "PointReading", "Question", "Reading"]


@dataclass(frozen=True, slots=True)
class Question:
    """What a gate wants to know: its metric on the traffic of one generation, from ``since`` to ``now``."""

    gate: Gate
    flag: str
    stable: str
    candidate: str
    generation: int
    since: datetime
    now: datetime


class MetricSource(Protocol):
    """Answers questions from one kind of source."""

    async def read(self, question: Question) -> Reading:
        """The metric's reading. Having no data is a reading, not an error.

        Raises:
            SourceError: the source did not answer, or answered something that is no reading.
        """
        ...
