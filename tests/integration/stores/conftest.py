"""The stores under test: in memory, on SQLite, on PostgreSQL. All have to behave the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.databases import new_database
from turnout.adapters.sql import open_stores
from turnout.ports.stores import Stores
from turnout.testing.stores import memory_stores


@pytest.fixture(params=("memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)))
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    """Fresh stores of each kind."""
    if request.param == "memory":
        yield memory_stores()
        return
    with contextmanager(new_database)(request.param, request, tmp_path) as url:
        async with open_stores(url) as stores:
            yield stores
