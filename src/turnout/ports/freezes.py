"""The port that keeps freezes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from turnout.domain.freezes import Freeze


class FreezeStore(Protocol):
    """Keeps freezes; adding and removing one is written to the audit log in the same transaction."""

    async def add(self, freeze: Freeze) -> None:
        """Keep ``freeze``; the same id again changes nothing."""
        ...

    async def remove(self, freeze_id: str, actor: str, reason: str, at: datetime) -> Freeze:
        """Lift a freeze before its end; returns it. Raises NotFound."""
        ...

    async def list(self, after: datetime | None = None) -> Sequence[Freeze]:
        """The freezes that end ``after`` then (default: all that are kept), by their begin."""
        ...
