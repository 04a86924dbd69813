"""``python -m api`` as operators and supervisors run it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def _process(folder: Path, **settings: str) -> Iterator[subprocess.Popen[str]]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TURNOUT_", "TEMPORAL_"))}
    env = {
        **kept,
        "PYTHONPATH": str(ROOT),
        "TURNOUT_DATA": str(folder),
        "TURNOUT_PORT": "0",
        "TEMPORAL_ADDRESS": "127.0.0.1:1",
        **settings,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "api"], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rpartition(" ")[2].strip()


def test_it_says_where_it_listens_and_stops_in_order_under_an_open_stream(
    tmp_path: Path, sqlite_template: Path
) -> None:
    """One line on stdout names the actual port; SIGTERM ends streams and the process, without Temporal anywhere."""
    shutil.copy(sqlite_template, tmp_path / "turnout.db")
    with _process(tmp_path) as process:
        url = _url(process)
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as http:
            flag = {"variants": {"a": 1, "b": 2}, "stable": "a"}
            assert http.put("/v1/flags/x", json=flag).status_code == 200
            with http.stream("GET", "/v1/snapshot/stream") as stream:
                lines = stream.iter_lines()
                assert next(lines).startswith("id: ")
                process.send_signal(signal.SIGTERM)
                assert list(lines)[-1] == ""
        assert process.wait(timeout=30) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""


def test_it_refuses_other_addresses_without_tokens(tmp_path: Path) -> None:
    """An API that others could reach needs tokens; the refusal says how to set them."""
    with _process(tmp_path, TURNOUT_HOST="0.0.0.0") as process:
        _, log = process.communicate(timeout=30)
        assert process.returncode == 2
        assert "TURNOUT_TOKENS" in log


def test_a_port_that_is_taken_is_a_failure(tmp_path: Path, sqlite_template: Path) -> None:
    """A second process on the same port ends with an error instead of serving nothing."""
    shutil.copy(sqlite_template, tmp_path / "turnout.db")
    with _process(tmp_path) as first:
        port = _url(first).rpartition(":")[2]
        with _process(tmp_path, TURNOUT_PORT=port) as second:
            _, log = second.communicate(timeout=30)
            assert second.returncode == 1
            assert "address already in use" in log
