"""The embedded stack, for as long as a measurement takes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

FLAG = "bench"
FLAGS = {"flags": {FLAG: {"variants": {"old": {"mode": "web"}, "new": {"mode": "hybrid"}}, "stable": "old"}}}
HALF = {
    "flag": FLAG,
    "candidate": "new",
    "strategy": {"kind": "gradual", "stages": [50, 100], "stage_duration": "1h"},
    "gates": [{"metric": "success_rate", "min": 0.9}],
}
"""A rollout that serves the candidate to half of the users until it is told otherwise."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the stack listens: the API's URL, Temporal's host and port."""

    url: str
    temporal: str


@contextmanager
def embedded_stack() -> Generator[Addresses]:
    """Run `turnout up` on an empty data directory."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("TURNOUT_", "TEMPORAL_"))}
    with tempfile.TemporaryDirectory() as data:
        command = [sys.executable, "-m", "workers.up", "--data", data, "--port", "0", "--no-ui", "--output", "json"]
        with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                facts = json.loads(process.stdout.readline())
                yield Addresses(facts["url"], facts["temporal"])
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(60)
