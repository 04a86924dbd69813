"""Writes that leave together, and connections that end."""

from __future__ import annotations

import asyncio

import pytest

from api import segments
from api.segments import JoinedWrites


class _Wire(asyncio.Transport):
    """What reaches the connection."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[object] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.log.append(bytes(data))

    def close(self) -> None:
        self.log.append("close")

    def abort(self) -> None:
        self.log.append("abort")

    def is_closing(self) -> bool:
        return "close" in self.log


async def test_writes_of_one_turn_leave_as_one() -> None:
    """Headers and body of an answer are one segment, the next answer is another."""
    wire = _Wire()
    joined = JoinedWrites(wire)
    joined.write(b"head")
    joined.write(b"body")
    assert wire.log == []
    await asyncio.sleep(0)
    joined.write(b"next")
    await asyncio.sleep(0)
    assert wire.log == [b"headbody", b"next"]


async def test_nothing_written_is_lost_by_closing() -> None:
    """What was written before the close is sent before it."""
    wire = _Wire()
    joined = JoinedWrites(wire)
    joined.write(b"last")
    joined.close()
    joined.gone()
    await asyncio.sleep(0)
    assert wire.log == [b"last", "close"]


@pytest.mark.parametrize("taken", [True, False])
async def test_a_closed_connection_that_nobody_empties_is_aborted(taken: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that takes nothing cannot keep the connection for ever; one that took everything is left alone."""
    monkeypatch.setattr(segments, "LINGER_SECONDS", 0.001)
    wire = _Wire()
    joined = JoinedWrites(wire)
    joined.close()
    if taken:
        joined.gone()
    await asyncio.sleep(0.05)
    assert wire.log == (["close"] if taken else ["close", "abort"])
