"""What intake knows of the flags, read again only when something was published since.

That covers plans too: a rollout publishes before there are outcomes its gates ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from turnout.adapters.intake import FlagFacts, Measuring, measuring_of
from turnout.adapters.sql import tables
from turnout.domain.plan import Plan

_ROLLOUTS, _DECISIONS = tables.rollouts, tables.decisions


class KnownFlags:
    """The facts of all flags, true at one revision."""

    def __init__(self) -> None:
        self._revision = -1
        self._facts: Mapping[str, FlagFacts] = {}
        self._plans: dict[str, Mapping[str, Measuring]] = {}

    async def facts(self, connection: AsyncConnection) -> Mapping[str, FlagFacts]:
        """The facts by flag, as of now."""
        revision = (await connection.execute(select(tables.store.c.revision))).scalar_one()
        if revision != self._revision:
            self._facts = await self._load(connection)
            self._revision = revision
        return self._facts

    async def _load(self, connection: AsyncConnection) -> dict[str, FlagFacts]:
        columns = tables.flags.c.key, tables.flags.c.definition, tables.flags.c.traffic
        flags = (await connection.execute(select(*columns))).all()
        measuring, starts = await self._measuring(connection), await _starts(connection)
        unasked = measuring_of(None)
        return {
            row.key: FlagFacts(
                generation=row.traffic["generation"],
                variants=frozenset(row.definition["variants"]),
                stable=row.traffic["stable"],
                measuring=measuring.get(row.key, unasked),
                starts=starts.get(row.key, {}),
            )
            for row in flags
        }

    async def _measuring(self, connection: AsyncConnection) -> dict[str, Mapping[str, Measuring]]:
        """What the plan of every flag's latest rollout asks."""
        latest = select(func.max(_ROLLOUTS.c.number)).group_by(_ROLLOUTS.c.flag)
        query = select(_ROLLOUTS.c.id, _ROLLOUTS.c.flag).where(_ROLLOUTS.c.number.in_(latest))
        owners = {row.id: row.flag for row in await connection.execute(query)}
        missing = select(_ROLLOUTS.c.id, _ROLLOUTS.c.plan).where(_ROLLOUTS.c.id.in_(owners.keys() - self._plans))
        read = {row.id: measuring_of(Plan.model_validate(row.plan)) for row in await connection.execute(missing)}
        # Plans never change, so those that were read are kept as long as they are the latest.
        self._plans = {id: read[id] if id in read else self._plans[id] for id in owners}
        return {flag: self._plans[id] for id, flag in owners.items()}


async def _starts(connection: AsyncConnection) -> dict[str, dict[int, datetime]]:
    """When the generations of every flag's latest rollout were published."""
    latest = select(func.max(_ROLLOUTS.c.number)).group_by(_ROLLOUTS.c.flag)
    decision = _DECISIONS.c.decision
    query = (
        select(_ROLLOUTS.c.flag, decision["generation"].as_integer(), _DECISIONS.c.at)
        .join(_DECISIONS, _DECISIONS.c.rollout_id == _ROLLOUTS.c.id)
        .where(_ROLLOUTS.c.number.in_(latest), decision["weights"].as_string().is_not(None))
    )
    found: dict[str, dict[int, datetime]] = {}
    for flag, generation, at in await connection.execute(query):
        found.setdefault(flag, {})[generation] = at
    return found
