"""The stores on SQLite or PostgreSQL; `migrate` brings a database to the schema they expect."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from turnout.adapters.sql.budgets import SqlBudgetStore
from turnout.adapters.sql.engine import Database, create_engine, database_url
from turnout.adapters.sql.flags import SqlFlagStore
from turnout.adapters.sql.freezes import SqlFreezeStore
from turnout.adapters.sql.outcomes import SqlOutcomeStore
from turnout.adapters.sql.rollouts import SqlRolloutStore
from turnout.ports.stores import Stores

__all__ = [
    "SqlBudgetStore",
    "SqlFlagStore",
    "SqlFreezeStore",
    "SqlOutcomeStore",
    "SqlRolloutStore",
    "Stores",
    "open_stores",
]


@asynccontextmanager
async def open_stores(url: str) -> AsyncGenerator[Stores]:
    """The stores of the database at ``url`` (see `database_url`), connected when first used.

    Its schema has to be there: run `turnout.adapters.sql.migrate` before. A database that does not answer makes the
    methods of the stores raise Unavailable, and is tried again with the next call.

    Raises:
        InvalidInput: the URL is of no known database.
    """
    engine = create_engine(database_url(url))
    try:
        database = Database(engine)
        yield Stores(
            SqlFlagStore(database),
            SqlRolloutStore(database),
            SqlOutcomeStore(database),
            SqlFreezeStore(database),
            SqlBudgetStore(database),
        )
    finally:
        await engine.dispose()
