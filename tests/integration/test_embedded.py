"""`turnout up` with the real Temporal server, and small programs in place of the worker and the API."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from workers import embedded
from workers.datadir import LOOPBACK
from workers.plan import ROOT

pytestmark = pytest.mark.slow

DRIVER = """
import json, os, sys
from workers.plan import Commands
from workers.up import main
status = main(sys.argv[2:], Commands(**json.loads(sys.argv[1])))
sys.stderr.flush()
os._exit(status)
"""

# Writes what it finds when it is stopped, so that the order of stopping can be read.
WORKER = """
import os, signal, socket, sys
def stop(*_):
    host, _, port = os.environ["TEMPORAL_ADDRESS"].rpartition(":")
    socket.create_connection((host, int(port)), timeout=5).close()
    print("worker stopped, temporal answers", file=open(os.environ["TURNOUT_DATA"] + "/stops", "a"))
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
open(os.environ["TURNOUT_DATA"] + "/works", "w").close()
while True:
    signal.pause()
"""

API = """
import http.server, os, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
    def log_message(self, *_):
        pass
def stop(*_):
    print("api stopped", file=open(os.environ["TURNOUT_DATA"] + "/stops", "a"))
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
address = (os.environ["TURNOUT_HOST"], int(os.environ["TURNOUT_PORT"]))
http.server.ThreadingHTTPServer(address, Handler).serve_forever()
"""

CRASH = "import sys; print('boom: the settings make no sense'); sys.exit(3)"


launched: list[subprocess.Popen[str]] = []


@pytest.fixture(scope="module", autouse=True)
def nothing_left_running() -> Iterator[None]:
    """A failed test must not leave servers behind: killing a supervisor ends its children."""
    yield
    for process in launched:
        process.kill()
        process.communicate()


@dataclass
class Up:
    """A running `turnout up`: its process and what it announced."""

    process: subprocess.Popen[str]
    facts: dict[str, Any]

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by part."""
        return self.facts["pids"]


def launch(data: Path, *arguments: str, **programs: str) -> subprocess.Popen[str]:
    """Start `turnout up` on ``data``; ``programs`` replace the stand-ins."""
    stand_ins = {"migrate": "pass", "worker": WORKER, "api": API} | programs
    commands = {name: [sys.executable, "-I", "-S", "-c", text] for name, text in stand_ins.items()}
    strays = ("TEMPORAL_", "TURNOUT_")
    env = {key: value for key, value in os.environ.items() if not key.startswith(strays)}
    # Settings of another server, which the embedded one must not take for its own.
    env |= {"TEMPORAL_TLS": "true", "TEMPORAL_NAMESPACE": "elsewhere"}
    command = [sys.executable, "-c", DRIVER, json.dumps(commands), "--data", str(data), *arguments]
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    launched.append(process)
    return process


