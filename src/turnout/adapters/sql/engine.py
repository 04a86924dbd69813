"""Connections: how SQLite and PostgreSQL are opened, what a transaction is, and which errors mean "not now".

SQLite runs with a write-ahead log, so that readers and the writer do not wait for each other, and with
``synchronous=FULL``: one fsync a commit keeps an acknowledged outcome through a power cut, not only through the death
of the process, and costs a batch little. Writers begin with BEGIN IMMEDIATE: a transaction that only turned writer
half-way would fail with "database is locked" instead of waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import Any

from sqlalchemy import Connection, event, exc, make_url, select, update
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from turnout.adapters.sql.tables import store
from turnout.domain.errors import InvalidInput, Problem, Unavailable

_PATIENCE_SECONDS = 15
_CONNECT_SECONDS = 10
_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
_NO_TABLE = ("no such table", "no such column", "has no column")
_NO_TABLE_STATES = ("42P01", "42703")


def database_url(text: str) -> URL:
    """``text`` as a URL with the asynchronous driver; ``sqlite:///`` and ``postgresql://`` are understood too.

    Raises:
        InvalidInput: no URL, or one of another database.
    """
    remedy = "write sqlite+aiosqlite:///path/turnout.db or postgresql+asyncpg://user:password@host/database"
    try:
        url = make_url(text)
    except exc.ArgumentError as error:
        raise InvalidInput([Problem("TURNOUT_DATABASE", "is not a database URL", remedy)]) from error
    driver = _DRIVERS.get(url.drivername, url.drivername)
    if driver not in _DRIVERS.values():
        raise InvalidInput([Problem("TURNOUT_DATABASE", "is an unknown kind of database", remedy, url.drivername)])
    url = url.set(drivername=driver)
    if "sslmode" in url.query:
        # The name libpq gives it, and so most hosting services; asyncpg calls it ssl.
        url = url.update_query_dict({"ssl": url.query["sslmode"]}).difference_update_query(["sslmode"])
    return url


def create_engine(url: URL) -> AsyncEngine:
    """An engine for ``url``; connects when first used."""
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(_with_patience(url))
        event.listen(engine.sync_engine, "connect", _set_up_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
    return create_async_engine(url, pool_pre_ping=True, connect_args={"timeout": _CONNECT_SECONDS})


def _with_patience(url: URL) -> URL:
    """``url`` with the time a writer waits for another process, unless it says so itself (``?timeout=5``)."""
    return url if "timeout" in url.query else url.update_query_dict({"timeout": str(_PATIENCE_SECONDS)})


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    # Transactions are begun by _begin_sqlite, not by the driver's guesses.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("synchronous=FULL", "foreign_keys=ON", "cache_size=-16384"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("turnout_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


class Database:
    """Transactions on one engine. Leaving a context commits, an exception rolls back."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._sqlite = engine.dialect.name == "sqlite"
        # SQLite lets waiting writers poll; within this process they queue here instead.
        self._turn: asyncio.Lock | nullcontext[None] = asyncio.Lock() if self._sqlite else nullcontext()

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction that only reads."""
        with translated():
            async with self._engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction that writes."""
        with translated():
            async with self._turn, self._engine.connect() as connection:
                await connection.execution_options(turnout_writing=True)
                async with connection.begin():
                    yield connection

    @asynccontextmanager
    async def publishing(self) -> AsyncGenerator[Publication]:
        """A transaction that changes flags, traffic or rollouts; these run one after the other."""
        async with self.writing() as connection:
            row = await connection.execute(select(store.c.revision).with_for_update())
            yield Publication(connection, row.scalar_one())


class Publication:
    """The transaction ``connection`` of somebody who holds the lock of what is published, now at ``revision``."""

    def __init__(self, connection: AsyncConnection, revision: int) -> None:
        self.connection = connection
        self.revision = revision

    async def publish(self) -> int:
        """Raise the revision: what resolvers serve has changed."""
        self.revision += 1
        await self.connection.execute(update(store).values(revision=self.revision))
        return self.revision


@contextmanager
def translated() -> Generator[None]:
    """Turn errors of the technology that say nothing about the request into Unavailable."""
    try:
        yield
    except exc.DBAPIError as error:
        if not _is_outage(error):
            raise
        raise Unavailable(_message(error)) from error
    except (exc.TimeoutError, OSError) as error:
        raise Unavailable(f"the database does not answer: {error}") from error


def _is_outage(error: exc.DBAPIError) -> bool:
    state = _state(error)
    if error.connection_invalidated or _lacks_tables(error):
        return True
    if isinstance(error, exc.IntegrityError | exc.ProgrammingError | exc.DataError):
        return False
    return not state.startswith(("22", "23", "42"))


def _message(error: exc.DBAPIError) -> str:
    cause = str(error.orig).splitlines()[0]
    if _lacks_tables(error):
        remedy = "run python -m turnout.adapters.sql.migrate"
        return f"the database does not have the tables of this version; {remedy} ({cause})"
    return f"the database does not answer: {cause}"


def _lacks_tables(error: exc.DBAPIError) -> bool:
    return _state(error) in _NO_TABLE_STATES or any(phrase in str(error.orig) for phrase in _NO_TABLE)


def _state(error: exc.DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")
