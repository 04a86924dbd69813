"""Flags in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from turnout.adapters import store_rules as rules
from turnout.adapters.sql import tables
from turnout.adapters.sql.engine import Database
from turnout.adapters.sql.queries import add_flag, append_audit, find_flag, open_rollout, save_flag
from turnout.adapters.sql.rows import flag_record
from turnout.adapters.sql.upserts import upsert
from turnout.domain.breaking import SharedBreaker
from turnout.domain.flags import Flag
from turnout.ports.stores import Delivery, FlagChange, FlagRecord, Published

_FLAGS = tables.flags
_FEEDS = tables.feeds


class SqlFlagStore:
    """A `turnout.ports.stores.FlagStore` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._feeds: set[str] = set()

    async def apply(
        self, flags: Sequence[Flag], actor: str, at: datetime, *, dry_run: bool = False
    ) -> Sequence[FlagChange]:
        """See `FlagStore.apply`. Raises InvalidInput too, when a variant is gone that traffic still uses."""
        rules.repeated(flags)
        try:
            return await self._apply(flags, actor, at, dry_run)
        except _Rehearsed as rehearsed:
            return rehearsed.changes

    async def _apply(self, flags: Sequence[Flag], actor: str, at: datetime, dry_run: bool) -> Sequence[FlagChange]:
        async with self._database.publishing() as publication:
            changes = [await _apply(publication.connection, flag, actor, at) for flag in flags]
            rules.together(await _every(publication.connection))
            if dry_run:
                raise _Rehearsed(changes)
            if any(change.action != "unchanged" for change in changes):
                await publication.publish()
        return changes

    async def get(self, key: str) -> FlagRecord:
        """See `FlagStore.get`."""
        async with self._database.reading() as connection:
            return await _existing(connection, key)

    async def list(self) -> Sequence[FlagRecord]:
        """See `FlagStore.list`."""
        async with self._database.reading() as connection:
            rows = await connection.execute(select(_FLAGS))
            return sorted(map(flag_record, rows), key=lambda record: record.flag.key)

    async def delete(self, key: str, actor: str, at: datetime) -> None:
        """See `FlagStore.delete`."""
        async with self._database.publishing() as publication:
            connection = publication.connection
            record = await _existing(connection, key)
            rules.refuse_open(key, await open_rollout(connection, key))
            rules.refuse_required(key, await _every(connection))
            await connection.execute(delete(_FLAGS).where(_FLAGS.c.key == key))
            await _retire(connection, record)
            await append_audit(connection, rules.delete_entry(key, actor, at))
            await publication.publish()

    async def stop(self, key: str, stopped: bool, actor: str, reason: str, at: datetime) -> FlagRecord:
        """See `FlagStore.stop`. Stopping a stopped flag changes nothing."""
        async with self._database.publishing() as publication:
            before = await _existing(publication.connection, key)
            after = rules.stopped(before, stopped, actor, reason, at)
            if after != before:
                await save_flag(publication.connection, after)
                await append_audit(publication.connection, rules.stop_entry(after, reason))
                await publication.publish()
        return after

    async def switch(self, key: str, variant: str, breaker: SharedBreaker) -> tuple[FlagRecord, int]:
        """See `FlagStore.switch`."""
        async with self._database.publishing() as publication:
            before = await _existing(publication.connection, key)
            after = rules.switched(before, variant, breaker)
            if after is not before:
                await save_flag(publication.connection, after)
                await append_audit(publication.connection, rules.switch_entry(key, variant, breaker))
                if after.published != before.published:
                    await publication.publish()
        return after, publication.revision

    async def revision(self) -> int:
        """See `FlagStore.revision`."""
        async with self._database.reading() as connection:
            revision: int = (await connection.execute(select(tables.store.c.revision))).scalar_one()
        return revision

    async def published(self) -> Published:
        """See `FlagStore.published`."""
        # One statement sees one state of the database, whatever the isolation level.
        everything = select(tables.store.c.revision, tables.store.c.store_id, _FLAGS).select_from(
            tables.store.outerjoin(_FLAGS, true())
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(everything)).all()
        records = sorted((flag_record(r) for r in rows if r.key is not None), key=lambda record: record.flag.key)
        flags = tuple(record.published for record in records)
        return Published(revision=rows[0].revision, store_id=rows[0].store_id, flags=flags)

    async def beat(self, feed: str, revision: int, at: datetime) -> None:
        """See `FlagStore.beat`. Feeds silent for a day are forgotten."""
        async with self._database.writing() as connection:
            if feed not in self._feeds:
                await connection.execute(delete(_FEEDS).where(_FEEDS.c.seen_at < rules.feed_forgotten(at)))
            values = {"feed": feed, "revision": revision, "seen_at": at}
            await connection.execute(upsert(self._database.dialect, _FEEDS, ("revision", "seen_at")), values)
        self._feeds.add(feed)

    async def delivery(self, revision: int, alive_since: datetime) -> Delivery:
        """See `FlagStore.delivery`."""
        alive = select(_FEEDS.c.revision).where(_FEEDS.c.seen_at >= alive_since)
        async with self._database.reading() as connection:
            sent = (await connection.execute(alive)).scalars().all()
        return Delivery(revision=revision, feeds=len(sent), lagging=sum(one < revision for one in sent))


class _Rehearsed(Exception):
    """Ends the transaction of a dry run without keeping anything; carries what it would have done."""

    def __init__(self, changes: Sequence[FlagChange]) -> None:
        super().__init__()
        self.changes = changes


async def _every(connection: AsyncConnection) -> list[Flag]:
    rows = await connection.execute(select(_FLAGS))
    return [flag_record(row).flag for row in rows]


async def _existing(connection: AsyncConnection, key: str) -> FlagRecord:
    record = await find_flag(connection, key)
    if record is None:
        raise rules.no_flag(key)
    return record


async def _apply(connection: AsyncConnection, flag: Flag, actor: str, at: datetime) -> FlagChange:
    before = await find_flag(connection, flag.key)
    retired = await _retired(connection, flag.key) if before is None else 0
    rollout = await open_rollout(connection, flag.key)
    record, change = rules.applied(flag, before, retired, rollout, actor, at)
    if change.action == "unchanged":
        return change
    if before is None:
        await add_flag(connection, record)
    else:
        await save_flag(connection, record)
    await append_audit(connection, rules.change_entry(change, actor, at))
    return change


async def _retired(connection: AsyncConnection, key: str) -> int:
    generations = select(tables.retired_flags.c.generation).where(tables.retired_flags.c.key == key)
    return (await connection.execute(generations)).scalar() or 0


async def _retire(connection: AsyncConnection, record: FlagRecord) -> None:
    values = {"key": record.flag.key, "generation": record.traffic.generation}
    statement = upsert(connection.dialect.name, tables.retired_flags, ("generation",))
    await connection.execute(statement, values)
