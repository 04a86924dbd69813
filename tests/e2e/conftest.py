"""One embedded stack per test that asks for it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.e2e.stack import Stack


@pytest.fixture
def stack(tmp_path: Path) -> Generator[Stack]:
    """A running stack on an empty data directory."""
    running = Stack.up(tmp_path / "data")
    try:
        yield running
    finally:
        running.down()
