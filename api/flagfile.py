"""A flag file that is kept applied: at the start, and after every change of it."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from turnout.cli.documents import parse, read_flags
from turnout.domain.errors import TurnoutError
from turnout.ports import FlagStore

logger = logging.getLogger("turnout.api.flagfile")

_RETRY: Final = 5


class FlagFile:
    """Applies the flags in the file at ``path`` to ``store`` whenever the file is another, and looks every ``interval``
    seconds.

    What cannot be applied is logged once: a file with a fault waits for its next change; where an open rollout stands
    in the way, or a database is away, every fifth look tries again. Flags that are no longer in the file stay. Several
    processes may watch one file: applying the same again changes nothing.
    """

    def __init__(self, path: Path, store: FlagStore, clock: Callable[[], datetime], interval: float = 1.0) -> None:
        self._path: Final = path.absolute()
        self._store = store
        self._clock = clock
        self._interval = interval
        self._done: bytes | None = None
        self._tried: bytes | None = None
        self._trouble = ""

    async def run(self) -> None:
        """Watch until cancelled."""
        for look in itertools.count():
            await self.look(again=look % _RETRY == 0)
            await asyncio.sleep(self._interval)

    async def look(self, again: bool = True) -> None:
        """Read the file, and apply it if it is not the one that was; ``again``, also if that was tried in vain."""
        try:
            content = await asyncio.to_thread(self._path.read_bytes)
        except OSError as error:
            self._tell(f"cannot be read ({error.strerror}); its flags stay as they are")
            return
        if content == self._done or (content == self._tried and not again):
            return
        self._tried = content
        try:
            await self._apply(content)
        except (TurnoutError, UnicodeDecodeError) as error:
            self._tell(f"is not applied: {error}")
            if not isinstance(error, TurnoutError) or error.code == "invalid_input":
                self._done = content
        except Exception:
            logger.exception("%s could not be applied; its next change is tried", self._path)
            self._done = content

    async def _apply(self, content: bytes) -> None:
        flags = read_flags(parse(str(self._path), content.decode("utf-8-sig")))
        changes = await self._store.apply(flags, f"file:{self._path.name}", self._clock())
        self._done, self._trouble = content, ""
        for change in changes:
            if change.action != "unchanged":
                logger.info("%s: flag %s %s", self._path, change.key, change.action)

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            logger.warning("%s %s", self._path, trouble)
