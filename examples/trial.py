"""``python -m examples.trial ab_test|multivariate [--url URL] [--html FILE]``: a test from start to report.

Starts the example's rollout on a running stack (``turnout up``) with a small sample, lets users come whose arms differ
by a known amount, and prints the recommendation. With ``--html`` the report is written as a page.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Mapping
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from turnout import Turnout
from turnout.cli.render.report_page import page
from turnout.domain.reporting import Report

FOLDER: Final = Path(__file__).parent
USERS: Final = {"ab_test": 600, "multivariate": 2400}
"""Samples that make tests of weeks last seconds."""

TRUTH: Final[Mapping[str, tuple[float, float]]] = {
    "perplexity": (0.6, 0.7),
    "lightrag": (0.97, 0.7),
    "plain": (1.0, 0.70),
    "cited": (1.0, 0.80),
    "stepwise": (1.0, 0.72),
}
"""By arm how often it succeeds, and its mean quality."""

_BATCH: Final = 50
_PAUSE: Final = 0.05


def spec_of(kind: str) -> dict[str, Any]:
    """The example's rollout, small, with nothing that follows it."""
    spec: dict[str, Any] = yaml.safe_load((FOLDER / kind / "rollout.yaml").read_text())
    strategy = {name: value for name, value in spec["strategy"].items() if name != "ship_winner"}
    small = {"minimum_sample_size": USERS[kind], "max_duration": "5m", "exposure": "100%"}
    return spec | {"strategy": strategy | small, "check_every": "1s", "deadline": "10s"}


def serve(turnout: Turnout, flag: str, number: int, chance: random.Random) -> None:
    """One request of one user, and how it went."""
    assignment = turnout.resolve(flag, f"user-{number}")
    rate, quality = TRUTH.get(assignment.variant or "", (0.5, 0.5))
    measured = min(1.0, max(0.0, chance.gauss(quality, 0.15)))
    turnout.report(assignment, ok=chance.random() < rate, quality=measured, cost=chance.gauss(0.01, 0.001))


def run(kind: str, url: str, seed: int = 1) -> Report:
    """The report on the example's test, once it has ended, or waits for a person."""
    spec, chance = spec_of(kind), random.Random(seed)
    flag = spec["flag"]
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as http, Turnout(url, cache_dir=None) as turnout:
        http.post("/v1/flags", json=yaml.safe_load((FOLDER / kind / "flags.yaml").read_text())).raise_for_status()
        http.post("/v1/rollouts", json={"spec": spec}).raise_for_status()
        numbers = count()
        while not _over(http, flag):
            for number in islice(numbers, _BATCH):
                serve(turnout, flag, number, chance)
            time.sleep(_PAUSE)
        return Report.model_validate(http.get(f"/v1/rollouts/{flag}/report").raise_for_status().json())


def _over(http: httpx.Client, flag: str) -> bool:
    rollout = http.get(f"/v1/rollouts/{flag}").json()
    return rollout["ended_at"] is not None or rollout["state"] == "paused"


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m examples.trial", description="A test from start to report.")
    parser.add_argument("kind", choices=("ab_test", "multivariate"))
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--html", type=Path)
    asked = parser.parse_args()
    report = run(asked.kind, asked.url)
    print(report.summary)
    if report.experiment is not None and report.experiment.recommendation is not None:
        advice = report.experiment.recommendation
        print(f"{advice.action} {advice.winner or report.experiment.control}: {advice.reason}")
    if asked.html is not None:
        asked.html.write_text(page(report), encoding="utf-8")
        print(f"written to {asked.html}")


if __name__ == "__main__":
    main()
