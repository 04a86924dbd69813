"""The service as a process of its own, for as long as somebody tries it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from examples.answers.stack import stop

ROOT: Final = Path(__file__).resolve().parents[2]
_STOPS_WITHIN_S: Final = 20.0


class Service:
    """``python -m examples.lightrag serve`` on a free port, with ``environ`` on top of this process's environment."""

    def __init__(self, turnout: str, environ: Mapping[str, str] | None = None) -> None:
        """``turnout`` is the URL of the controller."""
        self._environ: Final = {**os.environ, "TURNOUT_URL": turnout, **(environ or {})}
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "examples.lightrag", "serve", "--port", "0", "--output", "json"]
        self._process = process = subprocess.Popen(
            command, cwd=ROOT, env=self._environ, stdout=subprocess.PIPE, text=True
        )
        line = process.stdout.readline() if process.stdout is not None else ""
        if not line:
            self.__exit__()
            raise RuntimeError("the service did not start; what it says stands above")
        self.url = str(json.loads(line)["url"])
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            stop(self._process, _STOPS_WITHIN_S)
