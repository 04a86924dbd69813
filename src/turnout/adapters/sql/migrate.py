"""Brings a database to the schema of this version: ``python -m turnout.adapters.sql.migrate [--check]``.

Any number of processes may start it at once: the migrations run in one transaction under a lock, and whoever comes
second finds nothing left to do.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL

from turnout.adapters.sql.engine import create_engine, database_url, translated
from turnout.domain.errors import TurnoutError

LOCK = 0x7475726E
"""The key of the PostgreSQL advisory lock that is held while migrating (the letters "turn")."""

# Alembic keeps what it runs in module variables.
_ALONE = threading.Lock()
_WAL_PATIENCE_SECONDS = 30.0
EXIT_DONE, EXIT_BEHIND, EXIT_ERROR = 0, 1, 2


def default_url() -> str:
    """TURNOUT_DATABASE, or the SQLite file under TURNOUT_DATA (``.turnout``)."""
    data = Path(os.environ.get("TURNOUT_DATA") or ".turnout")
    return os.environ.get("TURNOUT_DATABASE") or f"sqlite+aiosqlite:///{data / 'turnout.db'}"


async def migrate(url: str) -> str:
    """Upgrade the database at ``url`` to the newest schema, creating a SQLite file and its directory; returns it.

    Raises:
        InvalidInput: the URL is of no known database.
        Unavailable: the database does not answer.
    """
    await asyncio.to_thread(_migrate, database_url(url))
    return head()


async def current(url: str) -> str | None:
    """The schema the database at ``url`` has; None when it has none, or is not there."""
    parsed = database_url(url)
    if (file := _sqlite_file(parsed)) is not None and not file.exists():
        return None
    engine = create_engine(parsed)
    try:
        with translated():
            async with engine.connect() as connection:
                return await connection.run_sync(_revision)
    finally:
        await engine.dispose()


def head() -> str:
    """The schema this version works with."""
    return ScriptDirectory.from_config(_config()).get_heads()[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0: the schema is the newest, 1: ``--check`` found another one, 2: an error."""
    parser = argparse.ArgumentParser(prog="python -m turnout.adapters.sql.migrate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 unless up to date")
    options = parser.parse_args(arguments)
    try:
        return asyncio.run(_run(default_url(), check=options.check))
    except TurnoutError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_ERROR


async def _run(url: str, check: bool) -> int:
    where = database_url(url).render_as_string(hide_password=True)
    if not check:
        sys.stdout.write(f"{where}: schema {await migrate(url)}\n")
        return EXIT_DONE
    found = await current(url)
    sys.stdout.write(f"{where}: schema {found or 'missing'}, newest {head()}\n")
    return EXIT_DONE if found == head() else EXIT_BEHIND


def _migrate(url: URL) -> None:
    with _ALONE, translated():
        _prepare_file(url)
        asyncio.run(_upgrade_all(url))


async def _upgrade_all(url: URL) -> None:
    engine = create_engine(url)
    try:
        async with engine.connect() as connection:
            await connection.execution_options(turnout_writing=True)
            async with connection.begin():
                await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _sqlite_file(url: URL) -> Path | None:
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def _prepare_file(url: URL) -> None:
    """Create the SQLite file at ``url`` with a write-ahead log, which the file remembers."""
    file = _sqlite_file(url)
    if file is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    patience = time.monotonic() + _WAL_PATIENCE_SECONDS
    while not _enable_wal(file):
        if time.monotonic() > patience:
            raise OSError(f"{file} stays locked by another process")
        # Two that switch at once refuse each other without waiting for busy_timeout.
        time.sleep(0.02)


def _enable_wal(file: Path) -> bool:
    try:
        with closing(sqlite3.connect(file, timeout=1)) as connection:
            mode: tuple[str] = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            return mode[0] == "wal"
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return False
        raise OSError(f"cannot open {file}: {error}") from error


if __name__ == "__main__":
    raise SystemExit(main())
