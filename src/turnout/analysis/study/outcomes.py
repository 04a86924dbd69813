"""Recorded outcomes as arrays, one place a row, and who is left to compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from turnout.analysis.evidence import Floats

Codes = NDArray[np.int64]
"""Numbers that stand for texts; -1 for none."""


@dataclass(frozen=True, slots=True)
class ColumnCounts:
    """Of one column: values used, blank ones, and ones that are no finite number (NaN, inf)."""

    values: int
    missing: int
    not_finite: int


@dataclass(frozen=True, slots=True)
class Outcomes:
    """One row an outcome: its arm and unit (places in ``arms``, and 0.. < ``units``) and the values by column.

    A missing value is NaN. ``segment`` are places in ``segments``, -1 for none; ``time`` are seconds since the epoch or
    any number, NaN for none. ``rows`` counts what was read, ``nobody`` rows without a unit or an arm, ``repeated``
    rows whose id was seen before; both are not among the rows here.
    """

    arms: tuple[str, ...]
    units: int
    arm: Codes
    unit: Codes
    values: Mapping[str, Floats]
    covariate: Floats | None = None
    segments: tuple[str, ...] = ()
    segment: Codes | None = None
    time: Floats | None = None
    rows: int = 0
    nobody: int = 0
    repeated: int = 0
    columns: Mapping[str, ColumnCounts] = field(default_factory=dict[str, ColumnCounts])


@dataclass(frozen=True, slots=True)
class Cohorts:
    """Which units are in which arm: ``arm_of`` a unit, -1 for a unit in several arms (crossed over, left out)."""

    arm_of: Codes
    counts: tuple[int, ...]
    crossed: int

    def rows(self, outcomes: Outcomes, arm: int) -> NDArray[np.bool_]:
        """The rows of units that are in ``arm`` alone."""
        return np.asarray(self.arm_of[outcomes.unit] == arm)


def cohorts_of(outcomes: Outcomes) -> Cohorts:
    """Every unit's arm. A unit that appears in several arms says nothing about any of them."""
    least = np.full(outcomes.units, len(outcomes.arms), dtype=np.int64)
    most = np.full(outcomes.units, -1, dtype=np.int64)
    np.minimum.at(least, outcomes.unit, outcomes.arm)
    np.maximum.at(most, outcomes.unit, outcomes.arm)
    seen, single = most >= 0, least == most
    arm_of = np.where(seen & single, most, -1)
    counts = np.bincount(arm_of[arm_of >= 0], minlength=len(outcomes.arms))
    return Cohorts(arm_of, tuple(int(count) for count in counts), int(np.sum(seen & ~single)))
