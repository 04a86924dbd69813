"""The snapshot feed, on stores in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from api.feed import Edition, Hub, Subscriber, edition_of
from api.services import utc_now
from turnout.domain.errors import Unavailable
from turnout.domain.flags import parse_flags
from turnout.ports import FlagStore
from turnout.testing.stores import memory_stores

FLAGS: dict[str, Any] = {"flags": {"x": {"variants": {"a": 1, "b": 2}, "stable": "a"}}}


@pytest.fixture
def store() -> FlagStore:
    """A store of flags."""
    return memory_stores().flags


@asynccontextmanager
async def _running(store: FlagStore) -> AsyncIterator[Hub]:
    hub = Hub(store, 0.005, utc_now)
    task = asyncio.create_task(hub.run())
    try:
        yield hub
    finally:
        hub.close()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _apply(store: FlagStore, *keys: str) -> int:
    flags = parse_flags({"flags": {key: FLAGS["flags"]["x"] for key in keys}})
    await store.apply(flags, "test", utc_now())
    return await store.revision()


async def _until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def _lagging(store: FlagStore, revision: int) -> tuple[int, int]:
    seen = await store.delivery(revision, utc_now() - timedelta(seconds=10))
    return seen.feeds, seen.lagging


async def test_an_empty_store_is_served_too(store: FlagStore) -> None:
    """Revision 0 has no flags, and is an edition all the same."""
    async with _running(store) as hub:
        await _until(lambda: hub.newest is not None)
        assert (hub.edition().revision, hub.edition().snapshot.keys) == (0, ())
    with pytest.raises(Unavailable):
        Hub(store, 1.0, utc_now).edition()


async def test_a_revision_is_not_reported_before_every_subscriber_was_sent_it(store: FlagStore) -> None:
    """The beat waits for the slowest subscriber, and comes once that one has it or is gone."""
    async with _running(store) as hub:
        await _until(lambda: hub.newest is not None)
        with hub.subscription() as quick, hub.subscription() as slow:
            ahead, behind = quick.editions(), slow.editions()
            assert (await anext(ahead)).revision == (await anext(behind)).revision == 0
            revision = await _apply(store, "x")
            assert (await anext(ahead)).revision == revision
            going_on = asyncio.create_task(anext(ahead))
            await _until(lambda: hub.revision == revision)
            assert await _lagging(store, revision) == (1, 1)
            assert (await anext(behind)).revision == revision
            assert await _lagging(store, revision) == (1, 1), "yielded, but not yet handed on"
            stuck = asyncio.create_task(anext(behind))
            async with asyncio.timeout(10):
                while await _lagging(store, revision) != (1, 0):
                    await asyncio.sleep(0.005)
            for task in (going_on, stuck):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def test_a_subscriber_that_goes_is_not_waited_for(store: FlagStore) -> None:
    """Whoever disconnects before taking a revision does not keep it from being reported."""
    async with _running(store) as hub:
        await _until(lambda: hub.newest is not None)
        with hub.subscription():
            revision = await _apply(store, "x")
            await _until(lambda: hub.revision == revision)
            assert await _lagging(store, revision) == (1, 1)
        async with asyncio.timeout(10):
            while await _lagging(store, revision) != (1, 0):
                await asyncio.sleep(0.005)


async def test_a_slow_subscriber_gets_the_newest_only(store: FlagStore) -> None:
    """Editions in between are left out, never queued."""
    async with _running(store) as hub:
        await _until(lambda: hub.newest is not None)
        with hub.subscription() as subscriber:
            editions = subscriber.editions()
            await anext(editions)
            for keys in ("a", "ab", "abc"):
                revision = await _apply(store, *keys)
                await _until(lambda wanted=revision: hub.revision == wanted)
            assert (await anext(editions)).revision == revision
            await editions.aclose()


async def test_closing_ends_every_subscription(store: FlagStore) -> None:
    """A subscriber that waits for a change ends when the hub closes."""
    async with _running(store) as hub:
        await _until(lambda: hub.newest is not None)

        async def all_of(subscriber: Subscriber) -> list[Edition]:
            return [edition async for edition in subscriber.editions()]

        with hub.subscription() as subscriber:
            reading = asyncio.create_task(all_of(subscriber))
            await asyncio.sleep(0)
            hub.close()
            async with asyncio.timeout(10):
                assert len(await reading) <= 1


async def test_the_feed_survives_outages_and_beats_again(store: FlagStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store fails, the last edition stays; afterwards the feed goes on by itself."""
    failures: list[Exception] = [Unavailable("away"), RuntimeError("anything")]

    async def failing() -> int:
        raise failures[-1]

    async with _running(store) as hub:
        revision = await _apply(store, "x")
        await _until(lambda: hub.revision == revision)
        with monkeypatch.context() as outage:
            outage.setattr(store, "revision", failing)
            await asyncio.sleep(0.02)
            assert hub.revision == revision
        revision = await _apply(store, "x", "y")
        await _until(lambda: hub.revision == revision)


async def test_a_revision_that_cannot_be_compiled_is_not_served(
    store: FlagStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last good edition stays and is what the beat reports, until a revision can be compiled again."""
    async with _running(store) as hub:
        good = await _apply(store, "x")
        await _until(lambda: hub.revision == good)
        loaded: list[int] = []

        def refusing(published: Any, _environ: Any) -> Edition:
            loaded.append(published.revision)
            raise ValueError("a flag that cannot be compiled")

        with monkeypatch.context() as broken:
            broken.setattr("api.feed.edition_of", refusing)
            bad = await _apply(store, "x", "y")
            await _until(lambda: loaded)
            await asyncio.sleep(0.05)
            assert (loaded, hub.revision) == ([bad], good)
            assert await _lagging(store, bad) == (1, 1)
        later = await _apply(store, "x", "y", "z")
        await _until(lambda: hub.revision == later)


async def test_the_feed_beats_when_nothing_changes(store: FlagStore) -> None:
    """Silence would look like a dead feed: the beat is repeated every two seconds of the clock."""
    now = utc_now()
    beats: list[datetime] = []
    hub = Hub(store, 1.0, lambda: now)
    beat = store.beat

    async def counting(feed: str, revision: int, at: datetime) -> None:
        beats.append(at)
        await beat(feed, revision, at)

    store.beat = counting  # type: ignore[method-assign]  # the count is what is tested
    for seconds in (0, 1, 2, 3, 4):
        now = now.replace(microsecond=0) + timedelta(seconds=seconds and 1)
        await hub._turn()
    assert len(beats) == 3


async def test_numbers_of_a_flag_are_floats_if_any_of_its_variants_is(store: FlagStore) -> None:
    """What clients of typed languages ask as a float must be written as one."""
    variants = {"low": 0.5, "high": 2}
    flags = parse_flags({"flags": {"f": {"variants": variants, "stable": "low"}, **FLAGS["flags"]}})
    await store.apply(flags, "test", utc_now())
    published = await store.published()
    assert edition_of(published).floats == {"f"}
    assert edition_of(replace(published, revision=7)).etag == f'"{published.store_id}:7"'
