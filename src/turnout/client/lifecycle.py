"""Every open client of this process: what happens to them at a fork and at exit."""

from __future__ import annotations

import atexit
import os
import time
from typing import Final, Protocol
from weakref import WeakSet

EXIT_S: Final = 2.0
"""How long the exit of a process may be held up for outcomes, in seconds, for all clients together."""


class Process(Protocol):
    """What a client does when its process forks or ends."""

    def after_fork(self) -> None:
        """In the child: replace all that belonged to threads, none of which exist there."""
        ...

    def close(self, timeout: float = ...) -> None:
        """Deliver what can be delivered in ``timeout`` seconds."""
        ...


_open: Final[WeakSet[Process]] = WeakSet()


def opened(client: Process) -> None:
    """Look after ``client`` until it is closed or forgotten."""
    _open.add(client)


def closed(client: Process) -> None:
    """Look after ``client`` no longer."""
    _open.discard(client)


def _forked() -> None:
    for client in list(_open):
        client.after_fork()


def _exiting() -> None:
    end = time.monotonic() + EXIT_S
    for client in list(_open):
        client.close(max(0.0, end - time.monotonic()))


atexit.register(_exiting)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
