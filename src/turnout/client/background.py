"""Calls that run beside a request and must never slow it or fail it: bounded in number, in time, and in what waits.

Blocking calls run on daemon threads, coroutines on the caller's event loop. A call that takes too long is reported as
such at its deadline and forgotten; its place stays occupied until it comes back, because nothing can stop a thread, and
a coroutine may resist being cancelled. When every place is taken, further calls are shed, at once.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
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
    limit: float
    shed: Callable[[], None] | None = None
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
        self._stopped = False
        self._begin()

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[_Job] = deque()
        self._running: list[_Job] = []
        self._telling = 0
        self._threads = 0
        self._busy = 0
        self._coroutines: set[asyncio.Task[None]] = set()
        self._watching = False
        self.counts = Counts()

    def after_fork(self) -> None:
        """In a forked child: nothing runs, no thread exists."""
        self._begin()

    def submit(
        self, call: Call, then: Then, limit_s: float | None = None, shed: Callable[[], None] | None = None
    ) -> bool:
        """Run the blocking ``call`` on a thread and give ``then`` what came of it; False when it was shed.

        ``limit_s`` takes the place of the usual limit. ``shed`` is called when it is shed later, having waited in vain.
        """
        now = time.monotonic()
        limit = self._limit if limit_s is None else limit_s
        with self._changed:
            stale = self._shed_stale(now)
            room = self._has_room()
            if room:
                self._queue.append(_Job(call, then, contextvars.copy_context(), now, limit, shed))
                self._changed.notify_all()
            else:
                self.counts.shed += 1
        _tell_shed(stale)
        return room

    def spawn(self, call: Callable[[], Awaitable[object]], then: Then, limit_s: float | None = None) -> bool:
        """Run the coroutine function ``call`` on the running event loop; False when it was shed.

        ``limit_s`` takes the place of the usual limit.

        Raises:
            RuntimeError: there is no running event loop.
        """
        loop = asyncio.get_running_loop()
        with self._changed:
            if len(self._coroutines) >= self._places:
                # Tasks that a loop left behind when it was closed never end.
                self._coroutines = {task for task in self._coroutines if not task.get_loop().is_closed()}
            if self._stopped or len(self._coroutines) >= self._places:
                self.counts.shed += 1
                return False
            self.counts.started += 1
            task = loop.create_task(self._await(call, then, self._limit if limit_s is None else limit_s))
            self._coroutines.add(task)
        task.add_done_callback(self._forget)
        return True

    def drain(self, timeout: float) -> bool:
        """Wait until every blocking call is over and told, for at most ``timeout`` seconds; tells whether all are."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._queue or self._running or self._telling), timeout)

    def stop(self) -> None:
        """Shed what waits and everything from now on, and let the threads end with their calls. Does not wait."""
        with self._changed:
            self._stopped = True
            self.counts.shed += len(self._queue)
            waiting = list(self._queue)
            self._queue.clear()
            self._changed.notify_all()
        _tell_shed(waiting)

    def _has_room(self) -> bool:
        """Whether a thread is free for one more call, can be started, or may be waited for."""
        if self._stopped:
            return False
        if not self._watching:
            self._watching = _started(self._watch, "turnout-deadlines")
        if not self._watching:
            return False
        free = self._threads - self._busy - len(self._queue)
        if free <= 0 and self._threads < self._places and _started(self._work, "turnout-background"):
            self._threads += 1
            free += 1
        return self._threads > 0 and free + self._waiting > 0

    def _forget(self, task: asyncio.Task[None]) -> None:
        with self._changed:
            self._coroutines.discard(task)

    async def _await(self, call: Callable[[], Awaitable[object]], then: Then, limit: float) -> None:
        """Tell what came of ``call`` at its limit at the latest, and keep its place until it has really ended."""
        running = asyncio.create_task(_outcome_of(call))
        try:
            await asyncio.wait({running}, timeout=limit)
            if running.done():
                _tell(then, Done(None, 0.0, "CancelledError: ") if running.cancelled() else running.result())
                return
            with self._changed:
                self.counts.late += 1
            running.cancel()
            _tell(then, Done(None, limit * 1000, TIMED_OUT))
            await asyncio.wait({running})
        finally:
            running.cancel()

    def _work(self) -> None:
        while self._serve_next():
            pass

    def _serve_next(self) -> bool:
        """Run one call. What it holds is let go of before the next one is waited for."""
        job = self._next()
        if job is None:
            return False
        began = time.monotonic()
        try:
            done = Done(job.context.run(job.call), 0.0)
        except BaseException as error:
            done = Done(None, 0.0, told(error))
        finished = Done(done.answer, _ms_since(began), done.error)
        in_time = self._finish(job)
        if in_time:
            _tell(job.then, finished)
        with self._changed:
            self._busy -= 1
            self._telling -= in_time
            self._changed.notify_all()
        return True

    def _next(self) -> _Job | None:
        """The next call, once there is one; None when there shall be none."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._queue) or self._stopped)
            if not self._queue:
                self._threads -= 1
                return None
            job = self._queue.popleft()
            job.deadline = time.monotonic() + job.limit
            self._busy += 1
            self._running.append(job)
            self.counts.started += 1
            self._changed.notify_all()
            return job

    def _finish(self, job: _Job) -> bool:
        """Whether the call came back in time; it is over either way."""
        with self._changed:
            in_time = job in self._running
            if in_time:
                self._running.remove(job)
                self._telling += 1
            return in_time

    def _watch(self) -> None:
        while self._expire():
            pass

    def _expire(self) -> bool:
        """Wait for calls to be past their limit and report them; False when there is nothing left to watch."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._running) or self._stopped)
            if not self._running:
                self._watching = False
                return False
            now = time.monotonic()
            late = [job for job in self._running if job.deadline <= now]
            for job in late:
                self._running.remove(job)
            self._telling += len(late)
            self.counts.late += len(late)
            if not late:
                self._changed.wait(min(job.deadline for job in self._running) - now)
        for job in late:
            _tell(job.then, Done(None, job.limit * 1000, TIMED_OUT))
        with self._changed:
            self._telling -= len(late)
            self._changed.notify_all()
        return True

    def _shed_stale(self, now: float) -> list[_Job]:
        stale: list[_Job] = []
        while self._queue and now - self._queue[0].queued > self._queue[0].limit:
            stale.append(self._queue.popleft())
            self.counts.shed += 1
        return stale


async def _outcome_of(call: Callable[[], Awaitable[object]]) -> Done:
    began = time.monotonic()
    try:
        return Done(await call(), _ms_since(began))
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise
    # A SystemExit of the call's would end the event loop, and the service with it.
    except BaseException as error:
        return Done(None, _ms_since(began), told(error))


def _started(target: Callable[[], None], name: str) -> bool:
    """Whether there is a new thread: a process has only so many, and one that ends starts none."""
    try:
        threading.Thread(target=target, name=name, daemon=True).start()
    except RuntimeError:
        return False
    return True


def _tell(then: Then, done: Done) -> None:
    try:
        then(done)
    except Exception:
        _log.exception("what follows a background call failed")


def _tell_shed(jobs: Iterable[_Job]) -> None:
    for job in jobs:
        if job.shed is not None:
            job.shed()


def told(error: BaseException) -> str:
    """What an exception says, on one short line."""
    try:
        return f"{type(error).__name__}: {error}"[:300]
    except Exception:
        return type(error).__name__


def _ms_since(began: float) -> float:
    return (time.monotonic() - began) * 1000
