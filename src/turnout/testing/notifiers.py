"""A channel in memory."""

from __future__ import annotations

from turnout.domain.notices import Notice


class MemoryNotifier:
    """A `turnout.ports.Notifier` that keeps what it was told.

    ``sent`` has every notice in order. While there are ``failures``, each sending raises the next of them instead.
    """

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.sent: list[Notice] = []

    async def send(self, notice: Notice) -> None:
        """See `Notifier.send`. Raises the next of ``failures``."""
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(notice)
