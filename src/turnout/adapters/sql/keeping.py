"""Single outcomes as rows: kept once by id, and read again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import insert, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from turnout.adapters.intake import Attributed
from turnout.adapters.sql.tables import outcomes
from turnout.adapters.sql.upserts import each_of, keep_first
from turnout.domain.outcomes import Outcome

_PLAIN: Final = ("id", "flag", "variant", "unit", "ok", "latency_ms", "quality", "satisfaction", "cost", "decided_by")
_INSERT: Final = str(insert(outcomes).compile(dialect=sqlite.dialect()))


async def keep(connection: AsyncConnection, batch: Sequence[Attributed], received: datetime) -> list[str]:
    """Insert the outcomes of ``batch``, which is in the order of their ids; returns the ids that are new."""
    if not batch:
        return []
    if connection.dialect.name == "sqlite":
        return await _keep_alone(connection, batch, received)
    statement = keep_first(connection.dialect.name, outcomes).returning(outcomes.c.id)
    return list(await connection.scalars(statement, [_values(one, received) for one in batch]))


def outcome_of(row: Any) -> Outcome:
    """The outcome of a row, with the generation and the time it counts for."""
    fields = {name: getattr(row, name) for name in _PLAIN}
    fields |= {"generation": row.generation, "at": row.at, "values": row.values or {}, "mode": row.mode or "serve"}
    return Outcome.model_validate(fields)


async def _keep_alone(connection: AsyncConnection, batch: Sequence[Attributed], received: datetime) -> list[str]:
    """The same in SQLite, where nobody else writes meanwhile: look first, and hand the driver what it will store.

    SQLAlchemy takes as long to prepare a row with its types as SQLite to write it, and this is the hottest path.
    """
    among = outcomes.c.id.in_(each_of("sqlite"))
    ids = json.dumps([one.outcome.id for one in batch])
    known = set((await connection.scalars(select(outcomes.c.id).where(among), {"texts": ids})).all())
    new, stored = [one for one in batch if one.outcome.id not in known], _stored(received)
    if new:
        await connection.exec_driver_sql(_INSERT, [_row(one, stored) for one in new])
    return [one.outcome.id for one in new]


def _values(attributed: Attributed, received: datetime) -> dict[str, Any]:
    outcome = attributed.outcome
    return {name: getattr(outcome, name) for name in _PLAIN} | {
        "generation": attributed.generation,
        "at": attributed.at,
        "received": received,
        "values": outcome.values or None,
        "mode": _mode(outcome),
    }


def _row(attributed: Attributed, received: str) -> tuple[object, ...]:
    """The columns in their order, as SQLAlchemy's types would store them."""
    outcome, generation, at = attributed
    return (
        outcome.id,
        outcome.flag,
        outcome.variant,
        outcome.unit,
        generation,
        _stored(at),
        received,
        outcome.ok,
        outcome.latency_ms,
        outcome.quality,
        outcome.satisfaction,
        outcome.cost,
        json.dumps(outcome.values) if outcome.values else None,
        outcome.decided_by,
        _mode(outcome),
    )


def _mode(outcome: Outcome) -> str | None:
    """Nearly every outcome was served, and goes without saying."""
    return None if outcome.mode == "serve" else outcome.mode


def _stored(at: datetime) -> str:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
