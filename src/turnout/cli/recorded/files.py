"""A file or standard input as outcomes: CSV, JSON lines or Parquet, told by its first bytes."""

from __future__ import annotations

import gc
import importlib
import io
import operator
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from turnout.analysis.study.outcomes import Outcomes
from turnout.cli.documents import STDIN
from turnout.cli.failures import ExitCode, Failure, InvalidFile, usage
from turnout.cli.recorded.gather import gathered
from turnout.cli.recorded.texts import csv_chunks, json_chunks
from turnout.cli.recorded.wanted import CHUNK, Chunk, Chunks, Wanted, missing_columns
from turnout.domain.errors import Problem

_PARQUET = b"PAR1"
_MARK = b"\xef\xbb\xbf"


def outcomes_of(source: str, wanted: Wanted) -> Outcomes:
    """The outcomes in the file ``source``, or on standard input for ``-``.

    Raises:
        Failure: it cannot be read, or is Parquet without pyarrow.
        InvalidFile: a cell, a line or a column is not what it should be.
    """
    name = "<stdin>" if source == STDIN else source
    try:
        with _uncollected():
            if source == STDIN:
                return _read(name, sys.stdin.buffer, wanted)
            with Path(source).open("rb") as file:
                return _read(name, file, wanted)
    except UnicodeDecodeError as error:
        raise usage(f"{source} is not UTF-8 text ({error.reason}); save it as UTF-8") from error
    except OSError as error:
        raise usage(f"cannot read {source}: {error.strerror}; name a file, or - for standard input") from error


@contextmanager
def _uncollected() -> Generator[None]:
    """Without the cycle collector: rows hold no cycles, and looking for them takes a third of the reading."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _read(name: str, raw: BinaryIO, wanted: Wanted) -> Outcomes:
    # Whatever can be read can be buffered: only a buffer lets one look ahead in a pipe.
    file = io.BufferedReader(cast(io.RawIOBase, raw))
    try:
        head = file.peek(64)[:64].removeprefix(_MARK)
        if head.startswith(_PARQUET):
            return gathered(name, _parquet_chunks(name, file, wanted), wanted)
        return gathered(name, _text_chunks(name, file, head.lstrip()[:1], wanted), wanted)
    finally:
        # A buffer that is dropped closes what it buffers.
        file.detach()


def _text_chunks(name: str, file: BinaryIO, first: bytes, wanted: Wanted) -> Chunks:
    if first == b"[":
        remedy = "write one object a line: jq -c '.[]'"
        raise InvalidFile(name, [Problem("", "is a JSON array, not JSON lines", remedy, line=1)])
    # Line ends inside quoted cells are the csv module's to read.
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        yield from json_chunks(name, text, wanted) if first == b"{" else csv_chunks(name, text, wanted)
    finally:
        text.detach()


def _parquet_chunks(name: str, file: BinaryIO, wanted: Wanted) -> Chunks:
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        remedy = "run: pip install pyarrow, or write it as CSV or JSON lines"
        raise Failure(
            ExitCode.UNAVAILABLE, "missing_package", f"{name} is Parquet, which pyarrow reads; {remedy}"
        ) from None
    # Parquet is read from its end.
    table: Any = parquet.ParquetFile(file if file.seekable() else io.BytesIO(file.read()))
    present = [str(column) for column in table.schema_arrow.names]
    if not set(wanted.columns) <= set(present):
        raise missing_columns(name, wanted, present)
    first = 1
    for batch in table.iter_batches(batch_size=CHUNK, columns=list(wanted.columns)):
        cells: dict[str, Sequence[object]] = {column: batch.column(column).to_pylist() for column in wanted.columns}
        yield Chunk(cells, partial(operator.add, first))
        first += int(batch.num_rows)
