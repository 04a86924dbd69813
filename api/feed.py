"""The snapshot feed: one hub per process follows the store and hands every change to all connected resolvers."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from pydantic_core import to_json

from api import sse
from turnout.domain.errors import Problem, Unavailable
from turnout.domain.snapshot import document
from turnout.ports import FlagStore, Published
from turnout.resolver import Snapshot, compile_document

logger = logging.getLogger("turnout.api.feed")

BEAT_EVERY: Final = timedelta(seconds=2)
_LONGEST_PAUSE: Final = 1.0


@dataclass(frozen=True, slots=True)
class Edition:
    """One revision of all flags, in every form in which it is served."""

    revision: int
    store_id: str
    snapshot: Snapshot
    body: bytes
    etag: str
    event: bytes
    floats: frozenset[str]
    """Flags whose numbers have a fraction in some variant, so that all of them are written as floats."""
    answers: dict[int, tuple[object, bytes]] = field(default_factory=dict)
    """Written answers by the identity of their resolution, which is kept with them."""


def edition_of(published: Published, environ: Mapping[str, str] | None = None) -> Edition:
    """``published``, compiled. Raises InvalidInput when a flag cannot be compiled.

    ``environ`` overrides what is evaluated here, never what is sent to resolvers: they have their own.
    """
    made = document(published.flags, published.revision, published.store_id)
    body = to_json(made)
    return Edition(
        revision=published.revision,
        store_id=published.store_id,
        snapshot=compile_document(made, environ),
        body=body,
        etag=f'"{published.store_id}:{published.revision}"',
        event=sse.event("snapshot", body, str(published.revision)),
        floats=frozenset(
            flag.definition.key
            for flag in published.flags
            if any(isinstance(value, float) for value in flag.definition.variants.values())
        ),
    )


class Subscriber:
    """One connected resolver. It is always given the newest edition; those it was too slow for are left out."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._newest: Edition | None = None
        self._wake = asyncio.Event()

    def offer(self, edition: Edition | None) -> None:
        """Let the subscriber have ``edition``; None wakes it to see whether the hub has closed."""
        self._newest = edition or self._newest
        self._wake.set()

    async def editions(self, known: Edition | None = None) -> AsyncGenerator[Edition]:
        """The editions after ``known``; going on after a ``yield`` tells the hub that it was handed on."""
        while not self._hub.closed:
            newest = self._newest
            if newest is not None and newest is not known:
                yield newest
                known = newest
                self._hub.handed_on(self, newest)
                continue
            if newest is not None:
                self._hub.handed_on(self, newest)
            self._wake.clear()
            await self._wake.wait()


class Hub:
    """Polls the store, keeps the last good edition, serves subscribers, and reports how far an edition got."""

    def __init__(
        self,
        store: FlagStore,
        interval: float,
        clock: Callable[[], datetime],
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._environ: Final = dict(environ or {})
        self._faults: frozenset[Problem] = frozenset()
        self.feed_id: Final = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        self.closed = False
        self._store = store
        # A store that is asked rarely is told often all the same that this feed is alive.
        self._turns = max(1, round(interval / _LONGEST_PAUSE))
        self._interval = interval / self._turns
        self._turned = 0
        self._clock = clock
        self._edition: Edition | None = None
        self._refused: int | None = None
        self._subscribers: set[Subscriber] = set()
        self._behind: set[Subscriber] = set()
        self._all_have_it = asyncio.Event()
        self._handed = 0
        self._beaten: tuple[int, datetime] | None = None

    @property
    def subscribers(self) -> int:
        """How many resolvers are connected."""
        return len(self._subscribers)

    @property
    def revision(self) -> int:
        """The revision served; 0 before the first one."""
        return self._edition.revision if self._edition else 0

    @property
    def newest(self) -> Edition | None:
        """The edition served; None before the first one."""
        return self._edition

    def edition(self) -> Edition:
        """The edition served. Raises Unavailable before the first one could be loaded."""
        if self._edition is None:
            raise Unavailable("no flags could be loaded yet; is the database reachable?")
        return self._edition

    @contextmanager
    def subscription(self) -> Generator[Subscriber]:
        """A subscriber for the time of the context; it starts with the edition served now."""
        subscriber = Subscriber(self)
        self._subscribers.add(subscriber)
        subscriber.offer(self._edition)
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)
            self._caught_up(subscriber)

    def handed_on(self, subscriber: Subscriber, edition: Edition) -> None:
        """Note that ``subscriber`` was sent ``edition``."""
        if edition is self._edition:
            self._caught_up(subscriber)

    async def run(self) -> None:
        """Follow the store until cancelled; an outage of it only delays."""
        delay = self._interval
        while True:
            try:
                await self._turn()
                delay = self._interval
            except Unavailable as error:
                logger.warning("the store does not answer, the last good snapshot is served: %s", error)
                delay = min(delay * 2, _LONGEST_PAUSE)
            except Exception:
                logger.exception("the snapshot feed failed; it goes on with the last good snapshot")
                delay = _LONGEST_PAUSE
            await self._pause(delay)

    def close(self) -> None:
        """End all subscriptions at once."""
        self.closed = True
        for subscriber in self._subscribers:
            subscriber.offer(None)

    async def _turn(self) -> None:
        if self._edition is None or self._turned % self._turns == 0:
            revision = await self._store.revision()
            if (self._edition is None or revision != self.revision) and revision != self._refused:
                await self._load(revision)
        self._turned += 1
        await self._beat()

    async def _load(self, revision: int) -> None:
        published = await self._store.published()
        try:
            # Compiling many flags takes a while, and requests go on.
            edition = await asyncio.to_thread(edition_of, published, self._environ)
        except Exception:
            # It will not get better by trying again, only by another revision.
            self._refused = revision
            logger.exception("revision %d cannot be compiled; revision %d stays", published.revision, self.revision)
            return
        self._warn(edition.snapshot.faults)
        self._publish(edition)

    def _warn(self, faults: Sequence[Problem]) -> None:
        for fault in faults:
            if fault not in self._faults:
                logger.warning("environment: %s", fault)
        self._faults = frozenset(faults)

    def _publish(self, edition: Edition) -> None:
        self._edition = edition
        self._all_have_it.clear()
        self._behind = set(self._subscribers)
        for subscriber in self._subscribers:
            subscriber.offer(edition)
        self._all_caught_up()

    def _caught_up(self, subscriber: Subscriber) -> None:
        self._behind.discard(subscriber)
        self._all_caught_up()

    def _all_caught_up(self) -> None:
        if not self._behind and self._handed != self.revision:
            self._handed = self.revision
            self._all_have_it.set()

    async def _pause(self, seconds: float) -> None:
        """Wait for the next turn; a revision that everybody has by now is reported without waiting."""
        try:
            async with asyncio.timeout(seconds):
                await self._all_have_it.wait()
        except TimeoutError:
            return
        self._all_have_it.clear()

    async def _beat(self) -> None:
        now = self._clock()
        if self._edition is None:
            return
        if self._beaten is not None and self._beaten[0] == self._handed and now - self._beaten[1] < BEAT_EVERY:
            return
        # More may be handed on while the store is told, and has to be told in the next turn.
        handed = self._handed
        await self._store.beat(self.feed_id, handed, now)
        self._beaten = (handed, now)
