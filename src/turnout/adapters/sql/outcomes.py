"""Outcomes and their statistics in SQL.

One transaction keeps the new outcomes of a batch and counts them. It inserts the outcomes in the order of their ids,
then locks the windows they count for in the order of their keys: batches that meet in PostgreSQL wait for each other
instead of deadlocking, and what is read under the lock is written back by nobody else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Executable, func, or_, select

from turnout.adapters.intake import attributed
from turnout.adapters.sql import statistics, tables
from turnout.adapters.sql.engine import Database
from turnout.adapters.sql.facts import KnownFlags
from turnout.adapters.sql.keeping import keep, outcome_of
from turnout.adapters.sql.packing import unpack_bins
from turnout.adapters.sql.statistics import in_window
from turnout.adapters.tally import WindowKey, gathered, rejected_by
from turnout.domain.histogram import Histogram
from turnout.domain.outcomes import ANY_METRIC, Outcome
from turnout.domain.stats import ArmStats, Minute
from turnout.ports.outcomes import Receipt

_OUTCOMES, _SERIES, _MINUTES, _WINDOWS = tables.outcomes, tables.series, tables.minutes, tables.windows
_PAGE = 500


class SqlOutcomeStore:
    """A `turnout.ports.outcomes.OutcomeStore` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known = KnownFlags()

    async def record(self, outcomes: Sequence[Outcome], received: datetime) -> Receipt:
        """See `OutcomeStore.record`."""
        async with self._database.writing() as connection:
            facts = await self._known.facts(connection)
            kept, unknown = attributed(outcomes, facts, received)
            new = await keep(connection, [kept[id] for id in sorted(kept)], received)
            arrivals = gathered((kept[id] for id in new), facts)
            await statistics.add(connection, arrivals)
        return Receipt(len(new), len(outcomes) - unknown - len(new), unknown, rejected_by(arrivals))

    async def stats(self, flag: str, generation: int, metric: str) -> Mapping[str, ArmStats]:
        """See `OutcomeStore.stats`. Variants without a value are left out."""
        query = select(_SERIES).where(in_window(_SERIES, WindowKey(flag, generation)) & (_SERIES.c.metric == metric))
        return {row.variant: statistics.series_of(row).stats() for row in await self._read(query)}

    async def minutes(self, flag: str, generation: int, metric: str) -> Mapping[str, Sequence[Minute]]:
        """See `OutcomeStore.minutes`. Variants without a value are left out."""
        arrivals, found = _MINUTES.alias(), dict[str, list[Minute]]()
        same = [arrivals.c[name] == _MINUTES.c[name] for name in ("flag", "generation", "variant", "minute")]
        sums = _MINUTES.c.samples, _MINUTES.c.total, _MINUTES.c.squares, arrivals.c.units, _MINUTES.c.hits
        here = in_window(_MINUTES, WindowKey(flag, generation)) & (_MINUTES.c.metric == metric)
        query = (
            select(_MINUTES.c.variant, _MINUTES.c.minute, *sums)
            .join(arrivals, (arrivals.c.metric == ANY_METRIC) & same[0] & same[1] & same[2] & same[3])
            .where(here)
            .order_by(_MINUTES.c.variant, _MINUTES.c.minute)
        )
        for row in await self._read(query):
            found.setdefault(row.variant, []).append(Minute.model_validate(row, from_attributes=True))
        return found

    async def histogram(self, flag: str, generation: int, metric: str) -> Mapping[str, Histogram]:
        """See `OutcomeStore.histogram`. Derived metrics have none."""
        here = in_window(_SERIES, WindowKey(flag, generation)) & (_SERIES.c.metric == metric)
        rows = await self._read(select(_SERIES.c.variant, _SERIES.c.bins).where(here))
        return {row.variant: Histogram(counts=unpack_bins(row.bins)) for row in rows if row.bins}

    async def units(self, flag: str, generation: int) -> Mapping[str, int]:
        """See `OutcomeStore.units`. Variants without one are left out."""
        here = in_window(_SERIES, WindowKey(flag, generation)) & (_SERIES.c.metric == ANY_METRIC)
        rows = await self._read(select(_SERIES.c.variant, _SERIES.c.units).where(here))
        return {row.variant: row.units for row in rows}

    async def rejected(self, flag: str, generation: int) -> Mapping[str, int]:
        """See `OutcomeStore.rejected`."""
        return await self._document(_WINDOWS.c.rejected, WindowKey(flag, generation))

    async def frozen(self, flag: str, generation: int) -> Mapping[str, float]:
        """See `OutcomeStore.frozen`."""
        return await self._document(_WINDOWS.c.frozen, WindowKey(flag, generation))

    async def served(self, flag: str, variant: str, since: datetime) -> tuple[int, int]:
        """See `OutcomeStore.served`."""
        columns = _OUTCOMES.c
        newest = select(func.max(columns.generation)).where(columns.flag == flag).scalar_subquery()
        # Those of the present generation and of the one before: the index leads straight to them.
        here = (columns.flag == flag) & (columns.generation >= newest - 1) & (columns.at >= since)
        mine = here & (columns.variant == variant) & columns.mode.is_(None) & columns.ok.is_not(None)
        rows = await self._read(select(columns.ok, func.count()).where(mine).group_by(columns.ok))
        counts = {bool(ok): count for ok, count in rows}
        return counts.get(True, 0), counts.get(False, 0)

    async def replay(self, flag: str, generation: int) -> AsyncIterator[Outcome]:
        """See `OutcomeStore.replay`. Read page by page: nothing is locked or held open while the caller works."""
        at, id = _OUTCOMES.c.at, _OUTCOMES.c.id
        query = select(_OUTCOMES).where(in_window(_OUTCOMES, WindowKey(flag, generation))).order_by(at, id).limit(_PAGE)
        page = await self._read(query)
        while page:
            for row in page:
                yield outcome_of(row)
            last = page[-1]
            page = await self._read(query.where(at >= last.at, or_(at > last.at, id > last.id)))

    async def _document(self, column: Column[Any], key: WindowKey) -> dict[str, Any]:
        async with self._database.reading() as connection:
            return await connection.scalar(select(column).where(in_window(_WINDOWS, key))) or {}

    async def _read(self, query: Executable) -> Sequence[Any]:
        async with self._database.reading() as connection:
            rows: Sequence[Any] = (await connection.execute(query)).all()
        return rows
