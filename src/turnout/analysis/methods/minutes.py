"""The minutes of a stage as arrays without gaps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from turnout.analysis.evidence import Floats
from turnout.domain.stats import Minute

MOST: Final = 20_160
"""Two weeks. What comes later counts into the last minute, which only makes later starts coarser."""


@dataclass(frozen=True, slots=True)
class Minutes:
    """Per minute since the stage began: outcomes, their sum, and users whose first error fell into it."""

    samples: Floats
    total: Floats
    hits: Floats

    @property
    def size(self) -> int:
        """How many minutes there are."""
        return self.samples.size


def filled(minutes: Sequence[Minute], began: int, size: int | None = None) -> Minutes:
    """``minutes`` from minute ``began`` (since the epoch) on, as many as ``size`` or as there are data for.

    What a clock that is behind dates before the beginning counts into the first minute.
    """
    places = [place(minute, began) for minute in minutes]
    length = (max(places) + 1 if places else 0) if size is None else size
    sums = np.zeros((3, length))
    for where, minute in zip(places, minutes, strict=True):
        sums[:, where] += (minute.samples, minute.total, minute.hits)
    return Minutes(*sums)


def length(began: int, *arms: Sequence[Minute]) -> int:
    """How many minutes the latest of several arms spans."""
    return max((place(minute, began) + 1 for arm in arms for minute in arm), default=0)


def place(minute: Minute, began: int) -> int:
    """The index of ``minute``."""
    return min(max(minute.minute - began, 0), MOST - 1)


def sound(minutes: Sequence[Minute], *, rate: bool) -> bool:
    """Whether the numbers of every minute can be true."""
    return all(
        minute.samples >= 0
        and minute.hits >= 0
        and math.isfinite(minute.total)
        and (not rate or 0 <= minute.total <= minute.samples)
        for minute in minutes
    )
