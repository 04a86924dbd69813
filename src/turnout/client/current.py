"""The flags in use: which documents replace them, and who hears of it."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar, cast

from turnout.client.assignment import FlagSource, State
from turnout.domain.bound import NOTHING, Bound
from turnout.domain.errors import Problem
from turnout.resolver import Resolution, Snapshot, compile_document
from turnout.resolver.conditions import Attributes

_log = logging.getLogger("turnout.client")

Argument = TypeVar("Argument")
OnChange = Callable[[frozenset[str]], None]
OnState = Callable[[State], None]


class Resolves(Protocol):
    """What evaluation needs of a snapshot."""

    def resolve(self, key: str, unit: str | None, attributes: Attributes, /) -> Resolution:
        """The answer for one flag and one unit; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class NoFlags:
    """Stands in until flags arrive: every answer is an error, so that callers get their own defaults."""

    url: str

    def resolve(self, key: str, unit: str | None, attributes: Attributes, /) -> Resolution:
        """The error."""
        return Resolution(key, None, None, "ERROR", "GENERAL", f"no flags have arrived from {self.url} yet")


class Current:
    """The flags in use.

    ``snapshot`` answers evaluations: it is replaced as a whole, so reading it takes no lock. All else is for the one
    thread that brings documents. ``environ`` may override flags, and
    ``file`` has those that serve while, or where, the controller has none.
    """

    def __init__(
        self, url: str, environ: Mapping[str, str] | None = None, file: Mapping[str, object] | None = None
    ) -> None:
        self._environ: Final = dict(environ or {})
        self._file: Final = file
        self._faults: tuple[Problem, ...] = ()
        self.beneath: Final = compile_document({"flags": {}}, self._environ, file) if file is not None else None
        self.snapshot: Resolves = self.beneath or NoFlags(url)
        self.flags: Snapshot | None = None
        self.source: FlagSource = "none"
        self.error: str | None = None
        self.denied = False
        self.on_change: Final[list[OnChange]] = []
        self.on_state: Final[list[OnState]] = []
        self._live = False
        self._confirmed = 0.0
        self._tell = threading.Condition()
        self._tries = 0

    def after_fork(self) -> None:
        """Forget what the parent's threads held or knew; the flags stay."""
        self._tell = threading.Condition()
        self._live, self._tries = False, 0

    @property
    def state(self) -> State:
        """How far the flags can be trusted."""
        if self.flags is None:
            return "not_ready"
        return "ready" if self._live else "stale"

    @property
    def age_s(self) -> float | None:
        """Seconds since the controller confirmed the flags; None without flags."""
        return None if self.flags is None else max(0.0, time.monotonic() - self._confirmed)

    def bound(self, flag: str) -> Bound:
        """What the environment says of ``flag`` under its ``env_prefix``; nothing for a flag without one."""
        flags = self.flags or self.beneath
        return flags.bound(flag) if flags is not None else NOTHING

    def offer(self, text: bytes, source: FlagSource, age_s: float = 0.0) -> bool:
        """Take the flags of a document, unless it is broken or older than those in use; tells whether it was taken.

        ``age_s`` is how many seconds ago the document was the controller's.
        """
        try:
            offered = compile_document(_object(text), self._environ, self._file)
        except Exception as error:
            self._refuse(f"the flags from {source} cannot be used, the last good ones stay: {error}")
            return False
        held = self.flags
        if held is not None and offered.store_id == held.store_id and offered.revision < held.revision:
            self._refuse(
                f"the flags from {source} have revision {offered.revision}, older than {held.revision}, which stays; "
                "if the store was reset on purpose, remove the flags kept on disk and restart"
            )
            return False
        self._take(offered, source, age_s)
        return True

    def confirm(self) -> None:
        """The controller says that the flags are the present ones."""
        self._confirmed = time.monotonic()
        self._move(live=True, error=None)

    def lost(self, error: str, *, denied: bool = False) -> None:
        """The controller cannot be asked, because of ``error``; ``denied`` if it refuses the token."""
        self.denied = denied
        self._move(live=False, error=error)

    def wait(self, timeout: float | None, *, any_try: bool = False) -> bool:
        """Wait until the state is ready; with ``any_try``, until the first try ended, if there are flags from disk."""
        with self._tell:
            return self._tell.wait_for(
                lambda: self._live or (any_try and self._tries > 0 and self.flags is not None), timeout
            )

    def _take(self, offered: Snapshot, source: FlagSource, age_s: float) -> None:
        held = self.flags
        if held is not None and held.store_id != offered.store_id:
            _log.warning("the flags come from another store now: %s, before %s", offered.store_id, held.store_id)
        for fault in offered.faults:
            if fault not in self._faults:
                _log.warning("environment: %s", fault)
        self._faults = offered.faults
        changed = frozenset(offered.keys) if held is None else offered.changed(held)
        self.flags = self.snapshot = offered
        self.source, self._confirmed = source, time.monotonic() - age_s
        if source != "disk":
            self._move(live=True, error=None)
        if changed:
            _call(self.on_change, changed)

    def _refuse(self, error: str) -> None:
        self._move(live=False, error=error)

    def _move(self, *, live: bool, error: str | None) -> None:
        before = self.state
        if error is not None and error != self.error:
            _log.warning("%s", error)
        with self._tell:
            self._live, self.error = live, error
            self.denied = self.denied and not live
            self._tries += 1
            self._tell.notify_all()
        if self.state != before:
            _log.info("flags are %s", self.state)
            _call(self.on_state, self.state)


def _object(text: bytes) -> dict[str, object]:
    document: object = json.loads(text)
    if not isinstance(document, dict):
        raise TypeError(f"the document is a JSON {type(document).__name__}, not an object")
    return cast("dict[str, object]", document)


def _call(listeners: list[Callable[[Argument], None]], argument: Argument) -> None:
    for listener in list(listeners):
        try:
            listener(argument)
        except Exception:
            _log.exception("a listener failed; the flags are unaffected")
