"""Freezes in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from turnout.adapters import store_rules as rules
from turnout.domain.freezes import Freeze
from turnout.ports.stores import AuditEntry


class MemoryFreezeStore:
    """A `turnout.ports.freezes.FreezeStore` in memory, which appends to ``audit``."""

    def __init__(self, audit: list[AuditEntry] | None = None) -> None:
        self._freezes: dict[str, Freeze] = {}
        self._audit = audit if audit is not None else list[AuditEntry]()

    async def add(self, freeze: Freeze) -> None:
        """See `FreezeStore.add`."""
        if freeze.id not in self._freezes:
            self._freezes[freeze.id] = freeze
            self._audit.append(rules.freeze_entry(freeze))

    async def remove(self, freeze_id: str, actor: str, reason: str, at: datetime) -> Freeze:
        """See `FreezeStore.remove`."""
        if freeze_id not in self._freezes:
            raise rules.no_freeze(freeze_id)
        freeze = self._freezes.pop(freeze_id)
        self._audit.append(rules.thaw_entry(freeze, actor, reason, at))
        return freeze

    async def list(self, after: datetime | None = None) -> Sequence[Freeze]:
        """See `FreezeStore.list`."""
        known = sorted(self._freezes.values(), key=lambda freeze: (freeze.start, freeze.id))
        return [freeze for freeze in known if after is None or freeze.end is None or freeze.end > after]
