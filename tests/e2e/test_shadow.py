"""A shadow from the spec to its end: real services ask the candidate beside stable, and no user notices."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any

import pytest

from tests.e2e.stack import FLAG, FLAGS, Stack, eventually
from tests.e2e.test_crashes import ended
from turnout import Served, Turnout
from turnout.domain.bucketing import bucket

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SPEC: dict[str, Any] = {
    "flag": FLAG,
    "candidate": "lightrag",
    "strategy": {"kind": "shadow", "sample": "50%", "duration": "3s", "comparator": "token_overlap"},
    "gates": [
        {"metric": "agreement", "min": 0.6},
        {"metric": "quality_score", "versus": "stable", "margin": 0.2},
        {"metric": "response_time", "quantile": 0.95, "max": 5000},
    ],
    "guardrails": [{"metric": "error_rate", "max": 0.3}],
    "check_every": "1s",
}


class Service:
    """Four threads that serve 200 users; ``candidate`` answers in shadow and may be exchanged at any time."""

    def __init__(self, url: str, candidate: Callable[[str], str]) -> None:
        self.client = Turnout(url, cache_dir=None, queue_size=100_000, shadow_places=4, shadow_timeout=0.5)
        self.candidate = candidate
        self.served = Counter[str | None]()
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(4)

    def __enter__(self) -> Service:
        # The feed passes the flag on a moment after it was applied.
        eventually(lambda: self.client.resolve(FLAG, "user-0").variant, bool)
        for _ in range(4):
            self._pool.submit(self._serve)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()
        self.client.close()

    def _serve(self) -> None:
        users = cycle(range(200))
        while not self._stop.wait(0.02):
            self._request(f"user-{next(users)}")

    def _request(self, user: str) -> None:
        assigned = self.client.resolve(FLAG, user)
        self.served[assigned.variant] += 1
        answer = f"the answer to {user} is 42"
        self.client.report(assigned, ok=True, latency_ms=5, quality=0.9)
        self.client.shadow(
            assigned,
            {"lightrag": lambda: self.candidate(answer)},
            Served(answer, latency_ms=5, quality=0.9),
            score=lambda _: 0.85,
        )


def rephrased(answer: str) -> str:
    """An answer with nearly the same words."""
    return f"Well: {answer.upper()}"


def fails(_: str) -> str:
    """No answer."""
    raise RuntimeError("out of memory")


def checks_of(stack: Stack, kind: str) -> dict[str, dict[str, Any]]:
    """The checks behind the last decision of ``kind``, by gate."""
    with stack.http() as http:
        story = http.get(f"/v1/rollouts/{FLAG}/decisions", params={"evidence": True}).json()["decisions"]
    found = [d for d in story if d["kind"] == kind][-1]
    return {check["gate"]: check for check in found["evidence_detail"]["checks"]}


def test_a_candidate_is_tried_on_real_requests_and_nobody_notices(stack: Stack) -> None:
    """One that fails is ended by its guardrail; one that agrees passes its gates; all the time stable serves all."""
    with stack.http() as http:
        http.post("/v1/flags", json=FLAGS).raise_for_status()
    with Service(stack.url, fails) as service:
        stack.start(SPEC | {"strategy": SPEC["strategy"] | {"duration": "10m"}})
        first = eventually(stack.rollout, ended)
        assert (first["state"], first["share"]) == ("rolled_back", 0)
        assert checks_of(stack, "withdrawn")["error_rate ≤ 0.3"]["value"] == 1
        with stack.http() as http:
            assert "shadow" not in http.get("/v1/snapshot").json()["flags"][FLAG]["metadata"]
        service.candidate = rephrased
        stack.start(SPEC)
        second = eventually(stack.rollout, lambda r: r.get("id") != first["id"] and ended(r))
        lost = service.client.status.drops
    assert second["state"] == "completed", stack.decisions()
    checks = checks_of(stack, "returned")
    agreed = checks["agreement ≥ 0.6"]
    assert agreed["value"] == pytest.approx(2 * 7 / 15)
    sample = sum(bucket(f"{FLAG}:shadow:", f"user-{number}") < 50_000 for number in range(200))
    assert 20 <= agreed["units"] <= sample < 200
    assert checks["quality_score versus stable, margin 0.2"]["value"] == pytest.approx(-0.05)
    assert checks["error_rate ≤ 0.3"]["value"] == 0
    assert set(service.served) == {"perplexity"}
    assert lost == {}
