"""The port through which people are told what a rollout does."""

from __future__ import annotations

from typing import Protocol

from turnout.domain.notices import Notice

__all__ = ["Notice", "Notifier"]


class Notifier(Protocol):
    """One channel."""

    async def send(self, notice: Notice) -> None:
        """Send ``notice`` once, within a bounded time. It carries its key, and may be sent again by the caller.

        Raises:
            Unavailable: the channel has not taken it, or not said so in time. No message shows a secret.
        """
        ...
