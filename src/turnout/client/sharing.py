"""What the guards of a process share with others through the controller: breakers, and the money of budgets."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from turnout.client.current import Current
from turnout.client.http import Endpoint
from turnout.client.leases import Leases
from turnout.client.reports import Reports
from turnout.client.shared import Shared

_NOBODY: Final[Mapping[str, object]] = {}


class Sharing:
    """The leases and the reports of one client, kept up with the flags of ``current``.

    ``folder`` is where leases are written down, so that those of a killed process come back; None for nowhere.
    """

    def __init__(self, endpoint: Endpoint, current: Current, folder: Path | None = None) -> None:
        self._current: Final = current
        self._leases: Final = Leases(endpoint, self._metadata, folder, current.bound)
        self._reports: Final = Reports(endpoint)
        current.on_change.append(self._flags_changed)
        if current.beneath is not None:
            # Flags of a file serve at once: what they may cost holds before the controller has been heard.
            self._leases.changed(frozenset(current.beneath.keys))

    def ready(self, timeout: float) -> None:
        """Wait, at most ``timeout`` seconds, for money for every variant that has a budget."""
        self._leases.fill(timeout)

    @property
    def shared(self) -> Shared:
        """It, as guarded calls use it. A blocked variant is not assigned, so there is nothing to ask before a call."""
        return Shared(changed=self._reports.changed, wallet=self._leases.wallet)

    @property
    def error(self) -> str | None:
        """What last went wrong with leases or reports, and has not been made good since."""
        return self._leases.error or self._reports.error

    def after_fork(self) -> None:
        """In a forked child: begin with nothing of the parent's."""
        self._leases.after_fork()
        self._reports.after_fork()

    def close(self, timeout: float) -> None:
        """Tell what is left to tell, and give the money back, in at most ``timeout`` seconds."""
        end = time.monotonic() + timeout
        self._reports.close(timeout / 2)
        self._leases.close(max(0.0, end - time.monotonic()))

    def _flags_changed(self, flags: frozenset[str]) -> None:
        self._leases.changed(flags)
        # Fetched before anybody asks, so that no first call is refused.
        self._leases.fill(0.0)

    def _metadata(self, flag: str) -> Mapping[str, object]:
        return self._current.snapshot.resolve(flag, None, _NOBODY).metadata
