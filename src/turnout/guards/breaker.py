"""Circuit breakers: stop calling what does not work, and find out later, with a few calls, whether it works again.

One `Breaker` guards one variant of one flag in one process. What is bad is a `Meter`'s business: errors in a row, or a
low mean of quality scores. Everything is decided in memory, under a lock that is held for a few instructions.

    closed ──meter says so──▶ open ──recovery timeout──▶ half open ──good probes──▶ closed
                               ▲                             │
                               └────────bad probes───────────┘

A breaker that trips again soon after it closed stays open twice as long each time: one that flaps comes to rest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, Protocol

from pydantic import Field

from turnout.domain.durations import Duration
from turnout.domain.model import Frozen


class Circuit(StrEnum):
    """Where a breaker is: calls pass, no call passes, a few calls pass to find out."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Recovery(Frozen):
    """How a breaker comes back.

    It stays open for ``timeout``; then at most ``at_once`` calls at a time pass as probes, until ``probes`` of them
    decide. Every further trip within ``calm`` of closing doubles the time, up to ``longest``.
    """

    timeout: Duration = timedelta(seconds=30)
    probes: int = Field(default=3, ge=1, le=1000)
    at_once: int = Field(default=1, ge=1, le=1000)
    calm: Duration = timedelta(minutes=5)
    longest: Duration = timedelta(minutes=10)


class Meter(Protocol):
    """Says what is bad. Used under the breaker's lock: it must not block."""

    def record(self, value: float) -> str | None:
        """Note what a call came to while closed; why the breaker has to open, or None."""
        ...

    def probe(self, values: Sequence[float], wanted: int) -> bool | None:
        """Whether the probes so far are good (True), bad (False), or say nothing yet (None)."""
        ...

    def reset(self) -> None:
        """Forget everything."""
        ...


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call; give it back with what the call came to."""

    epoch: int
    probe: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A breaker went ``before`` → ``after``, and ``why``; ``open_for`` is how long it stays open."""

    before: Circuit
    after: Circuit
    why: str
    open_for: timedelta = timedelta()


OnChange = Callable[[Change], None]


class Breaker:
    """Lets calls pass while ``meter`` is content; see the module. Safe to share between threads.

    ``clock`` gives seconds that never run backwards. ``on_change`` is called after every change, outside of the lock.
    """

    def __init__(
        self,
        meter: Meter,
        recovery: Recovery | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_change: OnChange | None = None,
    ) -> None:
        self._meter: Final = meter
        self._recovery: Final = recovery or Recovery()
        self._clock: Final = clock
        self._on_change: Final = on_change
        self._lock = threading.Lock()
        self._circuit = Circuit.CLOSED
        self._epoch = 0
        self._usual = Permit(0, probe=False)
        self._until = 0.0
        self._closed_at = -float("inf")
        self._trips = 0
        self._probing: list[float] = []
        self._probed: list[float] = []

    @property
    def circuit(self) -> Circuit:
        """Where it is. An open breaker whose time is over is half open, also before the first probe."""
        with self._lock:
            over = self._circuit is Circuit.OPEN and self._clock() >= self._until
            return Circuit.HALF_OPEN if over else self._circuit

    @property
    def opens_in(self) -> float:
        """Seconds until an open breaker lets the first probe pass; 0 when it is not open."""
        with self._lock:
            return max(0.0, self._until - self._clock()) if self._circuit is Circuit.OPEN else 0.0

    def enter(self) -> Permit | None:
        """Leave to make one call, or None. Every permit has to be given back with `leave`."""
        change = None
        with self._lock:
            if self._circuit is Circuit.CLOSED:
                return self._usual
            now = self._clock()
            if self._circuit is Circuit.OPEN:
                if now < self._until:
                    return None
                change = self._become(Circuit.HALF_OPEN, "the recovery time is over")
            # A probe whose caller was lost must not keep others out for ever.
            self._probing = [since for since in self._probing if now - since < self._recovery.timeout.total_seconds()]
            permit = None
            if len(self._probing) < self._recovery.at_once:
                self._probing.append(now)
                permit = Permit(self._epoch, probe=True)
        self._tell(change)
        return permit

    def leave(self, permit: Permit, value: float | None) -> None:
        """Give ``permit`` back. ``value`` is what the meter is fed; None says nothing (the call was cancelled).

        What a call that began before the last change came to is not counted.
        """
        change = None
        with self._lock:
            if permit.epoch != self._epoch:
                return
            if not permit.probe:
                why = None if value is None else self._meter.record(value)
                change = self._trip(why) if why else None
            else:
                if self._probing:
                    self._probing.pop(0)
                change = self._judge(value)
        self._tell(change)

    def trip(self, why: str) -> None:
        """Open it now, whatever the meter says; the time of an open one begins anew."""
        with self._lock:
            change = self._trip(why)
        self._tell(change)

    def close(self, why: str) -> None:
        """Close it now and forget what was measured."""
        with self._lock:
            change = self._close(why) if self._circuit is not Circuit.CLOSED else None
        self._tell(change)

    def _judge(self, value: float | None) -> Change | None:
        if value is None:
            return None
        self._probed.append(value)
        good = self._meter.probe(self._probed, self._recovery.probes)
        if good is None:
            return None
        return self._close("the probes went well") if good else self._trip("a probe went badly")

    def _trip(self, why: str) -> Change:
        now = self._clock()
        if self._circuit is Circuit.CLOSED and now - self._closed_at >= self._recovery.calm.total_seconds():
            self._trips = 0
        open_for = min(self._recovery.timeout * 2 ** min(self._trips, 30), self._recovery.longest)
        open_for = max(open_for, self._recovery.timeout)
        self._trips += 1
        self._until = now + open_for.total_seconds()
        return self._become(Circuit.OPEN, why, open_for)

    def _close(self, why: str) -> Change:
        self._closed_at = self._clock()
        return self._become(Circuit.CLOSED, why)

    def _become(self, after: Circuit, why: str, open_for: timedelta = timedelta()) -> Change:
        change = Change(self._circuit, after, why, open_for)
        self._circuit = after
        self._epoch += 1
        self._usual = Permit(self._epoch, probe=False)
        self._probing, self._probed = [], []
        self._meter.reset()
        return change

    def _tell(self, change: Change | None) -> None:
        if change is not None and self._on_change is not None:
            self._on_change(change)
