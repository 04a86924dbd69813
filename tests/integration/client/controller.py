"""A small real HTTP server that speaks the controller's side of the contract, and misbehaves on demand."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from turnout.domain.flags import Flag, initial_traffic
from turnout.domain.snapshot import PublishedFlag, document

PATIENCE_S = 20.0
FLAG = "answer-engine"
STORE = "store-1"

Answer = Callable[[list[dict[str, Any]]], Response]


def flag(key: str = FLAG, *, lightrag: float = 25, generation: int = 1) -> PublishedFlag:
    """A flag that sends ``lightrag`` percent of the users to the candidate."""
    definition = Flag(
        key=key,
        variants={"perplexity": {"mode": "web"}, "lightrag": {"mode": "hybrid"}},
        stable="perplexity",
        split={"lightrag": lightrag, "perplexity": 100 - lightrag},
    )
    traffic = initial_traffic(definition).model_copy(update={"generation": generation})
    return PublishedFlag(definition=definition, traffic=traffic)


def written(*flags: PublishedFlag, revision: int = 1, store_id: str = STORE) -> bytes:
    """The flags as the document that the controller sends."""
    return json.dumps(document(flags, revision, store_id)).encode()


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def eventually(condition: Callable[[], object]) -> None:
    """Wait until ``condition`` holds; fails the test after a long while."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "what should have happened did not"
        time.sleep(0.01)


class Controller:
    """The server; ``document`` is what it serves, and every attribute may be changed while it runs."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.document: bytes = written(flag())
        self.etag = '"1"'
        self.stream_answer: Response | None = None
        self.snapshot_answer: Response | None = None
        self.intake: deque[Answer] = deque()
        self.stored: dict[str, dict[str, Any]] = {}
        self.arrivals: list[tuple[float, list[str]]] = []
        self.requests: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self._streams: set[asyncio.Queue[bytes | None]] = set()

    def __enter__(self) -> Self:
        routes = [
            Route("/v1/snapshot", self._snapshot),
            Route("/v1/snapshot/stream", self._stream),
            Route("/v1/outcomes", self._outcomes, methods=["POST"]),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes), port=self.port, log_level="critical", lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        eventually(lambda: self._server.started)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self.cut()
        self._thread.join(PATIENCE_S)

    @property
    def streams(self) -> int:
        """How many clients listen."""
        return len(self._streams)

    def publish(self, *flags: PublishedFlag, revision: int, store_id: str = STORE) -> None:
        """Serve these flags, and tell everybody who listens."""
        self.document, self.etag = written(*flags, revision=revision, store_id=store_id), f'"{store_id}:{revision}"'
        self.push(self.document)

    def push(self, data: bytes) -> None:
        """Send ``data`` as an event to everybody who listens."""
        self._tell(b"event: snapshot\nid: 1\ndata: " + data + b"\n\n")

    def cut(self) -> None:
        """End all streams."""
        self._tell(None)

    def _tell(self, chunk: bytes | None) -> None:
        def tell() -> None:
            for stream in self._streams:
                stream.put_nowait(chunk)

        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(tell)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._server.serve())

    async def _snapshot(self, request: Request) -> Response:
        self.requests["snapshot"] += 1
        if self.snapshot_answer is not None:
            return self.snapshot_answer
        if request.headers.get("If-None-Match") == self.etag:
            self.requests["not modified"] += 1
            return Response(status_code=304, headers={"ETag": self.etag})
        return Response(self.document, media_type="application/json", headers={"ETag": self.etag})

    async def _stream(self, request: Request) -> Response:
        self.requests["stream"] += 1
        self.headers.append(dict(request.headers))
        return self.stream_answer or StreamingResponse(self._events(), media_type="text/event-stream")

    async def _events(self) -> AsyncIterator[bytes]:
        mine: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._streams.add(mine)
        try:
            yield b": hello\n\nevent: snapshot\nid: 1\ndata: " + self.document + b"\n\n"
            while (chunk := await mine.get()) is not None:
                yield chunk
        finally:
            self._streams.discard(mine)

    async def _outcomes(self, request: Request) -> Response:
        sent: list[dict[str, Any]] = (await request.json())["outcomes"]
        self.arrivals.append((time.monotonic(), [outcome["id"] for outcome in sent]))
        answer = self.intake.popleft()(sent) if self.intake else None
        if answer is not None:
            return answer
        self.store(sent)
        return JSONResponse({"accepted": len(sent)}, 202)

    def store(self, sent: list[dict[str, Any]]) -> None:
        """Keep outcomes as the controller does: the first of each id counts."""
        for outcome in sent:
            self.requests["stored twice"] += outcome["id"] in self.stored
            self.stored.setdefault(outcome["id"], outcome)


def failing(status: int, headers: dict[str, str] | None = None) -> Answer:
    """An intake that answers with ``status`` and keeps nothing."""
    return lambda _: JSONResponse({"title": "No", "code": "no"}, status, headers)
