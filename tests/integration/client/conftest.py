"""A controller to talk to, and clients that are closed whatever the test does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.client.controller import Controller
from turnout import Turnout

Connect = Callable[..., Turnout]


@pytest.fixture
def controller() -> Iterator[Controller]:
    """A running controller."""
    with Controller() as running:
        yield running


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    """Makes clients that keep their flags in this test's own folder."""
    made: list[Turnout] = []

    def make(url: str, **settings: object) -> Turnout:
        options = {"cache_dir": tmp_path / "cache", "timeout": 2.0, "wait": 10.0, **settings}
        made.append(Turnout(url, **options))
        return made[-1]

    yield make
    for client in made:
        client.close(0)
