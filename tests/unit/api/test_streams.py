"""Server-sent events: how they are written, and readers that go or are stuck."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.types import Message

from api import sse
from api.following import Position, position_of
from api.routes.data import matches


def test_an_event_has_its_fields_in_lines() -> None:
    """The id is left out when there is none, so that the reader keeps the last one."""
    assert sse.event("snapshot", b"{}", "7") == b"id: 7\nevent: snapshot\ndata: {}\n\n"
    assert sse.event("checks", b"{}") == b"event: checks\ndata: {}\n\n"


@pytest.mark.parametrize(
    ("event_id", "position"),
    [
        ("run:1:7", Position("run:1", 7)),
        ("run:7", Position("run", 7)),
        ("7", Position("", 7)),
        ("", Position()),
        ("run:", Position()),
        ("run:x", Position()),
        ("run:" + "9" * 4000, Position()),
        ("run:²", Position()),
    ],
)
def test_a_position_is_read_from_whatever_a_reader_sends(event_id: str, position: Position) -> None:
    """What is no position of ours means from the beginning."""
    assert position_of(event_id) == position


@pytest.mark.parametrize(
    ("header", "expected"),
    [(None, False), ('"a:1"', True), ('W/"a:1"', True), ('"b", "a:1"', True), ("*", True), ("a:1", False), ("", False)],
)
def test_a_validator_matches_in_any_of_its_forms(header: str | None, expected: bool) -> None:
    """If-None-Match may be weak, one of several, or anything."""
    assert matches(header, '"a:1"') is expected


class _Reader:
    """The ASGI side of a connection."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.gone = asyncio.Event()
        self.stuck = False

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.stuck:
            await asyncio.Event().wait()
        self.sent.append(message)

    async def read(self, source: AsyncGenerator[bytes]) -> None:
        scope: dict[str, Any] = {"type": "http"}
        await sse.EventStream(source)(scope, self.receive, self.send)

    @property
    def chunks(self) -> list[bytes]:
        return [message["body"] for message in self.sent if message["type"] == "http.response.body"]


async def _endless(closed: asyncio.Event, then: bytes = b"one") -> AsyncGenerator[bytes]:
    try:
        yield then
        await asyncio.Event().wait()
    finally:
        closed.set()


async def test_a_source_that_ends_ends_the_response() -> None:
    """The last message says that there is no more."""

    async def source() -> AsyncGenerator[bytes]:
        yield b"one"
        yield b"two"

    reader = _Reader()
    await reader.read(source())
    assert reader.chunks == [b"one", b"two", b""]
    assert reader.sent[-1]["more_body"] is False


async def test_a_reader_that_goes_closes_the_source() -> None:
    """Nobody listens any more, so nothing is kept for them."""
    reader, closed = _Reader(), asyncio.Event()
    reading = asyncio.create_task(reader.read(_endless(closed)))
    async with asyncio.timeout(10):
        while not reader.chunks:
            await asyncio.sleep(0)
        reader.gone.set()
        await reading
    assert closed.is_set()


async def test_a_stuck_reader_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that takes nothing for a while loses its connection, and the source is closed."""
    monkeypatch.setattr(sse, "STUCK_SECONDS", 0.01)
    reader, closed = _Reader(), asyncio.Event()

    async def source() -> AsyncGenerator[bytes]:
        try:
            yield b"one"
            reader.stuck = True
            yield b"two"
        finally:
            closed.set()

    async with asyncio.timeout(10):
        await reader.read(source())
    assert reader.chunks == [b"one"]
    assert closed.is_set()


async def test_silence_is_broken_by_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection on which nothing happens is kept alive, without an event."""
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.01)
    reader, closed = _Reader(), asyncio.Event()
    reading = asyncio.create_task(reader.read(_endless(closed)))
    async with asyncio.timeout(10):
        while reader.chunks.count(b": keep-alive\n\n") < 2:
            await asyncio.sleep(0.005)
        reader.gone.set()
        await reading
    assert reader.chunks[0] == b"one"
