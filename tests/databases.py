"""Databases for tests on a real one: every test gets a fresh one, on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration import postgres
from turnout.adapters.sql import open_stores
from turnout.adapters.sql.migrate import migrate
from turnout.ports.stores import Stores

BOTH = ("sqlite", pytest.param("postgres", marks=pytest.mark.postgres))
"""The kinds of database, for the parameters of a fixture."""


@pytest.fixture(scope="session")
def postgres_databases() -> Iterator[postgres.Databases]:
    """Databases on the PostgreSQL of this test session, which starts with the first test that asks for it."""
    if postgres.skipped():
        pytest.skip("PostgreSQL is left out: TURNOUT_TEST_POSTGRES=skip")
    with postgres.server() as url:
        databases = postgres.Databases(url)
        yield databases
        databases.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    file = tmp_path_factory.mktemp("sqlite") / "template.db"
    postgres.in_thread(migrate(_sqlite_url(file)))
    return file


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh, migrated database of each kind."""
    yield from new_database(request.param, request, tmp_path)


@pytest.fixture(params=[pytest.param("postgres", marks=pytest.mark.postgres)])
def postgres_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh, migrated PostgreSQL database, for what SQLite cannot do."""
    yield from new_database(request.param, request, tmp_path)


@pytest.fixture(params=BOTH)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables, of each kind; the SQLite file does not exist yet."""
    if request.param == "sqlite":
        yield _sqlite_url(tmp_path / "new" / "turnout.db")
        return
    databases: postgres.Databases = request.getfixturevalue("postgres_databases")
    url = databases.create_empty()
    yield url
    databases.drop(url)


@pytest.fixture
async def sql_stores(database_url: str) -> AsyncIterator[Stores]:
    """The stores of a fresh database of each kind."""
    async with open_stores(database_url) as stores:
        yield stores


def new_database(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """The URL of a fresh, migrated database of ``kind``, for fixtures; dropped afterwards."""
    if kind == "sqlite":
        file = folder / "turnout.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), file)
        yield _sqlite_url(file)
        return
    databases: postgres.Databases = request.getfixturevalue("postgres_databases")
    url = databases.create()
    yield url
    databases.drop(url)


def _sqlite_url(file: Path) -> str:
    return f"sqlite+aiosqlite:///{file}"
