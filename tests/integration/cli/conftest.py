"""The real API on a fresh database, without a workflow engine behind it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.canned import Canned
from tests.integration.cli.runner import Turnout

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def api_url(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `python -m api`."""
    data = tmp_path_factory.mktemp("data")
    shutil.copy(sqlite_template, data / "turnout.db")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("TURNOUT_", "TEMPORAL_"))}
    # Nothing listens on the port of discard, so that the engine is away.
    env |= {"TURNOUT_DATA": str(data), "TURNOUT_PORT": "0", "TEMPORAL_ADDRESS": "127.0.0.1:9"}
    command = [sys.executable, "-m", "api"]
    with (data / "api.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().split()[-1]
    process.terminate()
    process.wait(30)
    process.stdout.close()


@pytest.fixture
def turnout(api_url: str) -> Turnout:
    """The command line against the real API."""
    return Turnout(api_url)


@pytest.fixture
def canned() -> Iterator[Canned]:
    """A server with a rollout."""
    with Canned() as server:
        yield server
