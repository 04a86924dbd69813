"""Threads for blocking calls that somebody waits for, but not longer than a limit."""

from __future__ import annotations

import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

IDLE_S: Final = 30.0
"""How long a thread without work stays."""


class Job:
    """A call and what came of it, once ``done`` can be acquired."""

    __slots__ = ("answer", "call", "context", "done", "error")

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call: Final = call
        self.context: Final = contextvars.copy_context()
        self.done: Final = threading.Lock()
        self.done.acquire()
        self.answer: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Make the call, in the context variables of who asked for it."""
        try:
            self.answer = self.context.run(self.call)
        except BaseException as error:
            self.error = error

    def taken(self) -> BaseException | None:
        """What it failed with. Told once: its traceback has a frame of this job's, and they would hold each other."""
        error, self.error = self.error, None
        return error

    def wait(self, limit_s: float) -> bool:
        """Wait for it to be over, for ``limit_s`` seconds; tells whether it is.

        A wait that itself came back late (the process was stopped, or starved) goes on once for as long as it was late:
        the call did not have its time either.
        """
        due = time.monotonic() + limit_s
        return self.done.acquire(timeout=limit_s) or self.done.acquire(
            timeout=min(max(0.0, time.monotonic() - due), limit_s)
        )


class _Worker:
    __slots__ = ("job", "wake")

    def __init__(self) -> None:
        self.job: Job | None = None
        self.wake: Final = threading.Lock()
        self.wake.acquire()


class Crew:
    """At most ``most`` daemon threads, started when they are needed and kept for a while.

    A thread whose call never comes back is lost with it. Safe to share between threads.
    """

    def __init__(self, most: int = 1000) -> None:
        self._most: Final = most
        self._stopped = False
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._idle: deque[_Worker] = deque()
        self._count = 0

    def after_fork(self) -> None:
        """In a forked child: no thread exists."""
        self._begin()

    def stop(self) -> None:
        """Let the threads end with what they do. Calls can still be made, and keep no thread for the next one."""
        self._stopped = True
        self._dismiss()

    def _dismiss(self) -> None:
        while True:
            try:
                worker = self._idle.pop()
            except IndexError:
                return
            worker.wake.release()

    def begin(self, job: Job) -> bool:
        """Have a thread run ``job``; False when there is none left for it."""
        try:
            worker = self._idle.pop()
        except IndexError:
            return self._hire(job)
        worker.job = job
        worker.wake.release()
        return True

    def _hire(self, job: Job) -> bool:
        with self._lock:
            if self._count >= self._most:
                return False
            self._count += 1
        worker = _Worker()
        worker.job = job
        try:
            threading.Thread(target=self._work, args=(worker,), name="turnout-call", daemon=True).start()
        # A process has only so many threads, and one that ends starts none.
        except RuntimeError:
            self._gone()
            return False
        return True

    def _work(self, worker: _Worker) -> None:
        while self._serve(worker):
            pass
        self._gone()

    def _serve(self, worker: _Worker) -> bool:
        """Run a job and wait for the next one; False when none came. Holds nothing of a job while it waits."""
        job, worker.job = worker.job, None
        if job is not None:
            job.run()
            # Idle before the caller knows, so that its next call finds this thread and starts no other.
            self._idle.append(worker)
            job.done.release()
            del job
            if self._stopped:
                self._dismiss()
        if not worker.wake.acquire(timeout=IDLE_S):
            try:
                self._idle.remove(worker)
            except ValueError:
                # Somebody has just taken it, and is about to wake it.
                worker.wake.acquire()
        return worker.job is not None

    def _gone(self) -> None:
        with self._lock:
            self._count -= 1
