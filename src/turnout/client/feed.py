"""The thread that brings new flags: it listens to the controller's stream, or polls where streams fail."""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import Final

import httpx

from turnout.client.assignment import FlagSource
from turnout.client.backoff import Backoff
from turnout.client.current import Current
from turnout.client.disk import Cache
from turnout.client.http import DENIED, Endpoint, describe, retry_after
from turnout.client.sse import Parser
from turnout.resolver import Snapshot

SNAPSHOT: Final = "/v1/snapshot"
STREAM: Final = "/v1/snapshot/stream"
SILENCE_S: Final = 45.0
"""A stream that says nothing for so long is dead: the controller sends a comment every 15 seconds."""
DENIED_S: Final = 30.0
_OK: Final = 200
_NOT_MODIFIED: Final = 304
_SHORTEST_S: Final = 0.2
_LONGEST_S: Final = 5.0

_log = logging.getLogger("turnout.client")


class _Refused(Exception):
    """The controller answered, but not with the flags."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(describe(answer))
        self.denied: Final = answer.status_code in DENIED
        self.wait_s: Final = retry_after(answer)


class Feed:
    """Keeps ``current`` up to date, and saves every document taken to ``cache``."""

    def __init__(
        self, endpoint: Endpoint, current: Current, cache: Cache, poll_every: float, stream_every: float
    ) -> None:
        """While polling, ask every ``poll_every`` seconds, and try the stream again every ``stream_every`` seconds."""
        self._endpoint: Final = endpoint
        self._current: Final = current
        self._cache: Final = cache
        self._poll_every: Final = poll_every
        self._stream_every: Final = stream_every
        self._socket: socket.socket | None = None
        self._begin()

    def _begin(self) -> None:
        self._backoff = Backoff(_SHORTEST_S, _LONGEST_S)
        self._stopping = threading.Event()
        self._abandoned = False
        self._thread: threading.Thread | None = None
        self._etag = ""
        self._delivered = False

    def after_fork(self) -> None:
        """In a forked child: drop what belongs to the parent's thread."""
        if self._socket is not None:
            # Closing, unlike shutting down, leaves the parent's connection alone.
            self._socket.close()
            self._socket = None
        self._begin()

    def start(self) -> None:
        """Start the thread, unless it runs. One caller at a time."""
        if self._thread is None and not self._ended:
            self._thread = threading.Thread(target=self._run, name="turnout-flags", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Tell the thread to end, even while it waits for the controller. Does not wait for it."""
        self._stopping.set()
        self.abandon()

    def abandon(self) -> None:
        """Let the thread end within a minute; takes no lock, so a garbage collector may call it anywhere."""
        self._abandoned = True
        if self._socket is not None:
            _shut(self._socket)

    def join(self, timeout: float) -> None:
        """Wait at most ``timeout`` seconds for the thread to end."""
        if self._thread is not None:
            self._thread.join(timeout)

    @property
    def _ended(self) -> bool:
        return self._abandoned or self._stopping.is_set()

    def _run(self) -> None:
        while not self._ended:
            try:
                with self._endpoint.open() as http:
                    self._serve(http)
            except Exception as error:
                # Whatever it was, a service must not lose its flags for good because of it.
                _log.exception("the flag feed failed and starts again")
                self._current.lost(f"{type(error).__name__}: {error}")
                self._stopping.wait(_LONGEST_S)

    def _serve(self, http: httpx.Client) -> None:
        while not self._ended:
            self._stopping.wait(self._turn(http))

    def _turn(self, http: httpx.Client) -> float:
        """Use one connection until it is lost; the seconds to wait before the next."""
        self._delivered = False
        try:
            self._listen(http)
            why = "the controller ended the stream"
        except _Refused as refused:
            return self._refused(refused, http)
        except httpx.ConnectError as error:
            return self._lost(f"cannot reach {self._endpoint.url}: {error}")
        except (httpx.HTTPError, OSError, ValueError) as error:
            why = f"the stream broke: {error or type(error).__name__}"
        if self._delivered:
            self._backoff.reset()
            return self._lost(why)
        return self._poll(http)

    def _refused(self, refused: _Refused, http: httpx.Client) -> float:
        if refused.denied:
            self._current.lost(f"the controller refuses the token: {refused}", denied=True)
            return DENIED_S
        if refused.wait_s is not None:
            self._current.lost(str(refused))
            return refused.wait_s
        return self._poll(http)

    def _lost(self, why: str) -> float:
        if not self._ended:
            self._current.lost(why)
        return self._backoff.next()

    def _listen(self, http: httpx.Client) -> None:
        """Take documents from the stream until it ends or breaks."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store", "Accept-Encoding": "identity"}
        timeout = httpx.Timeout(self._endpoint.timeout, read=SILENCE_S)
        with http.stream("GET", STREAM, headers=headers, timeout=timeout) as answer:
            if answer.status_code != _OK or not _is_stream(answer):
                answer.read()
                raise _Refused(answer)
            self._hold(answer)
            parser = Parser()
            for chunk in answer.iter_bytes():
                for event in parser.feed(chunk):
                    if event.name == "snapshot":
                        self._delivered = True
                        self._take(event.data, "stream")

    def _hold(self, answer: httpx.Response) -> None:
        """Remember the connection, so that ``stop`` can end the wait for its next byte."""
        found: object = answer.extensions["network_stream"].get_extra_info("socket")
        self._socket = found if isinstance(found, socket.socket) else None
        if self._ended and self._socket is not None:
            _shut(self._socket)

    def _poll(self, http: httpx.Client) -> float:
        """Ask for the flags again and again, until it fails or the stream is due for another try."""
        until = time.monotonic() + self._stream_every
        self._etag = ""
        while not self._ended:
            try:
                self._ask(http)
            except _Refused as refused:
                return self._unanswered(refused)
            except httpx.HTTPError as error:
                return self._lost(f"cannot read the flags from {self._endpoint.url}: {error or type(error).__name__}")
            self._backoff.reset()
            if time.monotonic() + self._poll_every >= until:
                return self._poll_every
            self._stopping.wait(self._poll_every)
        return 0.0

    def _unanswered(self, refused: _Refused) -> float:
        self._current.lost(str(refused), denied=refused.denied)
        return DENIED_S if refused.denied else max(refused.wait_s or 0.0, self._backoff.next())

    def _ask(self, http: httpx.Client) -> None:
        headers = {"If-None-Match": self._etag} if self._etag else {}
        answer = http.get(SNAPSHOT, headers=headers)
        if answer.status_code == _NOT_MODIFIED:
            self._current.confirm()
            return
        if answer.status_code != _OK:
            raise _Refused(answer)
        # A document that was refused is asked for again as a whole.
        self._etag = answer.headers.get("ETag", "") if self._take(answer.content, "poll") else ""

    def _take(self, document: bytes, source: FlagSource) -> bool:
        before = self._current.flags
        taken = self._current.offer(document, source)
        after = self._current.flags
        if taken and after is not None and (before is None or _identity(before) != _identity(after)):
            self._cache.save(document)
        return taken


def _identity(flags: Snapshot) -> tuple[str, int]:
    return flags.store_id, flags.revision


def _is_stream(answer: httpx.Response) -> bool:
    kind: str = answer.headers.get("Content-Type", "")
    return kind.partition(";")[0].strip().lower() == "text/event-stream"


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        _log.debug("the stream's connection was gone already")
