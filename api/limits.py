"""How large a request's body may be."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import problem_response

MEGABYTE: Final = 1_000_000
MOST_DISCARDED: Final = 32 * MEGABYTE
DISCARD_SECONDS: Final = 5.0
_LARGER: Final = {"/v1/outcomes": 8 * MEGABYTE, "/v1/flags": 4 * MEGABYTE}


class BodyLimit:
    """ASGI middleware: answers 413 when a body is too large, by its stated length or while it is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a bounded body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = _LARGER.get(scope["path"], MEGABYTE)
        stated = Headers(scope=scope).get("content-length", "")
        if stated.isdecimal() and int(stated) > limit:
            headers = await _discard(receive, 0)
            response = problem_response(scope["path"], 413, "too_large", _detail(limit), headers=headers)
            await response(scope, receive, send)
            return
        read = 0

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                raise HTTPException(413, _detail(limit), await _discard(receive, read))
            return message

        await self._app(scope, bounded, send)


async def _discard(receive: Receive, read: int) -> dict[str, str]:
    """Take in what is left of a body, within bounds; the headers of the answer.

    Many clients do not look for an answer before they have sent everything, and lose it when the connection closes
    under them.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            while read <= MOST_DISCARDED:
                message = await receive()
                read += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return {}
    return {"Connection": "close"}


def _detail(limit: int) -> str:
    return f"the body is larger than {limit // MEGABYTE} MB; send it in parts"
