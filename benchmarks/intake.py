"""How many outcomes and evaluations one API process takes."""

from __future__ import annotations

import time
from uuid import uuid4

import httpx

from benchmarks import storing
from benchmarks.report import Section, quantile
from benchmarks.stack import FLAG, FLAGS, Addresses

BATCH = 500
BATCHES = 40
EVALUATIONS = 2000


def measure(at: Addresses) -> Section:
    """Outcomes in batches, then single evaluations, one request at a time."""
    with httpx.Client(base_url=at.url, timeout=60, trust_env=False) as http:
        http.post("/v1/flags", json=FLAGS).raise_for_status()
        outcomes = [_timed(http, "/v1/outcomes", {"outcomes": _batch(n)}) for n in range(BATCHES)]
        evaluations = [_timed(http, f"/ofrep/v1/evaluate/flags/{FLAG}", _context(n)) for n in range(EVALUATIONS)]
    return Section(
        "Intake and evaluation",
        f"Over HTTP, on one connection, one request at a time: {BATCHES} batches of {BATCH} outcomes (five metrics "
        f"each, 2,000 users, acknowledged when committed to SQLite), then {EVALUATIONS:,} OFREP evaluations. "
        + storing.METHOD,
        ("request", "per second", "p50", "p99"),
        [
            _row(f"outcomes, {BATCH} a batch", outcomes, BATCH),
            _row("OFREP evaluation", evaluations, 1),
            *storing.rows(),
        ],
    )


def _batch(number: int) -> list[dict[str, object]]:
    return [
        {
            "id": uuid4().hex,
            "flag": FLAG,
            "variant": "old",
            "unit": f"user-{(number * BATCH + i) % 2000}",
            "ok": i % 20 != 0,
            "latency_ms": 100.0 + i,
            "quality": 0.8,
            "satisfaction": 4.0,
            "cost": 0.001,
            "decided_by": "traffic",
        }
        for i in range(BATCH)
    ]


def _context(number: int) -> dict[str, object]:
    return {"context": {"targetingKey": f"user-{number}", "country": "DE", "plan": "free"}}


def _timed(http: httpx.Client, path: str, body: dict[str, object]) -> float:
    began = time.perf_counter()
    http.post(path, json=body).raise_for_status()
    return time.perf_counter() - began


def _row(name: str, seconds: list[float], each: int) -> tuple[str, ...]:
    rate = each * len(seconds) / sum(seconds)
    return (name, f"{rate:,.0f}", f"{quantile(seconds, 0.5) * 1000:.1f} ms", f"{quantile(seconds, 0.99) * 1000:.1f} ms")
