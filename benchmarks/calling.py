"""What a guarded call costs a service, over calling the system itself."""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.report import Section
from turnout import Policy, Turnout
from turnout.client.disk import Cache, cache_file
from turnout.domain.flags import Flag, Traffic
from turnout.domain.snapshot import PublishedFlag, document

CALLS = 2_000
ROUNDS = 15
TOGETHER = 100
NOWHERE = "http://127.0.0.1:9"

Taken = tuple[float, float]
"""Microseconds a call: of wall clock, and of CPU time of the whole process."""


def measure() -> Section:
    """Microseconds that the guard adds to a call, for coroutine functions and plain ones."""
    cases: list[tuple[str, Callable[[Turnout], Taken]]] = [
        ("coroutine functions, one call after the other", lambda client: asyncio.run(_awaited(client, 1))),
        (f"coroutine functions, {TOGETHER} calls at a time", lambda client: asyncio.run(_awaited(client, TOGETHER))),
        ("plain functions without a time limit", lambda client: _called(client, "unlimited")),
        ("plain functions with a time limit (on another thread)", lambda client: _called(client, "limited")),
    ]
    rows: list[tuple[str, ...]] = []
    with _client() as client:
        for name, run in cases:
            run(client)
            wall, cpu = zip(*(run(client) for _ in range(ROUNDS)), strict=True)
            rows.append((name, _us(_median(wall)), f"{_us(min(wall))}–{_us(max(wall))}", _us(_median(cpu))))
    return Section(
        "Guarded calls",
        f"`Turnout.call` over the bare call of a system that answers at once: resolving, breakers, time limit, and an "
        f"outcome in the queue. {ROUNDS} rounds, each of {CALLS:,} bare calls and then {CALLS:,} guarded ones; the "
        "difference per call. CPU time is that of all threads. The outcomes stay in the queue.",
        ("call", "median µs", "range µs", "median µs of CPU"),
        rows,
    )


def _plain(question: str) -> str:
    return question


async def _coroutine(question: str) -> str:
    return question


def _called(client: Turnout, flag: str) -> Taken:
    systems = {"old": _plain, "new": _plain}

    def bare() -> None:
        for _ in range(CALLS):
            systems["new"](question="?")

    def guarded() -> None:
        for number in range(CALLS):
            client.call(flag, USERS[number], systems, question="?")

    return _difference(_clocked(bare), _clocked(guarded))


async def _awaited(client: Turnout, together: int) -> Taken:
    systems = {"old": _coroutine, "new": _coroutine}

    async def many(one: Callable[[int], Awaitable[object]], first: int) -> None:
        for number in range(first, CALLS, together):
            await one(number)

    async def all_of(one: Callable[[int], Awaitable[object]]) -> None:
        await asyncio.gather(*(many(one, first) for first in range(together)))

    async def clocked(one: Callable[[int], Awaitable[object]]) -> Taken:
        wall, cpu = time.perf_counter(), time.process_time()
        await all_of(one)
        return _per_call(wall, cpu)

    bare = await clocked(lambda _: systems["new"](question="?"))
    guarded = await clocked(lambda number: client.call("limited", USERS[number], systems, question="?"))
    return _difference(bare, guarded)


USERS = [f"user-{number}" for number in range(CALLS)]


@contextmanager
def _client() -> Generator[Turnout, None, None]:
    """A client without a controller, with flags from disk."""
    traffic = Traffic(stable="old", weights={"new": 50_000, "old": 50_000}, generation=3)
    variants = {"old": 1, "new": 2}
    flags = [
        Flag.model_validate({"key": key, "variants": variants, "stable": "old"}) for key in ("limited", "unlimited")
    ]
    published = [PublishedFlag(definition=flag, traffic=traffic) for flag in flags]
    with tempfile.TemporaryDirectory() as folder:
        Cache(cache_file(Path(folder), NOWHERE)).save(json.dumps(document(published, 1, "bench")).encode())
        client = Turnout(NOWHERE, cache_dir=folder)
        client.guard("unlimited", Policy(timeout=None))
        try:
            yield client
        finally:
            client.close(0)


def _clocked(run: Callable[[], None]) -> Taken:
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return _per_call(wall, cpu)


def _per_call(wall: float, cpu: float) -> Taken:
    return (time.perf_counter() - wall) / CALLS * 1e6, (time.process_time() - cpu) / CALLS * 1e6


def _difference(bare: Taken, guarded: Taken) -> Taken:
    return guarded[0] - bare[0], guarded[1] - bare[1]


def _median(values: tuple[float, ...]) -> float:
    return statistics.median(values)


def _us(value: float) -> str:
    return f"{value:.1f}"
