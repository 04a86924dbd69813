"""The demo as a person runs it on a pipe: real servers, real systems, real decisions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

# A busy machine makes the demo slower, not different.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
WITHIN = 360.0

COMMAND = [sys.executable, "-P", "-m", "examples.answers", "--documents", "800"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Temporary files go where they can be counted; what this shell is set up for must not matter."""
    return {**os.environ, "TMPDIR": str(tmp_path), "TURNOUT_URL": "http://127.0.0.1:9", "TURNOUT_TOKEN": "of another"}


def test_one_rollout_completes_and_the_other_is_taken_back(environment: dict[str, str], tmp_path: Path) -> None:
    """The demo ends by itself with status 0, has told both stories, and leaves nothing behind."""
    done = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, timeout=WITHIN, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    good, bad = done.stdout.split("── to semantic-degraded ──")
    assert "Began stage 1 of 3 (20 % semantic)" in good
    assert "Moved on to stage 3 of 3 (100 % semantic)" in good
    assert "Gave everybody semantic" in good
    assert "Took everybody back" not in good
    assert "Took everybody back to semantic: gates fail" in bad or "guardrail failed" in bad
    assert "Moved on" not in bad
    assert "outcomes reported, none was lost" in bad
    assert "       0  users were moved to and fro" in bad
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def running(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A demo that writes its summary as JSON and tells its story on stderr."""
    command = [*COMMAND, "--output", "json"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def test_ctrl_c_stops_all_of_it(running: subprocess.Popen[str], tmp_path: Path) -> None:
    """Interrupted while a rollout goes on, it exits with 130, stops every process and removes its files."""
    assert running.stderr is not None
    told: list[str] = []
    for line in running.stderr:
        told.append(line)
        if "Began stage 1" in line:
            break
    assert "Began stage 1" in told[-1], "".join(told)
    children = psutil.Process(running.pid).children(recursive=True)
    assert len(children) >= 4  # the supervisor, Temporal, the worker, the API
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert out == ""
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []
    assert list(tmp_path.iterdir()) == []


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    """Data of an earlier run would make another story of this one, so only a new directory is taken."""
    (tmp_path / "turnout.db").touch()
    command = [*COMMAND, "--data", str(tmp_path), "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "is not empty; name a new directory" in done.stderr


def test_too_little_traffic_is_refused() -> None:
    """An option that would starve the gates of evidence is refused at once, with what to write."""
    done = subprocess.run([*COMMAND, "--rate", "5"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--rate: must be a whole number of at least 50 (got '5')" in done.stderr
