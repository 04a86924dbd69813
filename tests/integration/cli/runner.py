"""The command line, run inside the test's process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from turnout.cli.app import build

_RUNNER = CliRunner()


@dataclass(frozen=True)
class Ran:
    """What a command wrote and ended with."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The answer as data; fails when stdout holds anything else."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Turnout:
    """`turnout` against the API at ``url``."""

    url: str

    def __call__(self, *words: str, input: str | None = None, actor: str = "ann") -> Ran:
        """Run a command; it must never end with a traceback."""
        env = {"TURNOUT_URL": self.url, "TURNOUT_TOKEN": None, "TURNOUT_DATA": None, "COLUMNS": "80"}
        result = _RUNNER.invoke(build(rich=False), ["--as", actor, *words], input=input, env=env)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)
