"""How many outcomes the store alone takes, without HTTP around it."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from turnout.adapters.sql import open_stores
from turnout.adapters.sql.migrate import migrate
from turnout.domain.flags import Flag
from turnout.domain.outcomes import Outcome
from turnout.domain.plan import Gate, Plan, Stage
from turnout.domain.rollout import Decision, State
from turnout.ports.stores import RolloutRecord, Stores

FLAG = "bench"
SIZES = (500, 5000)
COUNT = 50_000
UNITS = 2000
START = datetime(2026, 3, 2, 9, tzinfo=UTC)

METHOD = (
    f"The store alone: {COUNT:,} outcomes with five metrics each, of {UNITS:,} users on two arms, straight into a "
    "fresh SQLite store after 5,000 to warm up, under a plan with two limits on the p95 of latency (one fixed, one "
    "against stable), every batch committed with `synchronous=FULL`; outcomes per second of the process's CPU time "
    "(user and system, all threads) and, in brackets, of wall time."
)


def rows() -> list[tuple[str, ...]]:
    """Outcomes per second of CPU time and of wall time, for every size of batch."""
    found = [(size, *asyncio.run(_measured(size))) for size in SIZES]
    name = "store alone: outcomes/s on one core (SQLite)"
    return [(f"{name}, {size:,} a batch", f"{cpu:,.0f} (wall: {wall:,.0f})", "", "") for size, cpu, wall in found]


async def _measured(size: int) -> tuple[float, float]:
    """Outcomes per second of CPU time and of wall time."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{Path(folder) / 'turnout.db'}"
        await migrate(url)
        async with open_stores(url) as stores:
            await _prepare(stores)
            outcomes = _outcomes(5000 + COUNT)
            await _record(stores, outcomes[:5000], 1000)
            cpu, wall = time.process_time(), time.perf_counter()
            await _record(stores, outcomes[5000:], size)
            return COUNT / (time.process_time() - cpu), COUNT / (time.perf_counter() - wall)


async def _record(stores: Stores, outcomes: list[Outcome], size: int) -> None:
    for start in range(0, len(outcomes), size):
        await stores.outcomes.record(outcomes[start : start + size], outcomes[start].at or START)


async def _prepare(stores: Stores) -> None:
    """A rollout in its first stage, at 50 %, with gates that have limits on a quantile."""
    flag = Flag.model_validate({"key": FLAG, "variants": {"old": {}, "new": {}}, "stable": "old"})
    await stores.flags.apply([flag], "bench", START)
    gates = (
        Gate(metric="response_time", quantile=0.95, max=5000),
        Gate(metric="response_time", quantile=0.95, versus="stable", ratio=1.1),
    )
    hour = timedelta(hours=1)
    stage = Stage(
        name="50 %", weights={"new": 50_000, "old": 50_000}, hold=hour, deadline=hour, check_every=hour, gates=gates
    )
    plan = Plan(flag=FLAG, stable="old", candidate="new", strategy="gradual", stages=(stage,))
    fields = {"strategy": "gradual", "stage": 0, "share": 0.0, "generation": 0, "started_by": "bench"}
    record = RolloutRecord.model_validate(
        {"id": "r", "flag": FLAG, "candidate": "new", "stable": "old", "state": State.SCHEDULED}
        | fields
        | {"started_at": START, "plan": plan}
    )
    generation = (await stores.rollouts.open(record)).generation + 1
    decision = {"rollout_id": "r", "flag": FLAG, "seq": 1, "kind": "started", "at": START, "state": State.RUNNING}
    move = {"stage": 0, "share": 0.5, "text": "", "weights": stage.weights, "generation": generation}
    await stores.rollouts.commit(Decision.model_validate(decision | move))


def _outcomes(count: int) -> list[Outcome]:
    """Outcomes with five metrics each, a hundred a second."""
    draw = random.Random(7)
    return [
        Outcome(
            id=f"{draw.getrandbits(128):032x}",
            flag=FLAG,
            variant=("old", "new")[unit % 2],
            unit=f"user-{unit}",
            ok=draw.random() > 0.02,
            latency_ms=draw.lognormvariate(6, 0.8),
            quality=round(draw.betavariate(8, 2), 3),
            satisfaction=draw.randint(1, 5),
            cost=draw.lognormvariate(-6, 1.2),
            generation=2,
            at=START + timedelta(milliseconds=10 * i),
            decided_by="traffic",
        )
        for i, unit in enumerate(draw.choices(range(UNITS), k=count))
    ]