def ready(process: subprocess.Popen[str]) -> Up:
    """Wait for the announcement."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return Up(process, json.loads(line))


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether ``condition`` comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_gone(pid: int) -> bool:
    """Whether no program runs under ``pid`` (a container's init may leave the zombie)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def up(tmp_path: Path) -> Up:
    """A `turnout up` of this test's own."""
    return ready(launch(tmp_path, "--port", "0", "--output", "json"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A `turnout up` for the tests that only look; a test may leave it restarted, never stopped."""
    data = tmp_path_factory.mktemp("shared") / "data of mine"
    started = ready(launch(data, "--port", "0", "--output", "json"))
    yield started
    started.process.terminate()
    assert started.process.wait(30) == 0


async def test_announces_a_healthy_whole(shared: Up) -> None:
    """Once the line is out, every part runs, Temporal is healthy and its database is in WAL mode."""
    assert set(shared.facts) == {"url", "temporal", "ui", "data", "pids"}
    assert set(shared.pids) == {"supervisor", "temporal", "worker", "api"}
    assert shared.pids["supervisor"] == shared.process.pid
    assert not any(is_gone(pid) for pid in shared.pids.values())
    await embedded.wait_ready(shared.facts["temporal"], 5.0)
    assert (Path(shared.facts["data"]) / "temporal.db-wal").exists()


async def test_histories_are_kept_for_a_month(shared: Up) -> None:
    """The namespace's retention was raised at the start, so that asking again changes nothing."""
    assert await embedded.keep_histories(shared.facts["temporal"]) is False


def test_children_get_the_settings_of_this_run(shared: Up) -> None:
    """The worker and the API see the embedded server's address and this data directory, no other server's."""
    env = psutil.Process(shared.pids["worker"]).environ()
    data = shared.facts["data"]
    assert {key: value for key, value in env.items() if key.startswith("TEMPORAL_")} == {
        "TEMPORAL_ADDRESS": shared.facts["temporal"],
        "TEMPORAL_NAMESPACE": "default",
        "TEMPORAL_CONFIG_FILE": os.devnull,
    }
    assert env["TURNOUT_DATA"] == data
    assert env["TURNOUT_DATABASE"] == f"sqlite+aiosqlite:///{data}/turnout.db"
    assert f"http://{env['TURNOUT_HOST']}:{env['TURNOUT_PORT']}" == shared.facts["url"]


def test_a_second_up_on_the_same_data_is_refused(shared: Up) -> None:
    """A data directory in use is refused with the process that uses it and what to do."""
    second = launch(Path(shared.facts["data"]), "--port", "0")
    _, stderr = second.communicate(timeout=30)
    assert second.returncode == 2
    assert f"process {shared.process.pid}" in stderr
    assert "--data" in stderr


async def test_a_killed_server_comes_back_on_the_same_port(shared: Up) -> None:
    """A Temporal server that dies is started again where clients look for it."""
    supervisor, old = psutil.Process(shared.process.pid), shared.pids["temporal"]
    os.kill(old, signal.SIGKILL)

    def replaced() -> bool:
        return any("start-dev" in child.cmdline() for child in supervisor.children() if child.pid != old)

    assert await asyncio.to_thread(eventually, replaced)
    await embedded.wait_ready(shared.facts["temporal"], 20.0)


def test_sigkill_of_the_supervisor_leaves_no_orphan(up: Up) -> None:
    """When the supervisor is killed, every child ends, and the data directory can be used at once."""
    os.kill(up.process.pid, signal.SIGKILL)
    successor = launch(Path(up.facts["data"]), "--port", "0", "--output", "json", "--no-ui")
    facts = ready(successor).facts
    assert eventually(lambda: all(is_gone(pid) for pid in up.pids.values() if pid != up.process.pid))
    assert facts["ui"] is None
    successor.terminate()
    assert successor.wait(30) == 0


def test_sigterm_stops_in_order_and_the_next_start_continues(up: Up) -> None:
    """SIGTERM ends API, worker, server in this order with status 0; Temporal's address survives."""
    data = Path(up.facts["data"])
    assert eventually((data / "works").exists)
    up.process.terminate()
    assert up.process.wait(30) == 0
    assert (data / "stops").read_text() == "api stopped\nworker stopped, temporal answers\n"
    assert all(is_gone(pid) for pid in up.pids.values())
    again = launch(data, "--port", "0", "--output", "json")
    assert ready(again).facts["temporal"] == up.facts["temporal"]
    again.send_signal(signal.SIGINT)
    assert again.wait(30) == 0


@pytest.mark.parametrize(("part", "words"), [("worker", "keeps dying"), ("migrate", "exited with status 3")])
def test_a_child_that_cannot_run_ends_everything(tmp_path: Path, part: str, words: str) -> None:
    """When a part cannot be kept alive, `up` ends with status 1 and shows the end of that part's log."""
    process = launch(tmp_path, "--port", "0", "--output", "json", **{part: CRASH})
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"{part} {words}" in stderr
    assert "boom: the settings make no sense" in stderr
    assert "ready" not in stdout


def test_settings_the_children_would_refuse_are_refused_first(tmp_path: Path) -> None:
    """An API open to other machines without tokens is refused before anything starts."""
    process = launch(tmp_path, "--host", "0.0.0.0", "--port", "0")
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "TURNOUT_TOKENS" in stderr
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), ("flags: {a: {variants: {x: 1}, stable: y}}", "line 1: flags.a.stable: there is no")],
)
def test_a_flag_file_of_no_use_is_told_where_it_was_named(tmp_path: Path, content: str | None, words: str) -> None:
    """A misspelt name, or a fault in the file, is said by `up` itself and not in a log alone."""
    file = tmp_path / "flags.yaml"
    if content is not None:
        file.write_text(content)
    process = launch(tmp_path / "data", "--port", "0", "--flags", str(file), migrate=CRASH)
    _, stderr = process.communicate(timeout=60)
    assert f"turnout up: {file} " in stderr
    assert words in stderr


def test_a_busy_api_port_is_named(tmp_path: Path) -> None:
    """A port another program listens on is refused by number, with the option that chooses another."""
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        process = launch(tmp_path, "--port", str(port))
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 2
    assert f"{LOOPBACK}:{port}" in stderr
    assert "--port" in stderr
