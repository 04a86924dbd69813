"""A database that cannot answer is Unavailable, and what it is told is the way out."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.integration.stores.builders import FLAG, NOW, a_flag, an_outcome, applied
from turnout.adapters.sql import open_stores
from turnout.adapters.sql.engine import create_engine
from turnout.adapters.sql.engine import database_url as parsed
from turnout.domain.errors import InvalidInput, Unavailable


async def test_a_refused_connection_is_unavailable() -> None:
    """Nobody listens: every kind of call says that the database does not answer."""
    async with open_stores("postgresql+asyncpg://ann:pw@127.0.0.1:1/db") as stores:
        with pytest.raises(Unavailable, match="does not answer"):
            await stores.flags.revision()
        with pytest.raises(Unavailable):
            await applied(stores, a_flag())
        with pytest.raises(Unavailable):
            await stores.outcomes.record([an_outcome("1")], NOW)


async def test_a_database_that_does_not_exist_is_unavailable(database_url: str) -> None:
    """A wrong name of a database or file is Unavailable, not a crash."""
    url = make_url(database_url)
    absent = url.set(database=f"{url.database}-absent/none").render_as_string(hide_password=False)
    async with open_stores(absent) as stores:
        with pytest.raises(Unavailable):
            await stores.flags.revision()
    # After a connection that failed SQLite's driver leaves its thread behind, which still answers to this loop.
    while any("_connection_worker_thread" in thread.name for thread in threading.enumerate()):
        await asyncio.sleep(0.005)


async def test_a_database_without_tables_names_the_remedy(empty_database_url: str, tmp_path: Path) -> None:
    """Forgetting to migrate is Unavailable with the command to run."""
    (tmp_path / "new").mkdir()
    async with open_stores(empty_database_url) as stores:
        with pytest.raises(Unavailable, match=r"python -m turnout\.adapters\.sql\.migrate"):
            await stores.flags.revision()


async def test_a_lost_connection_is_unavailable_once(postgres_url: str) -> None:
    """After the server has dropped all connections, at most one call fails before things go on."""
    async with open_stores(postgres_url) as stores:
        await applied(stores, a_flag())
        engine = create_engine(parsed(postgres_url))
        async with engine.connect() as connection:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            await connection.exec_driver_sql(f"{others} AND pid <> pg_backend_pid()")
        await engine.dispose()
        try:
            await stores.flags.revision()
        except Unavailable:
            assert await stores.flags.revision() == 1
        assert (await stores.flags.get(FLAG)).flag == a_flag()


async def test_a_lock_held_too_long_is_unavailable(tmp_path: Path, sqlite_template: Path) -> None:
    """When another program keeps SQLite locked beyond all patience, the writer is told to come back."""
    file = tmp_path / "held.db"
    file.write_bytes(sqlite_template.read_bytes())
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with open_stores(f"sqlite+aiosqlite:///{file}?timeout=0.1") as stores:
            assert await stores.flags.revision() == 0
            with pytest.raises(Unavailable, match="locked"):
                await applied(stores, a_flag())
            other.execute("ROLLBACK")
            await applied(stores, a_flag())


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("sqlite:////data/t.db", "sqlite+aiosqlite:////data/t.db"),
        ("postgres://ann@db/t", "postgresql+asyncpg://ann@db/t"),
        ("postgresql://ann@db/t?sslmode=require", "postgresql+asyncpg://ann@db/t?ssl=require"),
        ("postgresql+asyncpg://ann@db/t", "postgresql+asyncpg://ann@db/t"),
    ],
)
def test_usual_urls_are_understood(given: str, meant: str) -> None:
    """URLs as other programs write them get the right driver and its names."""
    assert parsed(given).render_as_string() == meant


@pytest.mark.parametrize("given", ["", "turnout.db", "mysql+aiomysql://h/d"])
def test_other_urls_are_refused_with_a_remedy(given: str) -> None:
    """What is no URL of ours is refused, with what to write."""
    with pytest.raises(InvalidInput, match=r"TURNOUT_DATABASE: .*write sqlite\+aiosqlite:///"):
        parsed(given)
