"""Simulated users: they ask real questions, all the time, and somebody notes what each of them was served."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from turnout.client import Assignment, Turnout

from .queries import Query

Ask = Callable[[str, Query], object]

# A thread that is further behind than this many seconds lets the requests it missed go, instead of making up for
# them in a burst.
_PATIENCE = 0.5


class Traffic:
    """Users who ask, one after the other and over again, at ``rate`` requests a second in all, until stopped.

    Every user belongs to one thread, so that nobody asks two questions at a time. Use it as a context manager.
    """

    def __init__(self, ask: Ask, users: Sequence[str], queries: Sequence[Query], rate: float, threads: int = 4) -> None:
        """Nothing is asked before the context is entered; ``users`` and ``queries`` must not be empty."""
        self._ask = ask
        self._queries = queries
        self._pause = threads / rate
        self._stopped = threading.Event()
        self._error: Exception | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(users[number::threads], number), name=f"users-{number}")
            for number in range(min(threads, len(users)))
        ]

    @property
    def error(self) -> Exception | None:
        """What an answer failed with; the traffic has stopped then."""
        return self._error

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _run(self, users: Sequence[str], seed: int) -> None:
        try:
            self._requests(users, random.Random(seed))
        except Exception as error:
            self._error = error
            self._stopped.set()

    def _requests(self, users: Sequence[str], rng: random.Random) -> None:
        due, turn = time.monotonic() + rng.random() * self._pause, 0
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            self._ask(users[turn % len(users)], rng.choice(self._queries))
            turn += 1
            due = max(due + self._pause, time.monotonic() - _PATIENCE)


@dataclass(slots=True)
class Stay:
    """A time in which a user was served one variant without a change; ``until`` is the last answer."""

    variant: str
    since: datetime
    until: datetime


class WitnessedTurnout(Turnout):
    """A client that also notes what every user was served. Only the demo needs it, to prove what it claims."""

    def __init__(self, url: str, **settings: Any) -> None:
        """Settings as of `Turnout`."""
        self._stays: dict[str, list[Stay]] = {}
        super().__init__(url, **settings)

    def report(self, what: Assignment | str, /, **measured: Any) -> bool:
        """See `Turnout.report`."""
        if isinstance(what, Assignment):
            # Without flags there is no variant, and the service serves its own default.
            self._note(what.unit, what.variant or str(what.value), datetime.now(UTC))
        return super().report(what, **measured)

    def _note(self, user: str, variant: str, at: datetime) -> None:
        # Without a lock: one thread serves a user, and adding users to a dict is atomic.
        stays = self._stays.setdefault(user, [])
        if stays and stays[-1].variant == variant:
            stays[-1].until = at
        else:
            stays.append(Stay(variant, at, at))

    @property
    def stays(self) -> Mapping[str, Sequence[Stay]]:
        """What every user was served, in order."""
        return self._stays

    def last_served(self, variant: str) -> datetime | None:
        """When anybody was last served ``variant``."""
        every = [stay.until for stays in list(self._stays.values()) for stay in stays if stay.variant == variant]
        return max(every, default=None)


def paths(stays: Mapping[str, Sequence[Stay]]) -> Counter[tuple[str, ...]]:
    """How many users were served which variants, in which order."""
    return Counter(tuple(stay.variant for stay in seen) for seen in stays.values())


def strayed(path: Sequence[str], story: Sequence[str]) -> bool:
    """Whether ``path`` holds a change that ``story``, the changes made for everybody, does not explain."""
    rest = iter(story)
    return not all(variant in rest for variant in path)
