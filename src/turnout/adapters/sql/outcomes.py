"""Outcomes and their statistics in SQL.

One transaction keeps the new outcomes of a batch and adds them to the sums by unit. Both statements go through the rows
in the order of their keys, so that batches that meet in PostgreSQL wait for each other instead of deadlocking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Double, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from turnout.adapters.intake import Attributed, FlagFacts, StatKey, Sums, Threshold, attributed, summed, thresholds_of
from turnout.adapters.sql import tables
from turnout.adapters.sql.engine import Database
from turnout.adapters.sql.upserts import accumulate, keep_first
from turnout.domain.outcomes import Outcome
from turnout.domain.plan import Plan
from turnout.domain.stats import ArmStats
from turnout.ports.outcomes import Receipt

_STATS = tables.unit_stats
_ROLLOUTS = tables.rollouts


@dataclass(slots=True)
class _Known:
    """What intake knows of all flags, true at ``revision``."""

    revision: int = -1
    facts: Mapping[str, FlagFacts] = field(default_factory=dict[str, FlagFacts])


class SqlOutcomeStore:
    """A `turnout.ports.outcomes.OutcomeStore` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known = _Known()
        self._plans: dict[str, tuple[Threshold, ...]] = {}

    async def record(self, outcomes: Sequence[Outcome], received: datetime) -> Receipt:
        """See `OutcomeStore.record`."""
        async with self._database.writing() as connection:
            kept, unknown = attributed(outcomes, await self._facts(connection))
            new = await self._keep(connection, [kept[id] for id in sorted(kept)], received)
            await self._add(connection, summed(kept[id] for id in new))
        return Receipt(accepted=len(new), duplicates=len(outcomes) - unknown - len(new), unknown=unknown)

    async def stats(self, flag: str, generation: int, metric: str) -> Mapping[str, ArmStats]:
        """See `OutcomeStore.stats`. Variants without a value are left out."""
        n, y = cast(_STATS.c.samples, Double), _STATS.c.total
        sums = (
            func.count().label("units"),
            func.sum(n).label("samples"),
            func.sum(y).label("total"),
            func.sum(_STATS.c.squares).label("squares"),
            func.sum(n * n).label("nn"),
            func.sum(y * y).label("yy"),
            func.sum(n * y).label("ny"),
        )
        here = (_STATS.c.flag == flag) & (_STATS.c.generation == generation) & (_STATS.c.metric == metric)
        query = select(_STATS.c.variant, *sums).where(here).group_by(_STATS.c.variant)
        async with self._database.reading() as connection:
            return {row.variant: _arm(row) for row in await connection.execute(query)}

    async def _facts(self, connection: AsyncConnection) -> Mapping[str, FlagFacts]:
        """What is known of the flags, read again only when something was published since.

        That covers plans too: a rollout publishes before there are outcomes its gates ask for.
        """
        revision = (await connection.execute(select(tables.store.c.revision))).scalar_one()
        if revision != self._known.revision:
            self._known = _Known(revision, await self._load(connection))
        return self._known.facts

    async def _load(self, connection: AsyncConnection) -> dict[str, FlagFacts]:
        columns = tables.flags.c.key, tables.flags.c.definition, tables.flags.c.traffic
        flags = (await connection.execute(select(*columns))).all()
        thresholds = await self._thresholds(connection)
        return {
            row.key: FlagFacts(
                generation=row.traffic["generation"],
                variants=frozenset(row.definition["variants"]),
                thresholds=thresholds.get(row.key, ()),
            )
            for row in flags
        }

    async def _thresholds(self, connection: AsyncConnection) -> dict[str, tuple[Threshold, ...]]:
        """The thresholds of every flag's latest rollout."""
        latest = select(func.max(_ROLLOUTS.c.number)).group_by(_ROLLOUTS.c.flag)
        query = select(_ROLLOUTS.c.id, _ROLLOUTS.c.flag).where(_ROLLOUTS.c.number.in_(latest))
        owners = {row.id: row.flag for row in await connection.execute(query)}
        missing = select(_ROLLOUTS.c.id, _ROLLOUTS.c.plan).where(_ROLLOUTS.c.id.in_(owners.keys() - self._plans))
        read = {row.id: thresholds_of(Plan.model_validate(row.plan)) for row in await connection.execute(missing)}
        # Plans never change, so those that were read are kept as long as they are the latest.
        self._plans = {id: read[id] if id in read else self._plans[id] for id in owners}
        return {flag: self._plans[id] for id, flag in owners.items()}

    async def _keep(self, connection: AsyncConnection, outcomes: Sequence[Attributed], received: datetime) -> list[str]:
        """Insert the outcomes; returns the ids that are new."""
        if not outcomes:
            return []
        statement = keep_first(self._database.dialect, tables.outcomes).returning(tables.outcomes.c.id)
        rows = [_values(outcome, received) for outcome in outcomes]
        return list(await connection.scalars(statement, rows))

    async def _add(self, connection: AsyncConnection, sums: Mapping[StatKey, Sums]) -> None:
        """Add ``sums`` to what is there."""
        if not sums:
            return
        names = [column.name for column in _STATS.columns]
        statement = accumulate(self._database.dialect, _STATS, ("samples", "total", "squares"))
        rows = [dict(zip(names, (*key, *sums[key]), strict=True)) for key in sorted(sums)]
        await connection.execute(statement, rows)


def _values(attributed: Attributed, received: datetime) -> dict[str, Any]:
    outcome = attributed.outcome
    plain = ("id", "flag", "variant", "unit", "ok", "latency_ms", "quality", "satisfaction", "cost")
    return {name: getattr(outcome, name) for name in plain} | {
        "generation": attributed.generation,
        "at": outcome.at or received,
        "received": received,
        "values": outcome.values or None,
    }


def _arm(row: Any) -> ArmStats:
    return ArmStats(
        units=row.units,
        samples=int(row.samples),
        total=row.total,
        squares=row.squares,
        nn=row.nn,
        yy=row.yy,
        ny=row.ny,
    )
