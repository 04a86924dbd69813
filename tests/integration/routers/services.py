"""Two real services, and clients that keep their connections and count everything."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

CLIENTS = 6
PAUSE = 0.002


class Service:
    """An HTTP service on a port of its own that answers its name to everything and keeps connections open.

    ``served`` counts requests, probes of ``/healthz`` apart: it answers those with ``health``.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0
        self.served = 0
        self.health = 200
        self._writers = set[asyncio.StreamWriter]()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and every connection; again does nothing."""
        if self._server is None:
            return
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()
        while self._writers:
            await asyncio.sleep(0)
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head.lower())
                await reader.readexactly(int(length[1]) if length else 0)
                probed = head.startswith(b"GET /healthz ")
                self.served += not probed
                status = self.health if probed else 200
                answer = f"HTTP/1.1 {status} -\r\nContent-Length: {len(self.name)}\r\n\r\n{self.name}"
                writer.write(answer.encode())
                await writer.drain()
        self._writers.discard(writer)
        writer.close()


@dataclass
class Load:
    """What the clients saw. A request belongs to the phase in which it began.

    ``resent`` counts requests whose connection was closed before any answer came and that were sent once more, as HTTP
    allows for a GET; ``failures`` holds everything else that was no 200. ``log`` has for each request when it began,
    in seconds since the epoch, and its answer.
    """

    url: str
    method: str = "GET"
    pause: float = PAUSE
    phase: str = ""
    answers: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    failures: list[str] = field(default_factory=list[str])
    log: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    resent: int = 0
    over: bool = False

    async def during(self, phase: str, requests: int) -> Counter[str]:
        """Begin ``phase``, wait until it has seen so many answers, and end it."""
        self.answers[phase] = Counter()
        self.phase = phase
        async with asyncio.timeout(60):
            while self.answers[phase].total() < requests:
                await asyncio.sleep(0.01)
        self.phase = "between"
        return self.answers[phase]

    @property
    def answered(self) -> int:
        """How many requests got the answer of a service."""
        return sum(answers["blue"] + answers["green"] for answers in self.answers.values())

    async def client(self) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
            while not self.over:
                phase, began = self.phase, time.time()
                answer = await self._ask(http)
                self.log.append((began, answer))
                self.answers.setdefault(phase, Counter())[answer] += 1
                await asyncio.sleep(self.pause)

    async def _ask(self, http: httpx.AsyncClient) -> str:
        for attempt in (1, 2):
            try:
                body = b"" if self.method == "GET" else b"12 bytes ..."
                response = await http.request(self.method, self.url, content=body)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
                if attempt == 2 or self.method != "GET":
                    self.failures.append(repr(error))
                    break
                self.resent += 1
            except httpx.HTTPError as error:
                self.failures.append(repr(error))
                break
            else:
                if response.status_code != 200:
                    self.failures.append(f"status {response.status_code}")
                return response.text
        return "failed"


@asynccontextmanager
async def load(url: str, method: str = "GET", clients: int = CLIENTS, pause: float = PAUSE) -> AsyncIterator[Load]:
    """Clients that ask ``url`` all the time, with a pause (in seconds) between two requests, until the block ends."""
    seen = Load(url, method, pause)
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(seen.client())
        try:
            yield seen
        finally:
            seen.over = True


def within_binomial_bounds(count: int, total: int, share: float) -> bool:
    """Whether ``count`` of ``total`` is within 4.5 standard deviations of what ``share`` gives, as all but one of a
    hundred thousand are. A share of 0 or 1 has no bounds but itself."""
    return abs(count - total * share) <= 4.5 * math.sqrt(total * share * (1 - share))
