"""Telling the controller that a breaker of this process opened or closed, so that every other process hears of it.

A thread of its own delivers; nobody waits. Of several changes of the same breaker only the newest is worth telling.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from typing import Final, Literal

import httpx

from turnout.client.assignment import Assignment
from turnout.client.backoff import Backoff
from turnout.client.http import Endpoint, describe
from turnout.domain.breaking import BreakerKind, BreakerReport
from turnout.guards.breaker import Change, Circuit

STALE_S: Final = 60.0
"""What could not be told for so long is not told any more: it says nothing about now."""

_SHORTEST_S: Final = 0.1
_LONGEST_S: Final = 5.0
_JSON: Final = {"Content-Type": "application/json"}
_Key = tuple[str, str, BreakerKind]

_log = logging.getLogger("turnout.client")


class Reports:
    """Reports changes of breakers. Safe to share between threads; `after_fork` begins anew in a child."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint: Final = endpoint
        self._begin()

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[_Key, tuple[float, BreakerReport]] = {}
        self._busy = False
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.error: str | None = None

    def after_fork(self) -> None:
        """In a forked child: start empty."""
        self._begin()

    def changed(self, flag: str, variant: str, kind: BreakerKind, change: Change) -> None:
        """A breaker of this process has changed. Half open is nobody else's business."""
        if change.after is Circuit.HALF_OPEN:
            return
        circuit: Literal["open", "closed"] = "open" if change.after is Circuit.OPEN else "closed"
        reporter = f"{socket.gethostname()}-{os.getpid()}"[:200]
        report = BreakerReport(circuit=circuit, kind=kind, why=change.why[:500], reporter=reporter)
        with self._changed:
            if self._stopping:
                return
            self._waiting[flag, variant, kind] = time.monotonic(), report
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="turnout-breakers", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until all is told, at most ``timeout`` seconds; tells whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout)

    def close(self, timeout: float) -> None:
        """Tell what can be told in ``timeout`` seconds, and end."""
        self.flush(timeout)
        with self._changed:
            self._stopping = True
            self._waiting.clear()
            self._changed.notify_all()

    def _run(self) -> None:
        backoff = Backoff(_SHORTEST_S, _LONGEST_S)
        with self._endpoint.open() as http:
            while (item := self._next()) is not None:
                key, at, report = item
                why = self._send(http, key, report)
                if why is None:
                    backoff.reset()
                self._settle(key, at, report, why)
                if why is not None:
                    self._pause(backoff.next())

    def _next(self) -> tuple[_Key, float, BreakerReport] | None:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or self._stopping)
            if not self._waiting:
                return None
            key = next(iter(self._waiting))
            self._busy = True
            return (key, *self._waiting.pop(key))

    def _send(self, http: httpx.Client, key: _Key, report: BreakerReport) -> str | None:
        """Why the controller has not got it, and might later; None if it has, or refuses it for good."""
        flag, variant, _ = key
        path = f"/v1/breakers/{flag}/{variant}/report"
        try:
            answer = http.post(path, content=report.model_dump_json(), headers=_JSON)
        except httpx.HTTPError as error:
            return f"cannot reach {self._endpoint.url}: {error or type(error).__name__}"
        if answer.is_success:
            self.error = None
            return None
        if answer.status_code in (400, 404, 422):
            _log.warning("the breaker of %s/%s is not shared: %s", flag, variant, describe(answer))
            return None
        return describe(answer)

    def _settle(self, key: _Key, at: float, report: BreakerReport, why: str | None) -> None:
        with self._changed:
            self._busy = False
            if why is not None:
                if self.error is None:
                    _log.warning("a breaker cannot be shared: %s", why)
                self.error = why
                if time.monotonic() - at < STALE_S and not self._stopping:
                    self._waiting.setdefault(key, (at, report))
            self._changed.notify_all()

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, seconds)


def blocked(assignment: Assignment) -> BreakerKind | None:
    """What kind of breaker gave the unit the stable variant instead of its own; None if none did."""
    if assignment.decided_by != "breaker":
        return None
    kind = assignment.metadata.get("blockedBy")
    return "quality" if kind == "quality" else "errors"
