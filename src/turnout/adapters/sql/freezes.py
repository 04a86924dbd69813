"""Freezes in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, exists, or_, select

from turnout.adapters import store_rules as rules
from turnout.adapters.sql import tables
from turnout.adapters.sql.engine import Database
from turnout.adapters.sql.queries import append_audit
from turnout.adapters.sql.upserts import keep_first
from turnout.domain.freezes import Freeze

_FREEZES = tables.freezes


class SqlFreezeStore:
    """A `turnout.ports.freezes.FreezeStore` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, freeze: Freeze) -> None:
        """See `FreezeStore.add`."""
        async with self._database.writing() as connection:
            if await connection.scalar(select(exists().where(_FREEZES.c.id == freeze.id))):
                return
            await connection.execute(keep_first(self._database.dialect, _FREEZES), _values(freeze))
            await append_audit(connection, rules.freeze_entry(freeze))

    async def remove(self, freeze_id: str, actor: str, reason: str, at: datetime) -> Freeze:
        """See `FreezeStore.remove`."""
        async with self._database.writing() as connection:
            gone = delete(_FREEZES).where(_FREEZES.c.id == freeze_id).returning(_FREEZES)
            row = (await connection.execute(gone)).first()
            if row is None:
                raise rules.no_freeze(freeze_id)
            freeze = _freeze(row)
            await append_audit(connection, rules.thaw_entry(freeze, actor, reason, at))
        return freeze

    async def list(self, after: datetime | None = None) -> Sequence[Freeze]:
        """See `FreezeStore.list`."""
        query = select(_FREEZES).order_by(_FREEZES.c.starts_at, _FREEZES.c.id)
        if after is not None:
            query = query.where(or_(_FREEZES.c.ends_at.is_(None), _FREEZES.c.ends_at > after))
        async with self._database.reading() as connection:
            return [_freeze(row) for row in await connection.execute(query)]


def _values(freeze: Freeze) -> dict[str, Any]:
    return {
        "id": freeze.id,
        "starts_at": freeze.start,
        "ends_at": freeze.end,
        "reason": freeze.reason,
        "flags": list(freeze.flags),
        "added_by": freeze.by,
        "added_at": freeze.at,
    }


def _freeze(row: Row[Any]) -> Freeze:
    return Freeze(
        id=row.id,
        start=row.starts_at,
        end=row.ends_at,
        reason=row.reason,
        flags=tuple(row.flags),
        by=row.added_by,
        at=row.added_at,
    )
