"""A private, throw-away PostgreSQL for a test session.

TURNOUT_TEST_POSTGRES decides: unset starts a cluster from the installed server, a URL uses that server (its user has to
be allowed to create databases), ``skip`` leaves PostgreSQL out. Not having a server is an error, not a reason to skip.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import make_url

_READY = "database system is ready to accept connections"
_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=32MB", "log_statement=none")
_USER = "postgres"


def skipped() -> bool:
    """Whether somebody chose to leave PostgreSQL out."""
    return os.environ.get("TURNOUT_TEST_POSTGRES") == "skip"


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server's maintenance database; fails the test when there is no server."""
    given = os.environ.get("TURNOUT_TEST_POSTGRES")
    if given:
        yield given
        return
    programs = _programs()
    if programs is None:
        pytest.fail(
            "PostgreSQL is not installed: install it (apt-get install postgresql), name a server in "
            "TURNOUT_TEST_POSTGRES, or leave it out with TURNOUT_TEST_POSTGRES=skip",
            pytrace=False,
        )
    folder = Path(tempfile.mkdtemp(prefix="turnout-pg-"))
    try:
        yield from _cluster(programs, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Databases:
    """Fresh databases on the server at ``url``, copied from a template that `prepare` made."""

    def __init__(self, url: str) -> None:
        self._admin = url
        self._template: str | None = None

    def create(self) -> str:
        """The URL of a new, migrated database."""
        if self._template is None:
            self._template = self._new("")
            in_thread(_migrate(self._url(self._template)))
        return self._url(self._new(f" TEMPLATE {self._template}"))

    def create_empty(self) -> str:
        """The URL of a new database without tables."""
        return self._url(self._new(""))

    def drop(self, url: str) -> None:
        """Drop the database at ``url``, whoever is connected."""
        in_thread(_execute(self._admin, f"DROP DATABASE IF EXISTS {make_url(url).database} WITH (FORCE)"))

    def close(self) -> None:
        """Drop the template."""
        if self._template is not None:
            self.drop(self._url(self._template))

    def _new(self, options: str) -> str:
        name = f"turnout_test_{uuid4().hex[:12]}"
        in_thread(_execute(self._admin, f"CREATE DATABASE {name}{options}"))
        return name

    def _url(self, name: str) -> str:
        url = make_url(self._admin).set(drivername="postgresql+asyncpg", database=name)
        return url.render_as_string(hide_password=False)


def in_thread(work: Coroutine[Any, Any, object]) -> None:
    """Run ``work`` on an event loop of its own, away from that of the test."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


async def _execute(url: str, statement: str) -> None:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(plain)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _migrate(url: str) -> None:
    from turnout.adapters.sql.migrate import migrate

    await migrate(url)


def _programs() -> Path | None:
    on_path = shutil.which("initdb")
    installed = [Path(on_path).parent] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return installed[-1] if installed and (installed[-1] / "postgres").exists() else None


def _cluster(programs: Path, folder: Path) -> Iterator[str]:
    data, port = folder / "data", _free_port()
    as_user = _as_user(folder)
    initdb = (programs / "initdb", "-D", data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--no-sync")
    subprocess.run([*as_user, *initdb], check=True, capture_output=True, cwd=folder)
    options = [word for setting in _SETTINGS for word in ("-c", setting)]
    place = ("-D", data, "-k", folder, "-h", "127.0.0.1", "-p", str(port))
    process = subprocess.Popen(
        [*as_user, programs / "postgres", *place, *options], stderr=subprocess.PIPE, text=True, cwd=folder
    )
    try:
        _wait_until_ready(process)
        yield f"postgresql+asyncpg://{_USER}@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)


def _as_user(folder: Path) -> list[str]:
    """What to put before a command: PostgreSQL refuses to run as root. The server dies with the test session."""
    if os.geteuid() != 0:
        return []
    account = pwd.getpwnam(_USER)
    os.chown(folder, account.pw_uid, account.pw_gid)
    return ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--pdeathsig=INT"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    log = process.stderr
    if log is None:
        raise AssertionError("the server was started without a log")
    said: list[str] = []
    for line in log:
        said.append(line)
        if _READY in line:
            # Somebody has to go on reading, or the server stands still once the pipe is full.
            threading.Thread(target=log.read, daemon=True).start()
            return
    pytest.fail("PostgreSQL did not start:\n" + "".join(said), pytrace=False)
