"""The application: routes, middleware and the feed's task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from api import errors
from api.auth import Gate, Keys
from api.documentation import describe
from api.errors import OFREP_PREFIX
from api.limits import BodyLimit
from api.metrics import Counted
from api.routes import breakers, budgets, data, flags, freezes, ofrep, operations, rollouts
from api.services import Services
from turnout.adapters.settings import Token


def create_app(services: Services, tokens: Sequence[Token] = ()) -> FastAPI:
    """The HTTP API over ``services``; without ``tokens`` whoever reaches it may do everything."""
    app = FastAPI(
        title="Turnout",
        version="1",
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        middleware=[
            Middleware(Counted, metrics=services.metrics),
            Middleware(OfrepCors),
            Middleware(Gate, keys=Keys(tokens)),
            Middleware(BodyLimit),
        ],
    )
    app.state.services = services
    errors.install(app)
    # The busiest first: routes are tried in order.
    for subject in (ofrep, data, budgets, breakers, flags, rollouts, freezes, operations):
        app.include_router(subject.router)
    _override(app, lambda: describe(app))
    return app


class OfrepCors:
    """ASGI middleware: lets web pages evaluate flags, and read what OFREP answers; nothing else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._ofrep = CORSMiddleware(
            app,
            allow_origins=["*"],
            allow_methods=["POST"],
            allow_headers=["*"],
            expose_headers=["ETag", "Retry-After"],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; below /ofrep through CORS."""
        ofrep_asked = scope["type"] == "http" and scope["path"].startswith(OFREP_PREFIX)
        await (self._ofrep if ofrep_asked else self._app)(scope, receive, send)


def _override(app: FastAPI, openapi: Callable[[], dict[str, Any]]) -> None:
    # FastAPI's documented way to describe an application otherwise.
    setattr(app, "openapi", openapi)  # noqa: B010 - an assignment would be a type error


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    services: Services = app.state.services
    tasks = [asyncio.create_task(services.hub.run())]
    if services.flag_file is not None:
        tasks.append(asyncio.create_task(services.flag_file.run()))
    try:
        yield
    finally:
        services.hub.close()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
