"""Answers in one piece: the server writes headers and body one after the other, and both leave together.

Two writes are two segments, and a client with delayed acknowledgements and Nagle's algorithm in its path waits for
the second one; and one system call is cheaper than two.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LINGER_SECONDS: Final = 30.0
"""How long a closed connection may take to accept what is left."""


class JoinedWrites(asyncio.Transport):
    """A transport that hands on everything written within one turn of the event loop at once."""

    def __init__(self, inner: asyncio.Transport) -> None:
        super().__init__()
        self._inner = inner
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._lingering: asyncio.TimerHandle | None = None

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Keep ``data`` until the end of this turn."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(bytes(data))

    def close(self) -> None:
        """Close once everything written has been sent, or at last when nobody takes it."""
        self._flush()
        self._inner.close()
        if self._lingering is None:
            self._lingering = self._loop.call_later(LINGER_SECONDS, self._inner.abort)

    def gone(self) -> None:
        """The connection is closed."""
        self._parts.clear()
        if self._lingering is not None:
            self._lingering.cancel()

    def abort(self) -> None:
        """Close at once."""
        self._parts.clear()
        self._inner.abort()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._inner.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the connection knows of itself."""
        return self._inner.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Take nothing more in for now."""
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        """Go on taking in."""
        self._inner.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another protocol go on with the connection."""
        self._flush()
        self._inner.set_protocol(protocol)

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts and not self._inner.is_closing():
            self._inner.write(b"".join(parts))


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol on a transport that joins writes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve a connection."""
        self._joined = JoinedWrites(cast("asyncio.Transport", transport))
        super().connection_made(self._joined)

    def connection_lost(self, exc: Exception | None) -> None:
        """End with the connection."""
        super().connection_lost(exc)
        self._joined.gone()
