"""What one evaluation costs inside a service."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

from benchmarks.report import Section
from turnout.domain.flags import Flag, Traffic
from turnout.domain.snapshot import PublishedFlag, document
from turnout.resolver import Snapshot, compile_document

USERS = [f"user-{i}" for i in range(10_000)]
ROUNDS = 15


def measure() -> Section:
    """Nanoseconds of thread CPU per resolution, for a split and for three rules in front of it."""
    snapshot = _snapshot()
    random.Random(1).shuffle(USERS)
    attributes: dict[str, object] = {"country": "FR", "plan": "free", "email": "someone@mail.example"}
    cases: list[tuple[str, Callable[[], None]]] = [
        ("25 % split", lambda: _split(snapshot)),
        ("three rules that do not match, then a 25 % split", lambda: _rules(snapshot, attributes)),
    ]
    rows: list[tuple[str, str, str]] = []
    for name, run in cases:
        taken = [_cpu_ns(run) for _ in range(ROUNDS)]
        rows.append((name, f"{statistics.median(taken):.0f}", f"{min(taken):.0f}–{max(taken):.0f}"))
    return Section(
        "Resolving in process",
        f"`Snapshot.resolve` on {len(snapshot.keys)} flags, {len(USERS):,} users in shuffled order, thread CPU per "
        f"call with the loop included; {ROUNDS} rounds.",
        ("flag", "median ns", "range ns"),
        rows,
    )


def _snapshot() -> Snapshot:
    base = {"variants": {"on": True, "off": False}, "stable": "off"}
    split = Traffic(stable="off", weights={"on": 25_000, "off": 75_000})
    rules = [
        {"name": "countries", "if": {"in": [{"var": "country"}, ["DE", "AT", "CH"]]}, "serve": "on"},
        {"name": "beta", "if": {"===": [{"var": "plan"}, "beta"]}, "serve": "on"},
        {"name": "staff", "if": {"ends_with": [{"var": "email"}, "@example.org"]}, "serve": "on"},
    ]
    flags = [Flag.model_validate(base | {"key": f"filler-{i}"}) for i in range(98)]
    flags += [
        Flag.model_validate(base | {"key": "split"}),
        Flag.model_validate(base | {"key": "rules", "rules": rules}),
    ]
    published = [PublishedFlag(definition=flag, traffic=split) for flag in flags]
    return compile_document(document(published, 1, "bench"))


def _split(snapshot: Snapshot) -> None:
    resolve = snapshot.resolve
    for user in USERS:
        resolve("split", user, {})


def _rules(snapshot: Snapshot, attributes: dict[str, object]) -> None:
    resolve = snapshot.resolve
    for user in USERS:
        resolve("rules", user, attributes)


def _cpu_ns(run: Callable[[], None]) -> float:
    began = time.thread_time_ns()
    run()
    return (time.thread_time_ns() - began) / len(USERS)
