"""Calls that run beside a request and must never slow it or fail it: bounded in number, in time, and in what waits.

Blocking calls run on daemon threads, coroutines on the caller's event loop. A call that takes too long is reported as
such at its deadline and forgotten; its thread stays occupied until it comes back, because nothing can stop a thread.
When every place is taken, further calls are shed, at once.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

Call = Callable[[], object]
Then = Callable[["Done"], None]

TIMED_OUT: Final = "timeout"

_log = logging.getLogger("turnout.client")


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a call: its ``answer``, or in ``error`` why there is none (``timeout``, or what it raised).

    ``latency_ms`` is how long it took, up to the limit, in milliseconds.
    """

    answer: object
    latency_ms: float
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether there is an answer."""
        return self.error is None


@dataclass(slots=True, eq=False)
class _Job:
    call: Call
    then: Then
    context: contextvars.Context
    queued: float
    deadline: float = 0.0


@dataclass(slots=True)
class Counts:
    """How many calls were ``started``, ``shed`` because every place was taken, and ``late``, past their limit."""

    started: int = 0
    shed: int = 0
    late: int = 0


class Background:
    """At most ``places`` calls at a time, each for at most ``limit_s`` seconds; ``waiting`` more may queue for a place.

    A call that has waited for a place as long as it may run is shed. Callbacks run on the thread or loop of their call;
    what they raise is logged. Safe to share between threads and event loops.
    """

    def __init__(self, places: int = 8, limit_s: float = 10.0, waiting: int = 16) -> None:
        self._places: Final = places
        self._limit: Final = limit_s
        self._waiting: Final = waiting
        self._begin()

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[_Job] = deque()
        self._running: list[_Job] = []
        self._threads = 0
        self._idle = 0
        self._coroutines: set[asyncio.Task[None]] = set()
        self._watching = False
        self.counts = Counts()

    def after_fork(self) -> None:
        """In a forked child: nothing runs, no thread exists."""
        self._begin()

    def submit(self, call: Call, then: Then) -> bool:
        """Run the blocking ``call`` on a thread and give ``then`` what came of it; False when it was shed."""
        now = time.monotonic()
        with self._changed:
            self._shed_stale(now)
            if self._idle <= len(self._queue) and self._threads >= self._places and len(self._queue) >= self._waiting:
                self.counts.shed += 1
                return False
            self._queue.append(_Job(call, then, contextvars.copy_context(), now))
            if self._idle < len(self._queue) and self._threads < self._places:
                self._threads += 1
                threading.Thread(target=self._work, name="turnout-background", daemon=True).start()
            self._changed.notify_all()
        return True

    def spawn(self, call: Callable[[], Awaitable[object]], then: Then) -> bool:
        """Run the coroutine function ``call`` on the running event loop; False when it was shed.

        Raises:
            RuntimeError: there is no running event loop.
        """
        loop = asyncio.get_running_loop()
        with self._changed:
            if len(self._coroutines) >= self._places:
                self.counts.shed += 1
                return False
            self.counts.started += 1
            task = loop.create_task(self._await(call, then))
            self._coroutines.add(task)
        task.add_done_callback(self._forget)
        return True

    def drain(self, timeout: float) -> bool:
        """Wait until no blocking call runs or waits, for at most ``timeout`` seconds; tells whether none does."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue and not self._running, timeout)

    def _forget(self, task: asyncio.Task[None]) -> None:
        with self._changed:
            self._coroutines.discard(task)

    async def _await(self, call: Callable[[], Awaitable[object]], then: Then) -> None:
        began, limit = time.monotonic(), asyncio.timeout(self._limit)
        try:
            async with limit:
                answer = await call()
            done = Done(answer, _ms_since(began))
        except TimeoutError as error:
            late = limit.expired()
            if late:
                with self._changed:
                    self.counts.late += 1
            done = Done(None, _ms_since(began), TIMED_OUT if late else _told(error))
        except Exception as error:
            done = Done(None, _ms_since(began), _told(error))
        _tell(then, done)

    def _work(self) -> None:
        while True:
            job = self._next()
            began = time.monotonic()
            try:
                done = Done(job.context.run(job.call), 0.0)
            except BaseException as error:
                done = Done(None, 0.0, _told(error))
            finished = Done(done.answer, _ms_since(began), done.error)
            if self._finish(job):
                _tell(job.then, finished)

    def _next(self) -> _Job:
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: bool(self._queue))
            self._idle -= 1
            job = self._queue.popleft()
            job.deadline = time.monotonic() + self._limit
            self._running.append(job)
            self.counts.started += 1
            if not self._watching:
                self._watching = True
                threading.Thread(target=self._watch, name="turnout-deadlines", daemon=True).start()
            self._changed.notify_all()
            return job

    def _finish(self, job: _Job) -> bool:
        """Whether the call came back in time; it is over either way."""
        with self._changed:
            in_time = job in self._running
            if in_time:
                self._running.remove(job)
            self._changed.notify_all()
            return in_time

    def _watch(self) -> None:
        """Report every call that is past its limit; waits while there is nothing to watch."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._running))
                now = time.monotonic()
                late = [job for job in self._running if job.deadline <= now]
                for job in late:
                    self._running.remove(job)
                    self.counts.late += 1
                if not late:
                    self._changed.wait(min(job.deadline for job in self._running) - now)
            for job in late:
                _tell(job.then, Done(None, self._limit * 1000, TIMED_OUT))

    def _shed_stale(self, now: float) -> None:
        while self._queue and now - self._queue[0].queued > self._limit:
            self._queue.popleft()
            self.counts.shed += 1


def _tell(then: Then, done: Done) -> None:
    try:
        then(done)
    except Exception:
        _log.exception("what follows a background call failed")


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _ms_since(began: float) -> float:
    return (time.monotonic() - began) * 1000
