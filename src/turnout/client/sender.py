"""The queue of outcomes and the thread that delivers them.

The queue is bounded: when it is full the oldest outcome gives way, since after an outage a rollout is judged by how
things are, not by how they were. Every retry carries the same ids, so the controller counts each outcome once.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Final

import httpx
from pydantic import TypeAdapter

from turnout.client.backoff import Backoff
from turnout.client.http import Endpoint
from turnout.client.intake import Accepted, Later, Refused, Verdict, judge
from turnout.client.outcomes import Draft
from turnout.domain.outcomes import Outcome

INTAKE: Final = "/v1/outcomes"
BATCH: Final = 500
LINGER_S: Final = 0.5
DENIED_S: Final = 30.0
_SHORTEST_S: Final = 0.2
_LONGEST_S: Final = 15.0
_BODY: Final = TypeAdapter(dict[str, list[Outcome]])

_log = logging.getLogger("turnout.client")


class Sender:
    """Takes outcomes at once and delivers them in batches of at most 500, at least every half second."""

    def __init__(self, endpoint: Endpoint, size: int) -> None:
        """At most ``size`` outcomes wait, besides the batch that is being sent."""
        self._endpoint: Final = endpoint
        self._size: Final = size
        self._begin()

    def _begin(self) -> None:
        # Reentrant: a destructor that reports may run while this very thread holds the lock.
        self._changed = threading.Condition(threading.RLock())
        self._queue: deque[Outcome | Draft] = deque()
        self._in_flight = 0
        self._flushing = 0
        self._flushes = 0
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._backoff = Backoff(_SHORTEST_S, _LONGEST_S)
        self.sent = 0
        self.drops: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.error: str | None = None
        self.denied = False

    def after_fork(self) -> None:
        """In a forked child: start empty. What the parent has queued is the parent's to deliver."""
        self._begin()

    @property
    def queued(self) -> int:
        """How many outcomes are not delivered yet."""
        return len(self._queue) + self._in_flight

    def put(self, outcome: Outcome | Draft) -> bool:
        """Queue ``outcome``; False after ``stop``. A draft that makes no outcome is dropped when its turn comes."""
        with self._changed:
            if self._stopping:
                self._drop("closed", 1)
                return False
            if len(self._queue) >= self._size:
                self._queue.popleft()
                self._drop("overflow", 1, f"more than {self._size} outcomes wait, the oldest are dropped")
            self._queue.append(outcome)
            if self._thread is None:
                self._start()
            if len(self._queue) in (1, BATCH):
                self._changed.notify_all()
            return True

    def drop(self, reason: str, why: str) -> None:
        """Count an outcome that cannot be queued."""
        with self._changed:
            self._drop(reason, 1, why)

    def flush(self, timeout: float) -> bool:
        """Deliver everything queued, for at most ``timeout`` seconds; tells whether nothing is left."""
        with self._changed:
            self._flushing += 1
            self._flushes += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: not self.queued, timeout)
            finally:
                self._flushing -= 1

    def stop(self) -> None:
        """Take nothing more, give up on what is queued, and let the thread end. Does not wait for it."""
        with self._changed:
            self._stopping = True
            self._drop("closed", len(self._queue))
            if self.queued:
                _log.warning(
                    "%d outcomes could not be delivered to %s: %s", self.queued, self._endpoint.url, self.error
                )
            self._queue.clear()
            self._changed.notify_all()

    def finish(self) -> None:
        """Let the thread deliver what is queued, once, and then end; for a client nobody can close any more."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def join(self, timeout: float) -> None:
        """Wait at most ``timeout`` seconds for the thread to end."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="turnout-outcomes", daemon=True)
        self._thread.start()

    def _drop(self, reason: str, count: int, why: str | None = None) -> None:
        if not count:
            return
        if why and not self.drops[reason]:
            _log.warning("outcomes are lost (said once): %s", why)
        self.drops[reason] += count

    def _run(self) -> None:
        while True:
            try:
                with self._endpoint.open() as http:
                    while batch := self._next_batch():
                        self._deliver(http, batch)
                return
            except Exception as error:
                # The batch is lost, the ones after it need not be.
                _log.exception("delivering outcomes failed")
                self._settle(self._in_flight, "refused", str(error))
                if not self._pause(Later(str(error), None)):
                    return

    def _next_batch(self) -> list[Outcome | Draft]:
        """Wait for a batch, or for a few outcomes that have waited long enough; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._queue) or self._stopping)
            self._changed.wait_for(self._due, LINGER_S)
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            self._in_flight = len(batch)
            return batch

    def _due(self) -> bool:
        return len(self._queue) >= BATCH or self._flushing > 0 or self._stopping

    def _made(self, batch: Sequence[Outcome | Draft]) -> list[Outcome]:
        """The outcomes of ``batch``, without the drafts that are none."""
        made: list[Outcome] = []
        for one in batch:
            try:
                made.append(one.outcome() if isinstance(one, Draft) else one)
            except ValueError as error:
                self._settle(1, "invalid", f"{type(error).__name__}: {error}")
        return made

    def _deliver(self, http: httpx.Client, batch: Sequence[Outcome | Draft]) -> None:
        """Send ``batch`` until each of its outcomes is accepted or refused, or the client stops."""
        made = self._made(batch)
        pieces = [made] if made else []
        while pieces:
            piece = pieces.pop()
            match self._send(http, piece):
                case Accepted(unknown, rejected):
                    self._reject(rejected)
                    self._settle(len(piece) - unknown)
                    self._settle(unknown, "unknown", "the controller does not know their flag or variant")
                case Refused(entries, why):
                    pieces += self._without(piece, entries, why)
                case Later() as later:
                    if not self._pause(later):
                        return
                    pieces.append(piece)

    def _send(self, http: httpx.Client, piece: Sequence[Outcome]) -> Verdict:
        # What goes without saying stays unsaid: a controller of an earlier version may not know the field.
        body = _BODY.dump_json({"outcomes": list(piece)}, exclude_defaults=True)
        try:
            answer = http.post(INTAKE, content=body, headers={"Content-Type": "application/json"})
        except httpx.HTTPError as error:
            return Later(f"cannot reach {self._endpoint.url}: {error or type(error).__name__}", None)
        return judge(answer, len(piece))

    def _without(self, piece: list[Outcome], entries: frozenset[int], why: str) -> list[list[Outcome]]:
        """What is left to send of a refused piece. An answer that names no entry leaves two halves to try."""
        if not entries and len(piece) > 1:
            middle = len(piece) // 2
            return [piece[middle:], piece[:middle]]
        bad = entries or {0}
        self._settle(len(bad), "refused", f"the controller refuses them: {why}")
        good = [outcome for place, outcome in enumerate(piece) if place not in bad]
        return [good] if good else []

    def _settle(self, count: int, reason: str | None = None, why: str | None = None) -> None:
        """``count`` outcomes in flight are done with: accepted, or dropped for ``reason``."""
        with self._changed:
            self._in_flight -= count
            if reason:
                self._drop(reason, count, why)
            else:
                self.sent += count
                self.error, self.denied = None, False
                self._backoff.reset()
            self._changed.notify_all()

    def _reject(self, values: Mapping[str, int]) -> None:
        """``values``, by metric, count for nothing; the outcomes they came with are accepted."""
        with self._changed:
            for metric in values.keys() - self.rejected.keys():
                _log.warning("values of %s are outside the bounds of its rollout and do not count (said once)", metric)
            self.rejected.update(values)

    def _pause(self, later: Later) -> bool:
        """Wait before the next try; False when there shall be none."""
        delay = later.wait_s if later.wait_s is not None else DENIED_S if later.denied else self._backoff.next()
        with self._changed:
            if self.error is None:
                _log.warning("outcomes wait: %s", later.why)
            self.error, self.denied = later.why, later.denied
            if not self._stopping:
                self._wait(delay, hurried=later.wait_s is None)
            if self._stopping:
                self._settle(self._in_flight, "closed")
            return not self._stopping

    def _wait(self, delay: float, *, hurried: bool) -> None:
        """Wait ``delay`` seconds; a flush that begins meanwhile ends it if it may be ``hurried``."""
        flushes = self._flushes
        self._changed.wait_for(lambda: self._stopping or (hurried and self._flushes != flushes), delay)
