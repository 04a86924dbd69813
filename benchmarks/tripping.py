"""From the first process's trip to the last client's block."""

from __future__ import annotations

import time
from threading import Thread

import httpx

from benchmarks.report import Section, quantile
from benchmarks.stack import FLAG, FLAGS, Addresses
from turnout import Turnout
from turnout.client.http import endpoint
from turnout.client.reports import Reports
from turnout.guards.breaker import Breaker
from turnout.guards.meters import ErrorMeter

ROUNDS = 40
CLIENTS = 20
PATIENCE = 20.0


def measure(at: Addresses) -> Section:
    """Trip again and again, watching clients that are connected by the snapshot stream."""
    split = {"new": 50, "old": 50}
    # Without a calm time every round begins anew: nothing is doubled.
    policy = {"recovery_timeout": "10m", "calm": "0s"}
    flag = FLAGS["flags"][FLAG] | {"split": split, "breakers": {"new": policy}}
    values: list[float] = []
    with httpx.Client(base_url=at.url, timeout=30, trust_env=False) as http:
        http.post("/v1/flags", json={"flags": {FLAG: flag}}).raise_for_status()
        reports = Reports(endpoint(at.url, None, 5.0))
        clients = [Turnout(at.url, cache_dir=None) for _ in range(CLIENTS)]
        try:
            user = _user(clients[0])
            for _ in range(ROUNDS):
                _wait(clients, user, "new")
                values.append(_trip(reports, clients, user))
                http.post(f"/v1/breakers/{FLAG}/new/close", json={"reason": "benchmark"}).raise_for_status()
        finally:
            reports.close(5.0)
            for client in clients:
                client.close()
    row = ("the last client serves stable", *(f"{quantile(values, share):.0f} ms" for share in (0.5, 0.9, 0.99, 1.0)))
    return Section(
        "Shared breaker",
        f"{ROUNDS} times, a breaker trips in one process and blocks a variant for {CLIENTS} clients in it, each with a "
        "snapshot stream of its own. Milliseconds from the failed call that trips it until the last of them gives "
        "stable to a user who had the variant (polled every millisecond): report, workflow, publication, feed.",
        ("until", "p50", "p90", "p99", "max"),
        [row],
    )


def _trip(reports: Reports, clients: list[Turnout], user: str) -> float:
    breaker = Breaker(ErrorMeter(1), on_change=lambda change: reports.changed(FLAG, "new", "errors", change))
    permit = breaker.enter()
    assert permit is not None
    seen: list[float] = []

    def watch() -> None:
        _wait(clients, user, "old")
        seen.append(time.perf_counter())

    watcher = Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    breaker.leave(permit, 0)
    watcher.join()
    return (seen[0] - began) * 1000


def _user(client: Turnout) -> str:
    client.wait_ready(PATIENCE)
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        for number in range(50):
            if client.resolve(FLAG, f"user-{number}").variant == "new":
                return f"user-{number}"
        time.sleep(0.01)
    raise TimeoutError("nobody has the variant")


def _wait(clients: list[Turnout], user: str, variant: str) -> None:
    give_up = time.monotonic() + PATIENCE
    while any(client.resolve(FLAG, user).variant != variant for client in clients):
        if time.monotonic() > give_up:
            raise TimeoutError(f"not all clients serve {variant} within {PATIENCE:.0f} s")
        time.sleep(0.001)
