"""From an abort to 0 % at a connected client."""

from __future__ import annotations

import time

import httpx

from benchmarks.report import Section, quantile
from benchmarks.stack import FLAG, FLAGS, HALF, Addresses
from turnout import Turnout

ROUNDS = 60


def measure(at: Addresses) -> Section:
    """Abort a 50 % rollout again and again, watching one user who has the candidate."""
    at_client: list[float] = []
    answered: list[float] = []
    with httpx.Client(base_url=at.url, timeout=30, trust_env=False) as http, Turnout(at.url, cache_dir=None) as client:
        http.post("/v1/flags", json=FLAGS).raise_for_status()
        for _ in range(ROUNDS):
            http.post("/v1/rollouts", json={"spec": HALF}).raise_for_status()
            user = _user_with_candidate(client)
            seen, done = _abort(http, client, user)
            at_client.append(seen)
            answered.append(done)
    rows = [_row("a connected client serves stable", at_client), _row("the command answers `aborted`", answered)]
    return Section(
        "Abort",
        f"{ROUNDS} rollouts at 50 %, each aborted over HTTP. Milliseconds from sending the command until a client that "
        "is connected by the snapshot stream gives stable to a user who had the candidate (polled without a pause in "
        "another thread), and until the command's answer, which waits for the snapshot feed.",
        ("until", "p50", "p90", "p99", "max"),
        rows,
    )


def _user_with_candidate(client: Turnout) -> str:
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up:
        for number in range(50):
            if client.resolve(FLAG, f"user-{number}").variant == "new":
                return f"user-{number}"
        time.sleep(0.002)
    raise TimeoutError("the rollout has not reached the client within 10 s")


def _abort(http: httpx.Client, client: Turnout, user: str) -> tuple[float, float]:
    from threading import Thread

    seen: list[float] = []

    def watch() -> None:
        give_up = time.monotonic() + 20
        while client.resolve(FLAG, user).variant != "old" and time.monotonic() < give_up:
            time.sleep(0.0005)
        seen.append(time.perf_counter())

    watcher = Thread(target=watch)
    began = time.perf_counter()
    watcher.start()
    http.post(f"/v1/rollouts/{FLAG}/abort", json={"reason": "benchmark"}).raise_for_status()
    done = time.perf_counter()
    watcher.join()
    return (seen[0] - began) * 1000, (done - began) * 1000


def _row(name: str, values: list[float]) -> tuple[str, ...]:
    return (name, *(f"{quantile(values, share):.0f} ms" for share in (0.5, 0.9, 0.99, 1.0)))
