"""Breakers of a process are told to the controller, in the background, whatever it does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.integration.api.harness import FLAG, FLAGS, Api, ScriptedEngine, eventually, running
from turnout.client.http import endpoint
from turnout.client.reports import Reports
from turnout.domain.errors import Unavailable
from turnout.guards.breaker import Change, Circuit
from turnout.testing.stores import memory_stores
from workflows.messages import BreakerSignal

OPENED = Change(Circuit.CLOSED, Circuit.OPEN, "5 failures in a row", timedelta(seconds=30))
PROBES = Change(Circuit.OPEN, Circuit.HALF_OPEN, "the recovery time is over")


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """A running API."""
    async with running(memory_stores(), ScriptedEngine()) as served:
        await served.apply({FLAG: FLAGS[FLAG]})
        yield served


def told(api: Api) -> list[tuple[str, str]]:
    """What the API was told, and why."""
    engine = api.services.engine
    assert isinstance(engine, ScriptedEngine)
    signals = [signal for _, _, signal in engine.reports if isinstance(signal, BreakerSignal)]
    return [(signal.report.circuit, signal.report.why) for signal in signals]


async def test_opening_is_told_and_half_open_is_not(api: Api) -> None:
    """Half open is nobody else's business."""
    reports = Reports(endpoint(api.url, None, 5.0))
    reports.changed(FLAG, "lightrag", "errors", PROBES)
    reports.changed(FLAG, "lightrag", "errors", OPENED)
    assert await asyncio.to_thread(reports.flush, 10.0)
    assert told(api) == [("open", "5 failures in a row")]
    reports.close(0)
    reports.changed(FLAG, "lightrag", "quality", OPENED)
    assert len(told(api)) == 1


async def test_an_outage_only_delays_it(api: Api) -> None:
    """It is told once the controller answers; what it refuses for good is not told again."""
    engine = api.services.engine
    assert isinstance(engine, ScriptedEngine)
    engine.error = Unavailable("the workflow engine cannot be reached")
    reports = Reports(endpoint(api.url, None, 5.0))
    reports.changed(FLAG, "nobody", "errors", OPENED)
    reports.changed(FLAG, "lightrag", "errors", OPENED)
    await eventually(lambda: reports.error, lambda error: error is not None)
    assert told(api) == []
    engine.error = None
    await eventually(lambda: told(api), lambda seen: seen == [("open", "5 failures in a row")])
    assert await asyncio.to_thread(reports.flush, 10.0)
    await asyncio.to_thread(reports.close, 5.0)


async def test_a_forked_child_begins_anew(api: Api) -> None:
    """What the parent has to tell is the parent's."""
    reports = Reports(endpoint("http://127.0.0.1:9", None, 0.2))
    reports.changed(FLAG, "lightrag", "errors", OPENED)
    assert not await asyncio.to_thread(reports.flush, 0.05)
    # No thread of the parent's lives in a real child.
    reports.close(0)
    await eventually(lambda: [one.name for one in threading.enumerate()], lambda names: "turnout-breakers" not in names)
    reports.after_fork()
    assert reports.flush(0)
