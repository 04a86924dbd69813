"""What one `turnout up` is to run, where, and with which settings."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from turnout.domain.errors import InvalidInput, Problem
from workers import datadir, embedded
from workers.datadir import LOOPBACK, TemporalPorts
from workers.processes import RestartPolicy

ROOT = Path(__file__).resolve().parents[1]
"""The folder the application packages (workers, api…) are in."""


def _module(name: str) -> tuple[str, ...]:
    # -P: a folder called "api" where the user happens to be must not be taken for ours.
    return (sys.executable, "-P", "-m", name)


@dataclass(frozen=True, slots=True)
class Commands:
    """What to run: ``migrate`` once, to its end; ``worker`` and ``api`` all the time."""

    migrate: Sequence[str] = _module("turnout.adapters.sql.migrate")
    worker: Sequence[str] = _module("workers")
    api: Sequence[str] = _module("api")


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one `turnout up` needs to know.

    ``data`` is absolute, and so is ``flags_file``, which is kept applied; ``port`` 0 stands for any free one;
    ``json_output`` asks for one JSON line instead of text; ``environ`` is the environment children start from;
    ``ready_timeout`` is in seconds.
    """

    data: Path
    host: str
    port: int
    ui: bool
    json_output: bool
    environ: Mapping[str, str]
    commands: Commands = field(default_factory=Commands)
    policy: RestartPolicy = field(default_factory=RestartPolicy)
    ready_timeout: float = 60.0
    flags_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the parts listen: ``port`` the API's, ``worker_metrics`` the port of the worker's /metrics."""

    host: str
    port: int
    temporal: TemporalPorts
    worker_metrics: int

    @property
    def url(self) -> str:
        """The API's base URL as seen from this machine."""
        host = {"0.0.0.0": LOOPBACK, "": LOOPBACK, "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def ui_url(self, ui: bool) -> str | None:
        """The address of Temporal's web page, None if it is not served."""
        return f"http://{LOOPBACK}:{self.temporal.ui}" if ui else None


def parse(argv: Sequence[str] | None, environ: Mapping[str, str]) -> Plan:
    """The plan that the command line and the ``TURNOUT_*`` settings ask for. Exits with status 2 if wrong."""
    parser = argparse.ArgumentParser(
        prog="turnout up",
        description="Run a Temporal server, a worker and the API until Ctrl-C. A later start on the same data"
        " directory continues every open rollout.",
    )
    add = parser.add_argument
    add("--data", default=environ.get("TURNOUT_DATA") or ".turnout", help="data directory [%(default)s]")
    add("--host", default=environ.get("TURNOUT_HOST") or LOOPBACK, help="address of the API [%(default)s]")
    add("--port", type=_port, default=environ.get("TURNOUT_PORT") or "8080", help="0: any free [%(default)s]")
    add("--flags", default=environ.get("TURNOUT_FLAGS_FILE") or None, help="flag file to keep applied [none]")
    add("--ui", action=argparse.BooleanOptionalAction, default=True, help="serve Temporal's web page")
    add("--output", choices=("text", "json"), default="text", help="json: one line once ready [%(default)s]")
    options = parser.parse_args(argv)
    return Plan(
        data=Path(options.data).expanduser().resolve(),
        host=options.host,
        port=options.port,
        ui=options.ui,
        json_output=options.output == "json",
        environ=environ,
        flags_file=Path(options.flags).expanduser().resolve() if options.flags else None,
    )


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535 (got {text!r})")
    return int(text)


def check_listen(host: str, port: int) -> None:
    """Raises InvalidInput, naming the port and what to do, unless a server can listen on it now."""
    error = datadir.refusal(host, port)
    if isinstance(error, socket.gaierror):
        raise InvalidInput([Problem("host", "is no address of this machine", "try --host 127.0.0.1", host)])
    if error is not None:
        remedy = "stop the program that uses it, or choose another with --port (0: any free one)"
        where = f"{host}:{port}"
        raise InvalidInput([Problem("port", f"cannot listen there: {error.strerror}", remedy, where)])


def choose_addresses(plan: Plan) -> Addresses:
    """The ports of this run; Temporal's are those of the last one where they are free."""
    if plan.port:
        check_listen(plan.host, plan.port)
    temporal = datadir.pick_ports(datadir.load_ports(plan.data), frozenset((plan.port,)))
    taken = frozenset((temporal.grpc, temporal.http, temporal.metrics, temporal.ui))
    port = plan.port or datadir.free_port(taken=taken)
    wanted = plan.environ.get("TURNOUT_METRICS_PORT", "")
    metrics = int(wanted) if wanted.isdigit() else datadir.free_port(taken=taken | {port})
    return Addresses(plan.host, port, temporal, metrics)


def child_environment(plan: Plan, at: Addresses) -> dict[str, str]:
    """The environment of the migration, the worker and the API."""
    inherited = plan.environ.get("PYTHONPATH")
    return {
        **embedded.without_temporal(plan.environ),
        "TURNOUT_DATABASE": plan.environ.get("TURNOUT_DATABASE") or f"sqlite+aiosqlite:///{plan.data}/turnout.db",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *([inherited] if inherited else [])]),
        "PYTHONUNBUFFERED": "1",
        "TEMPORAL_ADDRESS": at.temporal.address,
        "TEMPORAL_NAMESPACE": "default",
        # The user's own profile may ask for TLS or another namespace, which the embedded server lacks.
        "TEMPORAL_CONFIG_FILE": os.devnull,
        "TURNOUT_DATA": str(plan.data),
        **({"TURNOUT_FLAGS_FILE": str(plan.flags_file)} if plan.flags_file else {}),
        "TURNOUT_HOST": at.host,
        "TURNOUT_PORT": str(at.port),
        "TURNOUT_METRICS_PORT": str(at.worker_metrics),
    }
