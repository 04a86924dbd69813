"""Chunks of rows gathered to one set of arrays, and everything wrong with a cell told with its line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from turnout.analysis.study.outcomes import Codes, ColumnCounts, Outcomes
from turnout.cli.failures import InvalidFile
from turnout.cli.recorded.cells import Floats, NotRead, numbers, times
from turnout.cli.recorded.wanted import Chunk, Chunks, Wanted
from turnout.domain.errors import Problem

_MOST_SEGMENTS = 100
_NUMBER = "write a number, true or false, or leave it blank"
_TIME = "write a number or a time such as 2026-06-01T08:00:00Z, or leave it blank"


def gathered(name: str, chunks: Chunks, wanted: Wanted) -> Outcomes:
    """All rows of ``chunks``.

    Raises:
        InvalidFile: a cell cannot be read, a rate is neither 0 nor 1, there are no rows, or too many segments.
    """
    gathering = _Gathering(name, wanted)
    for chunk in chunks:
        gathering.add(chunk)
    return gathering.outcomes()


class _Gathering:
    def __init__(self, name: str, wanted: Wanted) -> None:
        self._name, self._wanted = name, wanted
        self._codes: dict[str, dict[str, int]] = {wanted.unit: {}, wanted.arm: {}, wanted.segment: {}}
        self._exact: dict[str, dict[str, int]] = {column: {} for column in self._codes}
        self._arrays: dict[str, list[Floats]] = {}
        self._places: dict[str, list[Codes]] = {}
        self._identities: set[str] = set()
        self._rows = self._nobody = self._repeated = 0

    def add(self, chunk: Chunk) -> None:
        """Take the rows of ``chunk`` that have a unit and an arm and are no repetition."""
        wanted = self._wanted
        places = {c: self._coded(c, chunk) for c in dict.fromkeys((wanted.unit, wanted.arm, wanted.segment)) if c}
        keep = (places[wanted.unit] >= 0) & (places[wanted.arm] >= 0)
        self._rows += keep.size
        self._nobody += int(np.sum(~keep))
        if wanted.identity:
            keep = self._new(chunk.cells[wanted.identity], keep)
        for column, coded in places.items():
            self._places.setdefault(column, []).append(coded[keep])
        for column in dict.fromkeys((*wanted.metrics, wanted.covariate, wanted.time)):
            if column:
                read = self._read(column, chunk)
                self._arrays.setdefault(column, []).append(read[keep])

    def outcomes(self) -> Outcomes:
        """Everything that was added."""
        wanted = self._wanted
        if not self._rows:
            raise InvalidFile(self._name, [Problem("", "has no rows", "record one outcome a row", line=1)])
        arrays = {column: np.concatenate(parts) for column, parts in self._arrays.items()}
        counts = {column: _counts(values) for column, values in arrays.items() if column != wanted.time}
        for values in arrays.values():
            values[np.isinf(values)] = np.nan
        places = {column: np.concatenate(parts) for column, parts in self._places.items()}
        return Outcomes(
            arms=tuple(self._codes[wanted.arm]),
            units=len(self._codes[wanted.unit]),
            arm=places[wanted.arm],
            unit=places[wanted.unit],
            values={column: arrays[column] for column in wanted.metrics},
            covariate=arrays[wanted.covariate] if wanted.covariate else None,
            segments=tuple(self._codes[wanted.segment]) if wanted.segment else (),
            segment=places[wanted.segment] if wanted.segment else None,
            time=arrays[wanted.time] if wanted.time else None,
            rows=self._rows,
            nobody=self._nobody,
            repeated=self._repeated,
            columns=counts,
        )

    def _coded(self, column: str, chunk: Chunk) -> Codes:
        """Texts as numbers in the order of their first appearance, -1 for a blank."""
        known = self._codes[column]
        cells = chunk.cells[column]
        plain = set(map(type, cells)) <= {str}
        texts = cast("Sequence[str]", cells) if plain else ["" if cell is None else str(cell) for cell in cells]
        codes = list(map(self._exact[column].get, texts))
        if None in codes:
            codes = [
                self._code(column, text) if code is None else code for text, code in zip(texts, codes, strict=True)
            ]
        coded = np.asarray(codes, dtype=np.int64)
        if column == self._wanted.segment and len(known) > _MOST_SEGMENTS:
            remedy = f"name a column of at most {_MOST_SEGMENTS} different values"
            raise InvalidFile(self._name, [Problem(column, "has too many segments", remedy, line=chunk.line(0))])
        return coded

    def _code(self, column: str, text: str) -> int:
        """The number of a text that was not seen as it is; blanks around it do not count."""
        known, bare = self._codes[column], text.strip()
        code = self._exact[column][text] = known.setdefault(bare, len(known)) if bare else -1
        return code

    def _new(self, identities: Sequence[object], keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """``keep`` without rows whose identity was seen before; a row without one is never a repetition."""
        seen = self._identities
        for index in np.flatnonzero(keep).tolist():
            identity = identities[index]
            if identity is None or identity == "":
                continue
            if str(identity) in seen:
                keep[index] = False
                self._repeated += 1
            seen.add(str(identity))
        return keep

    def _read(self, column: str, chunk: Chunk) -> Floats:
        is_time = column == self._wanted.time
        reader: Callable[[Sequence[object]], Floats] = times if is_time else numbers
        try:
            values = reader(chunk.cells[column])
        except NotRead as error:
            what, remedy = ("is no time", _TIME) if is_time else ("is no number", _NUMBER)
            raise self._fault(column, chunk, error.index, what, remedy) from None
        if column in self._wanted.rates:
            odd = np.flatnonzero((values != 0) & (values != 1) & np.isfinite(values))
            if odd.size:
                remedy = "a rate is of 0 and 1 (or false and true); ask for the mean of other numbers"
                raise self._fault(column, chunk, int(odd[0]), "is neither 0 nor 1", remedy)
        return values

    def _fault(self, column: str, chunk: Chunk, index: int, message: str, remedy: str) -> InvalidFile:
        value = str(chunk.cells[column][index])[:40]
        return InvalidFile(self._name, [Problem(column, message, remedy, value, chunk.line(index))])


def _counts(values: Floats) -> ColumnCounts:
    missing, wild = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    return ColumnCounts(values.size - missing - wild, missing, wild)
