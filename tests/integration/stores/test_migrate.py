"""The migrations give the schema the code expects, once, however many run them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from tests.integration.postgres import Databases
from tests.integration.stores.builders import a_flag, applied
from turnout.adapters.sql import open_stores
from turnout.adapters.sql.engine import create_engine
from turnout.adapters.sql.engine import database_url as parsed
from turnout.adapters.sql.migrate import LOCK, current, default_url, head, main, migrate
from turnout.adapters.sql.tables import metadata


async def test_the_migrated_schema_is_what_the_tables_say(database_url: str) -> None:
    """A fresh migrated database differs in nothing from the tables in the code."""

    def differences(connection: Connection) -> list[Any]:
        options = {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    engine = create_engine(parsed(database_url))
    try:
        async with engine.connect() as connection:
            assert await connection.run_sync(differences) == []
    finally:
        await engine.dispose()


async def test_migrating_creates_a_usable_database_and_again_keeps_it(empty_database_url: str) -> None:
    """From nothing to stores that work; a second run changes nothing."""
    assert await current(empty_database_url) is None
    assert await migrate(empty_database_url) == head()
    async with open_stores(empty_database_url) as stores:
        await applied(stores, a_flag())
        before = await stores.flags.published()
    await migrate(empty_database_url)
    assert await current(empty_database_url) == head()
    async with open_stores(empty_database_url) as stores:
        assert await stores.flags.published() == before


def _migration(url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "turnout.adapters.sql.migrate"]
    environment = {**os.environ, "TURNOUT_DATABASE": url}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


async def test_several_may_migrate_at_once(empty_database_url: str) -> None:
    """Processes that start together on an empty database all succeed, and it gets one identity."""
    processes = [_migration(empty_database_url) for _ in range(3)]
    assert [await asyncio.to_thread(_finished, process) for process in processes] == [(0, "")] * 3
    async with open_stores(empty_database_url) as stores:
        assert await stores.flags.revision() == 0


async def test_a_process_may_migrate_from_several_tasks(empty_database_url: str) -> None:
    """Tasks that migrate at once, the same database or another, do not disturb each other."""
    assert await asyncio.gather(*(migrate(empty_database_url) for _ in range(3))) == [head()] * 3


@pytest.mark.postgres
async def test_migrations_wait_for_each_other(postgres_databases: Databases) -> None:
    """While somebody else migrates, others wait for the lock; then all succeed."""
    url = postgres_databases.create_empty()
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    engine = create_engine(parsed(url))
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            processes = [_migration(url) for _ in range(2)]
            while await connection.scalar(waiting) < 2:
                assert [process.poll() for process in processes] == [None, None]
                await asyncio.sleep(0.02)
            assert not await connection.scalar(text("SELECT to_regclass('flags') IS NOT NULL"))
        assert [await asyncio.to_thread(_finished, process) for process in processes] == [(0, "")] * 2
    finally:
        await engine.dispose()
        postgres_databases.drop(url)


async def test_two_databases_have_two_identities(tmp_path: Path) -> None:
    """Every database gets an id of its own when it is created."""
    ids: set[str] = set()
    for name in ("a", "b"):
        url = f"sqlite:///{tmp_path / name}.db"
        await migrate(url)
        async with open_stores(url) as stores:
            ids.add((await stores.flags.published()).store_id)
    assert len(ids) == 2


def test_the_command_migrates_the_default_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without TURNOUT_DATABASE it is turnout.db under TURNOUT_DATA; --check tells whether that is up to date."""
    monkeypatch.delenv("TURNOUT_DATABASE", raising=False)
    monkeypatch.setenv("TURNOUT_DATA", str(tmp_path / "deep" / "data"))
    assert main(["--check"]) == 1
    assert not (tmp_path / "deep").exists()
    assert main([]) == 0
    assert main(["--check"]) == 0
    assert (tmp_path / "deep" / "data" / "turnout.db").exists()
    assert capsys.readouterr().out.splitlines()[0].endswith(f"schema missing, newest {head()}")


def test_the_default_is_under_the_working_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing set, the database lives in .turnout."""
    monkeypatch.delenv("TURNOUT_DATABASE", raising=False)
    monkeypatch.delenv("TURNOUT_DATA", raising=False)
    assert default_url() == f"sqlite+aiosqlite:///{Path('.turnout') / 'turnout.db'}"


@pytest.mark.parametrize("url", ["nonsense", "mysql://host/db"])
def test_the_command_explains_a_bad_url(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A URL that is none of ours ends with 2 and says what to write."""
    monkeypatch.setenv("TURNOUT_DATABASE", url)
    assert main([]) == 2
    assert "TURNOUT_DATABASE: is " in capsys.readouterr().err


def test_the_command_never_prints_a_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that does not answer ends with 2, and the password stays out of sight."""
    monkeypatch.setenv("TURNOUT_DATABASE", "postgresql://ann:s3cret@127.0.0.1:1/db")
    assert main([]) == 2
    printed = capsys.readouterr()
    assert "does not answer" in printed.err
    assert "s3cret" not in printed.out + printed.err
