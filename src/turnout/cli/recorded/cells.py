"""Cells as numbers and times. A blank is NaN, a number that is not finite is infinite, until they are counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BLANK = frozenset({"", "null", "none", "na", "n/a"})
_TRUTH = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}


class NotRead(ValueError):
    """The cell at ``index`` is not what it should be."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


def numbers(cells: Sequence[object]) -> Floats:
    """Numbers, and booleans as 1 and 0.

    Raises:
        NotRead: the first cell that is neither, nor blank.
    """
    return _read(cells, _number)


def times(cells: Sequence[object]) -> Floats:
    """Numbers as they are, dates and times of ISO 8601 as seconds since the epoch (without a zone: UTC).

    Raises:
        NotRead: the first cell that is neither, nor blank.
    """
    return _read(cells, _time)


def _read(cells: Sequence[object], one: Callable[[object], float]) -> Floats:
    """The fast ways first: all numbers, then numbers and blanks, then one by one."""
    try:
        quick = np.fromiter(map(float, cells), np.float64, len(cells))  # type: ignore[arg-type]
        quick[np.isnan(quick)] = math.inf
        return quick
    except (TypeError, ValueError):
        pass
    return np.fromiter(_each(cells, one), np.float64, len(cells))


def _each(cells: Sequence[object], one: Callable[[object], float]) -> Sequence[float]:
    read: list[float] = []
    for index, cell in enumerate(cells):
        if cell is None or cell == "":
            read.append(math.nan)
            continue
        try:
            value = float(cell)  # type: ignore[arg-type]
            read.append(math.inf if math.isnan(value) else value)
        except (TypeError, ValueError):
            try:
                read.append(one(cell))
            except ValueError:
                raise NotRead(index) from None
    return read


def _number(cell: object) -> float:
    word = str(cell).strip().lower() if isinstance(cell, str) else "?"
    if word in _BLANK:
        return math.nan
    if word not in _TRUTH:
        raise ValueError(word)
    return _TRUTH[word]


def _time(cell: object) -> float:
    at = cell
    if isinstance(at, str):
        if at.strip().lower() in _BLANK:
            return math.nan
        at = datetime.fromisoformat(at.strip())
    if not isinstance(at, datetime):
        raise ValueError("no time")
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
