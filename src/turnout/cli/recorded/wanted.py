"""Which columns a question needs, and rows on their way to become arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from turnout.cli.failures import InvalidFile
from turnout.domain.errors import Problem

CHUNK = 10_000
"""Rows that are read, checked and turned into arrays together."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The names of the columns; empty for none. ``rates`` are those that may hold 0 and 1 only."""

    unit: str
    arm: str
    metrics: tuple[str, ...]
    rates: frozenset[str] = field(default=frozenset())
    covariate: str = ""
    segment: str = ""
    time: str = ""
    identity: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """All names, each once."""
        names = (self.unit, self.arm, *self.metrics, self.covariate, self.segment, self.time, self.identity)
        return tuple(dict.fromkeys(name for name in names if name))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows: the cells of every wanted column, text or plain values, and the line a row began in."""

    cells: Mapping[str, Sequence[object]]
    line: Callable[[int], int]


Chunks = Iterator[Chunk]


def missing_columns(name: str, wanted: Wanted, present: Sequence[str]) -> InvalidFile:
    """Says which columns are not there, and which are."""
    there = ", ".join(present[:20]) + (", …" if len(present) > 20 else "")
    absent = [column for column in wanted.columns if column not in present]
    return InvalidFile(name, [Problem(column, "is no column", f"the columns are {there}", line=1) for column in absent])
