"""Server-sent events: how they are written, and a response that notices when its reader has gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

KEEP_ALIVE_SECONDS: Final = 15.0
STUCK_SECONDS: Final = 5.0
"""A reader that takes nothing for so long is dropped; it may connect again."""

_HEADERS: Final = {
    "Cache-Control": "no-cache, no-transform",
    # Proxies of the nginx family hold events back otherwise.
    "X-Accel-Buffering": "no",
}
_KEEP_ALIVE: Final = b": keep-alive\n\n"


def event(name: str, data: bytes, event_id: str = "") -> bytes:
    """One event; ``data`` is a single line."""
    identity = f"id: {event_id}\n" if event_id else ""
    return f"{identity}event: {name}\ndata: ".encode() + data + b"\n\n"


class EventStream(Response):
    """Sends what ``source`` yields until it ends or the reader goes.

    ``source`` goes on after its ``yield`` once what it yielded has been handed to the reader's socket.
    """

    media_type = "text/event-stream"

    def __init__(self, source: AsyncGenerator[bytes]) -> None:
        super().__init__(headers=_HEADERS)
        # A stream has no length.
        del self.headers["content-length"]
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the end; a reader that is stuck is dropped."""
        gone = asyncio.create_task(_until_gone(receive))
        try:
            with suppress(TimeoutError):
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                await self._stream(send, gone)
        finally:
            gone.cancel()
            await self._source.aclose()

    async def _stream(self, send: Send, gone: asyncio.Task[None]) -> None:
        following: asyncio.Task[bytes] | None = None
        try:
            while True:
                following = following or asyncio.create_task(_following(self._source))
                await asyncio.wait({following, gone}, timeout=KEEP_ALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    return
                chunk = _KEEP_ALIVE
                if following.done():
                    chunk, following = following.result(), None
                async with asyncio.timeout(STUCK_SECONDS):
                    await send({"type": "http.response.body", "body": chunk, "more_body": bool(chunk)})
                if not chunk:
                    return
        finally:
            if following is not None:
                following.cancel()
                with suppress(asyncio.CancelledError):
                    await following


async def _following(source: AsyncGenerator[bytes]) -> bytes:
    """What comes next; empty at the end."""
    return await anext(source, b"")


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
