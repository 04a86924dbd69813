"""The web server around the application: it says where it listens, and stops without waiting for streams."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from api.segments import Protocol
from api.services import Services

GRACE_SECONDS: Final = 5
_KEEP_ALIVE_SECONDS: Final = 75
"""Longer than most proxies keep an idle connection, so that it is not this side that closes it under a request."""


class Server(uvicorn.Server):
    """uvicorn, which leaves signals to its caller, reports its address, and ends event streams when it stops."""

    def __init__(self, app: FastAPI, host: str, port: int, listening: Callable[[str], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                loop="none",
                http=Protocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                # Which proxies to believe is a setting of ours: whoever asked stays whoever connected.
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            )
        )
        self._services: Services = app.state.services
        self._listening = listening

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Nothing: whoever runs the server sets ``should_exit``."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say where."""
        await super().startup(sockets)
        if self.started:
            self._listening(self.url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End event streams, then stop as uvicorn does."""
        self._services.hub.close()
        await super().shutdown(sockets)

    @property
    def url(self) -> str:
        """The base URL it listens at, with the actual port."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.asynccontextmanager
async def serving(app: FastAPI, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[str]:
    """Serve ``app`` in this event loop for the time of the context; gives the base URL."""
    urls: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = Server(app, host, port, urls.set_result)
    task = asyncio.create_task(server.serve())
    try:
        either: set[asyncio.Future[Any]] = {task, urls}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield await urls
    finally:
        server.should_exit = True
        await task
