"""The whole embedded stack as a user starts it, and hands to break it with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0
FLAG = "answer-engine"

FLAGS = {
    "flags": {
        FLAG: {
            "variants": {"perplexity": {"mode": "web"}, "lightrag": {"mode": "hybrid"}},
            "stable": "perplexity",
        }
    }
}


def gradual(hold: str = "4s", **more: Any) -> dict[str, Any]:
    """A gradual rollout over 10, 50 and 100 % whose gate needs no great sample."""
    gate = {"metric": "success_rate", "min": 0.8, "min_samples": 10, "min_units": 5}
    return {
        "flag": FLAG,
        "candidate": "lightrag",
        "strategy": {"kind": "gradual", "stages": [10, 50, 100], "stage_duration": hold},
        "gates": [gate],
        "check_every": "1s",
        **more,
    }


@dataclass
class Stack:
    """`turnout up` as a child process."""

    data: Path
    process: subprocess.Popen[str]
    url: str
    temporal: str

    @classmethod
    def up(cls, data: Path, **settings: str) -> Stack:
        """Start it on ``data`` with ``settings`` in its environment, and wait until it says that it is ready."""
        command = [
            sys.executable,
            "-m",
            "workers.up",
            "--data",
            str(data),
            "--port",
            "0",
            "--no-ui",
            "--output",
            "json",
        ]
        env = {k: v for k, v in os.environ.items() if not k.startswith(("TURNOUT_", "TEMPORAL_"))}
        env |= settings
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        return cls(data, process, facts["url"], facts["temporal"])

    def down(self) -> None:
        """Stop it as Ctrl-C does."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def child(self, word: str) -> psutil.Process:
        """The running child process whose command line has ``word``: workers, api or start-dev."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return next(c for c in children if word in c.cmdline())

    def kill(self, word: str) -> int:
        """SIGKILL a child; its process id."""
        child = self.child(word)
        child.kill()
        child.wait(PATIENCE)
        return child.pid

    def http(self, actor: str = "alice") -> httpx.Client:
        """A client for the API."""
        return httpx.Client(base_url=self.url, headers={"X-Turnout-Actor": actor}, timeout=30, trust_env=False)

    def start(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Apply the flag and start ``spec``; the rollout as the API answers it."""
        with self.http() as http:
            http.post("/v1/flags", json=FLAGS).raise_for_status()
            answer = http.post("/v1/rollouts", json={"spec": spec})
            assert answer.status_code == 201, answer.text
            return dict(answer.json())

    def turnout(self, *words: str) -> str:
        """What the command line says to ``words``, as carol; it has to succeed."""
        command = [sys.executable, "-m", "turnout.cli", *words, "--url", self.url, "--as", "carol"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rollout(self) -> dict[str, Any]:
        """The rollout's status; empty while the API does not answer."""
        try:
            with self.http() as http:
                return dict(http.get(f"/v1/rollouts/{FLAG}").json())
        except httpx.HTTPError:
            return {}

    def decisions(self) -> list[dict[str, Any]]:
        """All decisions of the rollout."""
        with self.http() as http:
            return list(http.get(f"/v1/rollouts/{FLAG}/decisions").json()["decisions"])


def eventually(look: Callable[[], Any], wanted: Callable[[Any], bool], patience: float = PATIENCE) -> Any:
    """What ``look`` gives once it is ``wanted``; fails with the last look when patience runs out."""
    give_up = time.monotonic() + patience
    while True:
        seen = look()
        if wanted(seen):
            return seen
        assert time.monotonic() < give_up, f"still {seen!r}"
        time.sleep(0.1)
