"""Decisions on real outcomes of users who resemble themselves: equals pass through, whoever is worse is taken back."""

from __future__ import annotations

import random
import threading
from types import TracebackType
from typing import Any, Self

import pytest

from tests.e2e.stack import FLAG, Stack, eventually, gradual
from tests.e2e.test_crashes import WHOLE_STORY, ended, essentials
from turnout import Turnout

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

GATES = [
    {"metric": "success_rate", "min": 0.85},
    {"metric": "quality_score", "min": 0.6},
    {"metric": "response_time", "quantile": 0.95, "max": 2000},
]
GUARDRAILS = [
    {"metric": "error_rate", "versus": "stable", "ratio": 2},
    {"metric": "quality_score", "versus": "stable", "margin": 0.05},
    {"metric": "cost", "versus": "stable", "ratio": 1.5},
]


class Clustered:
    """A thread that reports for 800 users, each with an error rate, a quality and a cost of its own.

    ``worse`` is taken off the quality of the candidate's answers. The draws are seeded; only the timing is not.
    """

    def __init__(self, url: str, worse: float = 0.0) -> None:
        self._client = Turnout(url, cache_dir=None, queue_size=100_000)
        self._worse = worse
        self._random = random.Random(7)
        self._users = [(f"user-{n}", self._random.betavariate(1, 19), self._random.gauss(0.8, 0.1)) for n in range(800)]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        assert self._client.wait_ready(20)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(10)
        self._client.close()

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            for user, failing, quality in self._random.sample(self._users, 60):
                assigned = self._client.resolve(FLAG, user)
                harm = self._worse if assigned.variant == "lightrag" else 0.0
                self._client.report(
                    assigned,
                    ok=self._random.random() >= failing,
                    latency_ms=self._random.lognormvariate(6, 0.5),
                    quality=min(1.0, max(0.0, self._random.gauss(quality - harm, 0.05))),
                    cost=self._random.lognormvariate(-6, 1),
                )


def spec(**more: Any) -> dict[str, Any]:
    """A gradual rollout with absolute gates, and guardrails against stable."""
    return gradual(gates=GATES, guardrails=GUARDRAILS, deadline="90s", **more)


def test_equals_run_through_all_stages(stack: Stack) -> None:
    """Two arms that are the same system: every gate passes, no guardrail fails, whatever the users' habits."""
    with Clustered(stack.url):
        stack.start(spec())
        rollout = eventually(stack.rollout, ended, 150)
    assert rollout["state"] == "completed", stack.decisions()
    assert essentials(stack) == WHOLE_STORY


def test_a_candidate_of_lower_quality_is_taken_back_with_its_evidence(stack: Stack) -> None:
    """Answers 0.2 worse than stable's at the same time: rolled back, and the evidence has the numbers."""
    with Clustered(stack.url, worse=0.2):
        stack.start(spec(hold="10m"))
        rollout = eventually(stack.rollout, ended)
    assert (rollout["state"], rollout["share"]) == ("rolled_back", 0.0)
    with stack.http() as http:
        story = http.get(f"/v1/rollouts/{FLAG}/decisions", params={"evidence": True}).json()
    withdrawn = next(d for d in story["decisions"] if d["kind"] == "withdrawn")
    failed = [check for check in withdrawn["evidence_detail"]["checks"] if check["verdict"] == "fail"]
    assert "quality_score versus stable, margin 0.05" in {check["gate"] for check in failed}
    comparison = next(check for check in failed if "versus" in check["gate"])
    assert comparison["high"] < -0.05
    assert comparison["units"] >= 20
    assert comparison["p_fail"] <= comparison["alpha_fail"]
