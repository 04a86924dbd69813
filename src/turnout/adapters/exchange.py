"""One HTTP exchange with a router or channel: bounded in time and size, not redirected, every failure `Unavailable`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import httpx

from turnout.adapters.bounded import answering, whole
from turnout.domain.errors import Unavailable

LARGEST_BODY = 4_000_000
"""Bytes of an answer that are read; a longer one is an error."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. ``timeout`` bounds the whole exchange; ``who`` stands for the address where that is a secret."""

    method: str
    url: str
    timeout: timedelta
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    who: str = ""

    @property
    def name(self) -> str:
        """How messages call the other side."""
        return self.who or self.url


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; the names of ``headers`` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def excerpt(self) -> str:
        """The beginning of the body on one line, for messages."""
        text = " ".join(self.body[:300].decode("utf-8", "replace").split())
        return text or "nothing"


async def send(http: httpx.AsyncClient, request: Request) -> Answer:
    """Send, and read the answer whatever its status.

    Raises:
        Unavailable: no complete answer within the timeout and `LARGEST_BODY`.
    """
    async with answering(request.name, request.timeout, Unavailable):
        return await _send(http, request)


async def _send(http: httpx.AsyncClient, request: Request) -> Answer:
    async with http.stream(
        request.method,
        request.url,
        content=request.content or None,
        headers={"accept": "application/json", "accept-encoding": "identity", **request.headers},
        follow_redirects=False,
        timeout=request.timeout.total_seconds(),
    ) as response:
        too_large = Unavailable(f"{request.name} answered more than {LARGEST_BODY:,} bytes")
        body = await whole(response.aiter_raw(), LARGEST_BODY, too_large)
        return Answer(response.status_code, dict(response.headers), body)
