"""Rows of text files: CSV with a header, or one JSON object a line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from operator import itemgetter
from typing import Protocol, cast

from turnout.cli.failures import InvalidFile
from turnout.cli.recorded.wanted import CHUNK, Chunk, Chunks, Wanted, missing_columns
from turnout.domain.errors import Problem

_SEPARATORS = ",;\t"


def csv_chunks(name: str, text: Iterator[str], wanted: Wanted) -> Chunks:
    """The rows of a CSV file: a header, then one row an outcome; commas, semicolons or tabs between cells.

    Raises:
        InvalidFile: it is empty, lacks a column, or a row has another number of cells than the header.
    """
    first = next(text, "")
    if not first.strip():
        raise InvalidFile(name, [Problem("", "is empty", "begin with a line of column names", line=1)])
    reader = csv.reader(chain((first,), text), delimiter=max(_SEPARATORS, key=first.count), strict=True)
    try:
        header = [column.strip() for column in next(reader)]
        if not set(wanted.columns) <= set(header):
            raise missing_columns(name, wanted, header)
        yield from _csv_rows(name, reader, header, wanted)
    except csv.Error as error:
        problem = Problem("", f"is not CSV: {error}", "check the quotes there", line=reader.line_num)
        raise InvalidFile(name, [problem]) from error


def json_chunks(name: str, text: Iterator[str], wanted: Wanted) -> Chunks:
    """The rows of JSON lines, one object a line; blank lines are skipped, a key that is not there is a missing value.

    Raises:
        InvalidFile: a line is no JSON object, or no line has one of the columns.
    """
    seen: dict[str, None] = {}
    numbered = ((line, content) for line, content in enumerate(text, 1) if not content.isspace())
    while rows := list(islice(numbered, CHUNK)):
        objects = [_object(name, line, content) for line, content in rows]
        lines = [line for line, _ in rows]
        for row in objects:
            seen.update(dict.fromkeys(row))
        yield Chunk({column: [row.get(column) for row in objects] for column in wanted.columns}, lines.__getitem__)
    if not seen:
        raise InvalidFile(name, [Problem("", "is empty", "write one JSON object a line", line=1)])
    if not set(wanted.columns) <= set(seen):
        raise missing_columns(name, wanted, list(seen))


class _Reader(Protocol):
    """What `csv.reader` gives."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


def _csv_rows(name: str, reader: _Reader, header: Sequence[str], wanted: Wanted) -> Chunks:
    places = [header.index(column) for column in wanted.columns]
    # One place alone would give cells instead of tuples of cells.
    pick = itemgetter(*places, places[0])
    line = reader.line_num + 1
    while chunk := list(islice(reader, CHUNK)):
        sizes = set(map(len, chunk))
        if sizes != {len(header)}:
            _check_sizes(name, chunk, len(header), line)
        full = [row for row in chunk if row]
        cells = tuple(zip(*map(pick, full), strict=True))
        if cells:
            yield Chunk(dict(zip(wanted.columns, cells, strict=False)), _Lines(chunk, line))
        line = reader.line_num + 1


class _Lines:
    """The line of a row, counted only when somebody asks: cells may hold line ends, and blank lines are no rows."""

    def __init__(self, chunk: Sequence[Sequence[str]], first: int) -> None:
        self._chunk, self._first = chunk, first

    def __call__(self, index: int) -> int:
        line = self._first
        for row in self._chunk:
            if row:
                if index == 0:
                    return line
                index -= 1
            line += _height([row])
        return line


def _height(rows: Sequence[Sequence[str]]) -> int:
    """Lines that the rows take."""
    return len(rows) + sum(cell.count("\n") for row in rows for cell in row)


def _check_sizes(name: str, chunk: Sequence[Sequence[str]], width: int, first: int) -> None:
    line = first
    for row in chunk:
        if row and len(row) != width:
            remedy = "give every row a cell for every column, and put cells with a separator in quotes"
            raise InvalidFile(name, [Problem("", f"has {len(row)} cells, the header {width}", remedy, line=line)])
        line += _height([row])


def _object(name: str, line: int, content: str) -> dict[str, object]:
    try:
        row: object = json.loads(content)
    except ValueError as error:
        raise InvalidFile(name, [Problem("", f"is not JSON: {error}", "write one object a line", line=line)]) from error
    if not isinstance(row, dict):
        remedy = 'write one object a line, such as {"unit": "u1", "arm": "stable", "quality": 0.8}'
        raise InvalidFile(name, [Problem("", "is no JSON object", remedy, content.strip()[:40], line)])
    return cast("dict[str, object]", row)
