"""Rollouts, their decisions, evidence and the audit log in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from turnout.adapters import store_rules as rules
from turnout.adapters.sql import tables
from turnout.adapters.sql.engine import Database
from turnout.adapters.sql.queries import (
    append_audit,
    find_flag,
    find_rollout,
    latest_rollout,
    open_rollout,
    save_flag,
)
from turnout.adapters.sql.rows import (
    audit_entry,
    check_values,
    decision_values,
    evidence_values,
    rollout_record,
    rollout_values,
)
from turnout.adapters.sql.upserts import keep_first
from turnout.domain.rollout import Decision
from turnout.domain.verdicts import Check
from turnout.ports.stores import AuditEntry, Evidence, RolloutRecord

_ROLLOUTS = tables.rollouts
_DECISIONS = tables.decisions


class SqlRolloutStore:
    """A `turnout.ports.stores.RolloutStore` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, record: RolloutRecord) -> RolloutRecord:
        """See `RolloutStore.open`."""
        async with self._database.publishing() as publication:
            connection = publication.connection
            known = await find_rollout(connection, record.id)
            if known is not None:
                return known
            flag = await find_flag(connection, record.flag)
            record = rules.opened(record, flag, await open_rollout(connection, record.flag))
            number = (await connection.execute(select(func.max(_ROLLOUTS.c.number)))).scalar() or 0
            await connection.execute(insert(_ROLLOUTS), rollout_values(record) | {"number": number + 1})
        return record

    async def commit(self, decision: Decision) -> int:
        """See `RolloutStore.commit`. Raises NotFound for a rollout that was never opened."""
        async with self._database.publishing() as publication:
            connection = publication.connection
            rollout = await _existing(connection, decision.rollout_id)
            if await _recorded(connection, decision):
                return publication.revision
            if decision.weights is not None:
                flag = await find_flag(connection, decision.flag)
                await save_flag(connection, rules.published(decision, flag, rollout))
                await publication.publish()
            await connection.execute(insert(_DECISIONS), decision_values(decision))
            await _save(connection, rules.projected(rollout, decision))
        return publication.revision

    async def amend(self, decision: Decision) -> int:
        """See `RolloutStore.amend`."""
        async with self._database.publishing() as publication:
            connection = publication.connection
            rollout = await _existing(connection, decision.rollout_id)
            rules.refuse_open(decision.flag, await open_rollout(connection, decision.flag))
            flag = await find_flag(connection, decision.flag)
            await save_flag(connection, rules.amended(decision, flag, rollout))
            await publication.publish()
            last = select(func.max(_DECISIONS.c.seq)).where(_DECISIONS.c.rollout_id == rollout.id)
            numbered = decision.model_copy(update={"seq": (await connection.scalar(last) or 0) + 1})
            await connection.execute(insert(_DECISIONS), decision_values(numbered))
        return publication.revision

    async def evidence(self, evidence: Evidence) -> None:
        """See `RolloutStore.evidence`. Raises NotFound for a rollout that was never opened."""
        async with self._database.writing() as connection:
            await _require(connection, evidence.rollout_id)
            statement = keep_first(self._database.dialect, tables.evidence)
            await connection.execute(statement, evidence_values(evidence))

    async def checked(
        self, rollout_id: str, generation: int, checks: Sequence[Check], counted: timedelta, at: datetime
    ) -> None:
        """See `RolloutStore.checked`. Raises NotFound."""
        async with self._database.writing() as connection:
            await _require(connection, rollout_id)
            values = check_values(tuple(checks), counted) | {"checked_at": at, "checked_generation": generation}
            await connection.execute(update(_ROLLOUTS).where(_ROLLOUTS.c.id == rollout_id).values(values))

    async def get(self, rollout_id: str) -> RolloutRecord:
        """See `RolloutStore.get`."""
        async with self._database.reading() as connection:
            return await _existing(connection, rollout_id)

    async def latest(self, flag: str) -> RolloutRecord:
        """See `RolloutStore.latest`."""
        async with self._database.reading() as connection:
            record = await latest_rollout(connection, flag)
        if record is None:
            raise rules.no_rollout(f"of flag {flag}")
        return record

    async def list(self, open_only: bool = False) -> Sequence[RolloutRecord]:
        """See `RolloutStore.list`."""
        query = select(_ROLLOUTS).order_by(_ROLLOUTS.c.number.desc())
        if open_only:
            query = query.where(_ROLLOUTS.c.ended_at.is_(None))
        async with self._database.reading() as connection:
            return [rollout_record(row) for row in await connection.execute(query)]

    async def decisions(self, rollout_id: str, after: int = 0) -> Sequence[Decision]:
        """See `RolloutStore.decisions`."""
        its = select(_DECISIONS.c.decision).where(_DECISIONS.c.rollout_id == rollout_id)
        query = its.where(_DECISIONS.c.seq > after).order_by(_DECISIONS.c.seq)
        async with self._database.reading() as connection:
            return [Decision.model_validate(row) for row in await connection.scalars(query)]

    async def evidence_of(self, evidence_id: str) -> Evidence:
        """See `RolloutStore.evidence_of`."""
        query = select(tables.evidence.c.evidence).where(tables.evidence.c.id == evidence_id)
        async with self._database.reading() as connection:
            found = await connection.scalar(query)
        if found is None:
            raise rules.no_evidence(evidence_id)
        return Evidence.model_validate(found)

    async def audit(self, entry: AuditEntry) -> None:
        """See `RolloutStore.audit`."""
        async with self._database.writing() as connection:
            await append_audit(connection, entry)

    async def audit_log(self, subject: str | None = None, limit: int = 100) -> Sequence[AuditEntry]:
        """See `RolloutStore.audit_log`."""
        query = select(tables.audit).order_by(tables.audit.c.id.desc()).limit(limit)
        if subject is not None:
            query = query.where(tables.audit.c.subject == subject)
        async with self._database.reading() as connection:
            return [audit_entry(row) for row in await connection.execute(query)]


async def _existing(connection: AsyncConnection, rollout_id: str) -> RolloutRecord:
    record = await find_rollout(connection, rollout_id)
    if record is None:
        raise rules.no_rollout(rollout_id)
    return record


async def _require(connection: AsyncConnection, rollout_id: str) -> None:
    if not await connection.scalar(select(exists().where(_ROLLOUTS.c.id == rollout_id))):
        raise rules.no_rollout(rollout_id)


async def _recorded(connection: AsyncConnection, decision: Decision) -> bool:
    same = (_DECISIONS.c.rollout_id == decision.rollout_id) & (_DECISIONS.c.seq == decision.seq)
    return bool(await connection.scalar(select(exists().where(same))))


async def _save(connection: AsyncConnection, record: RolloutRecord) -> None:
    values = rollout_values(record)
    await connection.execute(update(_ROLLOUTS).where(_ROLLOUTS.c.id == record.id).values(values))
