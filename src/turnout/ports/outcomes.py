"""The port through which outcomes are kept and summed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from turnout.domain.outcomes import Outcome
from turnout.domain.stats import ArmStats


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch: ``accepted`` new ones, ``duplicates`` known by id, ``unknown`` for flags or variants
    that do not exist (counted, not kept). The three sum to the size of the batch."""

    accepted: int
    duplicates: int
    unknown: int = 0


class OutcomeStore(Protocol):
    """Keeps outcomes and the statistics gates ask for."""

    async def record(self, outcomes: Sequence[Outcome], received: datetime) -> Receipt:
        """Keep ``outcomes``; returns only once they are durable. An id seen before counts nothing again."""
        ...

    async def stats(self, flag: str, generation: int, metric: str) -> Mapping[str, ArmStats]:
        """Statistics by variant of ``metric`` (or an `exceedance`) for the traffic of one generation."""
        ...
