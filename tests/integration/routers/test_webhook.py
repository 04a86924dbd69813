"""The webhook against an endpoint as docs/routers.md asks for one."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.integration.routers.test_routers import HEADER, split
from tests.receivers import arrived
from turnout.adapters.routers import WebhookRouter, router_of
from turnout.domain.errors import InvalidInput, StaleGeneration, TurnoutError, Unavailable
from turnout.domain.routing import Resolver, Webhook
from turnout.domain.splits import drifts

SECRET = "a-secret-of-the-router"


@dataclass
class Endpoint:
    """Takes signed splits, keeps the newest, and says what it does; ``answer`` replaces all that by one answer."""

    url: str = ""
    state: dict[str, Any] = field(default_factory=lambda: {"weights": {"blue": 1}})
    keys: list[str] = field(default_factory=list[str])
    answer: tuple[int, bytes] | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await arrived(reader)
        status, said = self.answer or self.handle(asked.line.split()[0], asked.headers, asked.body)
        writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: {len(said)}\r\nConnection: close\r\n\r\n".encode() + said)
        writer.close()

    def handle(self, method: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        timestamp = headers["turnout-timestamp"]
        expected = hmac.new(SECRET.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(f"v1={expected}", headers["turnout-signature"]):
            return 401, b"bad signature"
        if abs(time.time() - int(timestamp)) > 300:
            return 401, b"old"
        if method == "GET":
            return 200, json.dumps(self.state).encode()
        asked = json.loads(body)
        self.keys.append(headers["idempotency-key"])
        if asked["generation"] < self.state.get("generation", 0):
            return 409, b"older"
        self.state = asked
        return 204, b""


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    it = Endpoint()
    async with await asyncio.start_server(it.serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        it.url = f"http://{host}:{port}/split"
        yield it


@pytest.fixture
def config(endpoint: Endpoint) -> Webhook:
    return Webhook.model_validate({"kind": "webhook", "url": endpoint.url, "secret": "$ROUTER_SECRET"})


@pytest.fixture
def steered(config: Webhook, http: httpx.AsyncClient) -> WebhookRouter:
    return WebhookRouter(config, http, {"ROUTER_SECRET": SECRET})


async def test_a_signed_change_is_done_and_read_back(endpoint: Endpoint, steered: WebhookRouter) -> None:
    """The endpoint gets the whole split, under one key for each rollout and generation, and says that it does it."""
    state = await steered.apply(split(4, 10_000, HEADER))
    assert (state.drift, state.shares, state.preview) == ((), {"green": 10_000, "blue": 90_000}, HEADER)
    await steered.apply(split(4, 10_000, HEADER))
    assert endpoint.keys == ["r-1:4", "r-1:4"]
    assert endpoint.state["generation"] == 4


async def test_shares_within_the_tolerance_are_no_drift(endpoint: Endpoint, steered: WebhookRouter) -> None:
    """The endpoint may count as it likes and round a little; more than that is a drift, and applying again mends it."""
    asked = split(1, 33_333)
    await steered.apply(asked)
    endpoint.state["weights"] = {"blue": 2, "green": 1}
    assert drifts(steered.planned(asked), await steered.read()) == ()
    endpoint.state["weights"] = {"blue": 65, "green": 35}
    assert [drift.kind for drift in drifts(steered.planned(asked), await steered.read())] == ["share", "share"]
    assert (await steered.apply(asked)).drift == ()


async def test_an_older_generation_is_refused_here_and_there(endpoint: Endpoint, steered: WebhookRouter) -> None:
    """The fence holds before anything is sent, and where the endpoint is the one to know it."""
    await steered.apply(split(4, 10_000))
    with pytest.raises(StaleGeneration, match="follows generation 4"):
        await steered.apply(split(3, 0))
    assert endpoint.keys == ["r-1:4"]

    class Forgetful(Endpoint):
        def handle(self, method: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
            return (409, b"older") if method == "POST" else (200, b'{"weights": {"blue": 1}}')

    endpoint.handle = Forgetful().handle  # type: ignore[method-assign]
    with pytest.raises(StaleGeneration, match="refuses generation 3 of rollout r-1 as not newer: older"):
        await steered.apply(split(3, 0))


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        ((503, b"busy"), Unavailable, "does not take the request now: status 503, busy"),
        ((429, b""), Unavailable, "status 429, nothing"),
        (
            (404, b"what?"),
            InvalidInput,
            r"router\.read_url: refuses the request: status 404, what\? .*; check the address",
        ),
        ((302, b""), InvalidInput, "status 302"),
        ((200, b"[]"), InvalidInput, r"router\.read_url: answers no state"),
        ((200, b'{"weights": {"blue": -1}}'), InvalidInput, r"answers no state: weights\.blue"),
        ((200, b"x" * 5_000_000), Unavailable, "more than 4,000,000 bytes"),
    ],
)
async def test_broken_endpoints(
    endpoint: Endpoint, steered: WebhookRouter, answer: tuple[int, bytes], kind: type[TurnoutError], message: str
) -> None:
    """What may pass is worth another attempt, anything else is told with the field and the remedy."""
    endpoint.answer = answer
    with pytest.raises(kind, match=message):
        await steered.apply(split(1, 0))


async def test_the_secret(endpoint: Endpoint, config: Webhook, http: httpx.AsyncClient) -> None:
    """A missing or a wrong secret is named, never shown; an old timestamp is refused by the endpoint."""
    with pytest.raises(Unavailable, match=r"router\.secret needs the environment variable ROUTER_SECRET"):
        await WebhookRouter(config, http, {}).read()
    with pytest.raises(InvalidInput, match=r"bad signature .*check the secret on both sides") as caught:
        await WebhookRouter(config, http, {"ROUTER_SECRET": "another"}).read()
    assert "another" not in str(caught.value)
    late = WebhookRouter(config, http, {"ROUTER_SECRET": SECRET}, lambda: datetime.now(UTC) - timedelta(hours=1))
    with pytest.raises(InvalidInput, match="status 401, old"):
        await late.read()


async def test_every_kind_has_its_router(config: Webhook, http: httpx.AsyncClient) -> None:
    """The registry knows the webhook, and that a resolver needs no router."""
    assert isinstance(router_of(config, http, {}), WebhookRouter)
    assert router_of(Resolver(kind="resolver"), http, {}) is None
