"""A Turnout of the demo's own: `turnout up` in a directory and on ports that nobody else uses."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from workers.plan import ROOT
from workers.processes import Leash

# Seconds. Starting takes three on an idle machine; the stack gives up by itself after about two minutes.
_STARTS_WITHIN, _STOPS_WITHIN = 150.0, 40.0


class StackFailed(Exception):
    """The stack did not start; the message says why."""


class Stack:
    """Starts with the context and stops, all its processes with it, at its end. It dies with this process, too."""

    def __init__(self, data: Path) -> None:
        """``data`` is where it keeps everything."""
        self._data = data
        self._leash = Leash()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-P", "-m", "workers.up", "--output", "json", "--port", "0", "--data"]
        with self._log.open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                self._leash.wrap([*command, str(self._data)]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                pass_fds=self._leash.fds,
                # A Ctrl-C reaches the demo alone, which then stops everything in order.
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        if process is None:
            return
        # Where it has to be killed, the leash takes its children with it.
        stop(process, _STOPS_WITHIN)
        self._leash.close()

    @property
    def _log(self) -> Path:
        return self._data / "up.log"

    def url(self) -> str:
        """Where the API listens, once everything is ready. Raises StackFailed."""
        line = self._announcement()
        with suppress(ValueError, KeyError):
            facts: dict[str, Any] = json.loads(line)
            return str(facts["url"])
        why = self._log.read_text(encoding="utf-8", errors="replace").strip() or "it says nothing"
        raise StackFailed(f"Temporal, the worker and the API did not start: {why}")

    def _announcement(self) -> str:
        """The line that says that everything is ready; empty when it ends, or has not come in time."""
        if self._process is None or self._process.stdout is None:
            raise StackFailed("the stack was not started; use it as a context manager")
        with selectors.DefaultSelector() as ready:
            ready.register(self._process.stdout, selectors.EVENT_READ)
            if ready.select(_STARTS_WITHIN):
                return self._process.stdout.readline()
        return ""


def stop(process: subprocess.Popen[str], patience: float) -> None:
    """End ``process``, by force when it has not ended after ``patience`` seconds, and close what it said."""
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
