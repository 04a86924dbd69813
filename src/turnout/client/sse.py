"""Server-sent events, read as they arrive.

Own code, because the line splitting of httpx ends a line at U+2028 and the like too, which JSON text may hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

LARGEST: Final = 64 * 1024 * 1024
_BOM: Final = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event; ``name`` is ``message`` unless the server named it, ``id`` empty unless it has one."""

    name: str
    data: bytes
    id: str


class Parser:
    """Turns the chunks of one response body into events."""

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._after_cr = False
        self._size = 0
        self._first = True
        self._name = ""
        self._id = ""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that ``chunk`` completes. Raises ValueError on an event above 64 MiB."""
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._after_cr = chunk.endswith(b"\r")
        for part in chunk.splitlines(keepends=True):
            self._line.append(part)
            self._size += len(part)
            if self._size > LARGEST:
                raise ValueError(f"an event of the stream is larger than {LARGEST} bytes")
            if part.endswith((b"\n", b"\r")):
                event = self._take(self._whole_line())
                if event:
                    yield event

    def _whole_line(self) -> bytes:
        line = b"".join(self._line).rstrip(b"\r\n")
        self._line.clear()
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        return line

    def _take(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode(errors="replace")
        elif field == b"id" and b"\0" not in value:
            self._id = value.decode(errors="replace")
        return None

    def _dispatch(self) -> Event | None:
        event = Event(self._name or "message", b"\n".join(self._data), self._id) if self._data else None
        self._name, self._size = "", 0
        self._data.clear()
        return event
