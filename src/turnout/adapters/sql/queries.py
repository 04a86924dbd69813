"""The reads and writes that the flag store and the rollout store share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from turnout.adapters.sql.rows import audit_values, flag_record, flag_values, rollout_record
from turnout.adapters.sql.tables import audit, flags, rollouts
from turnout.ports.stores import AuditEntry, FlagRecord, RolloutRecord


async def find_flag(connection: AsyncConnection, key: str) -> FlagRecord | None:
    """The flag ``key``, or None."""
    row = (await connection.execute(select(flags).where(flags.c.key == key))).first()
    return None if row is None else flag_record(row)


async def save_flag(connection: AsyncConnection, record: FlagRecord) -> None:
    """Write an existing flag back."""
    await connection.execute(update(flags).where(flags.c.key == record.flag.key).values(flag_values(record)))


async def add_flag(connection: AsyncConnection, record: FlagRecord) -> None:
    """Write a new flag."""
    await connection.execute(insert(flags), flag_values(record))


async def find_rollout(connection: AsyncConnection, rollout_id: str) -> RolloutRecord | None:
    """The rollout ``rollout_id``, or None."""
    return await _first_rollout(connection, select(rollouts).where(rollouts.c.id == rollout_id))


async def open_rollout(connection: AsyncConnection, flag: str) -> RolloutRecord | None:
    """The open rollout of ``flag``, or None."""
    its = select(rollouts).where(rollouts.c.flag == flag)
    return await _first_rollout(connection, its.where(rollouts.c.ended_at.is_(None)))


async def latest_rollout(connection: AsyncConnection, flag: str) -> RolloutRecord | None:
    """The rollout of ``flag`` that was opened last, or None."""
    its = select(rollouts).where(rollouts.c.flag == flag).order_by(rollouts.c.number.desc()).limit(1)
    return await _first_rollout(connection, its)


async def append_audit(connection: AsyncConnection, entry: AuditEntry) -> None:
    """Append ``entry`` to the audit log."""
    await connection.execute(insert(audit), audit_values(entry))


async def _first_rollout(connection: AsyncConnection, query: Select[Any]) -> RolloutRecord | None:
    row = (await connection.execute(query)).first()
    return None if row is None else rollout_record(row)
