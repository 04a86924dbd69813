"""An API over a fresh SQLite database for every test."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.api.harness import Api, running
from turnout.adapters.sql import open_stores
from turnout.ports import Stores


@pytest.fixture
async def stores(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Stores]:
    """The stores of a fresh database."""
    file = tmp_path / "turnout.db"
    shutil.copy(sqlite_template, file)
    async with open_stores(f"sqlite+aiosqlite:///{file}") as opened:
        yield opened


@pytest.fixture
async def api(stores: Stores) -> AsyncIterator[Api]:
    """A running API without tokens and without a workflow engine."""
    async with running(stores) as served:
        yield served
