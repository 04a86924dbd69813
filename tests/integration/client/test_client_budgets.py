"""Budgets across processes: real ones, the real API, a real database."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.api.harness import FLAG, FLAGS, Api, ScriptedEngine, eventually, running
from tests.integration.client.conftest import Connect
from tests.integration.client.spending import ESTIMATE
from turnout import Policy
from turnout.adapters.sql import open_stores
from turnout.client.http import endpoint
from turnout.client.leases import Leases
from turnout.domain.errors import Unavailable

ROOT = Path(__file__).resolve().parents[3]
DAILY, LEASE = 1_000_000, 20_000
PROCESSES = 20
BUDGETS: dict[str, Any] = {"lightrag": {"daily": 1, "lease": "0.02", "lease_time": "10m", "currency": "EUR"}}


@pytest.fixture
async def api(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Api]:
    """A running API with a flag that has a budget, told to standard output."""
    file = tmp_path / "turnout.db"
    shutil.copy(sqlite_template, file)
    async with (
        open_stores(f"sqlite+aiosqlite:///{file}") as stores,
        running(stores, ScriptedEngine()) as served,
    ):
        await served.apply({FLAG: FLAGS[FLAG] | {"budgets": BUDGETS, "notify": [{"stdout": True}]}})
        yield served


async def budget(api: Api) -> dict[str, Any]:
    """The budget as the API shows it."""
    found: list[dict[str, Any]] = (await api.http.get("/v1/budgets")).json()["budgets"]
    return found[0]


def spent_in(folder: Path) -> int:
    """What all processes have spent."""
    return sum(int(line) for file in folder.iterdir() for line in file.read_text().split())


async def test_many_processes_never_spend_more_than_there_is(api: Api, tmp_path: Path) -> None:
    """Twenty spend as fast as they can and one is killed: the sum stays within the budget, and what was leased and not
    used comes back, that of the killed one too. A call that it was about to pay for counts as spent.
    """
    folder = tmp_path / "spent"
    folder.mkdir()
    command = [sys.executable, "-m", "tests.integration.client.spending", api.url, str(folder), str(PROCESSES)]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    victim = int((await process.stdout.readline()).split()[0])
    mine = folder / "0"
    await eventually(lambda: mine.exists() and bool(mine.read_text()), bool)
    os.kill(victim, signal.SIGKILL)
    assert await process.wait() == 0
    after, spent = await budget(api), spent_in(folder)
    assert spent <= DAILY
    assert after["spent"] + after["leased"] + after["left"] == DAILY
    assert after["leased"] == 0
    assert spent <= after["spent"] <= spent + ESTIMATE
    assert list((tmp_path / "journals").iterdir()) == []
    assert spent > DAILY * 0.8, "all but what came back at the end was spent"
    engine = api.services.engine
    assert isinstance(engine, ScriptedEngine)
    await eventually(lambda: {notice.event for notice in engine.told}, lambda seen: "budget_alert" in seen)
    assert len([notice for notice in engine.told if notice.event == "budget_alert"]) == 1


async def test_without_the_controller_what_is_leased_is_spent(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then calls are refused; once it is back there is money again, and closing returns the rest."""
    metadata = {"budgets": "lightrag"}
    leases = Leases(endpoint(api.url, None, 5.0), lambda _: metadata)
    leases.changed(frozenset({FLAG}))
    assert leases.wallet(FLAG, "perplexity") is None
    assert await asyncio.to_thread(leases.prepare, FLAG, "lightrag", 10.0)
    wallet = leases.wallet(FLAG, "lightrag")
    assert wallet is not None
    monkeypatch.setattr(api.services.budgets, "lease", _away)
    paid = 0
    while wallet.reserve(ESTIMATE) is not None:
        paid += 1
    assert paid == LEASE // ESTIMATE
    monkeypatch.undo()
    await eventually(lambda: wallet.reserve(ESTIMATE), lambda reservation: reservation is not None)
    await asyncio.to_thread(leases.close, 10.0)
    assert (await budget(api))["leased"] == 0
    assert (await budget(api))["spent"] == LEASE + ESTIMATE


async def test_guarded_calls_are_paid_from_the_budget(api: Api, connect: Connect) -> None:
    """From the very first one; when nothing is left stable answers, and says why. What they have cost is settled."""
    guards = {"budgets": {"lightrag": {"daily": "0.05", "lease": "0.05"}}, "serve": "lightrag", "rules": []}
    await api.apply({FLAG: FLAGS[FLAG] | guards})
    client = await asyncio.to_thread(connect, api.url)
    client.guard(FLAG, Policy(estimate="0.02"))
    systems = {"perplexity": _stable, "lightrag": _candidate}
    answers = [await client.call(FLAG, "user-1", systems) for _ in range(6)]
    assert [answer.reason for answer in answers] == ["assigned"] * 4 + ["budget_exceeded"] * 2
    assert answers[-1].value == {"text": "stable"}
    await asyncio.to_thread(client.close)
    spent = await budget(api)
    assert (spent["spent"], spent["leased"]) == (40_000, 0)


async def _stable() -> dict[str, Any]:
    return {"text": "stable"}


async def _candidate() -> dict[str, Any]:
    return {"text": "candidate", "cost": 0.01}


async def _away(*_: Any) -> Any:
    raise Unavailable("the database does not answer")


async def test_what_has_no_budget_is_refused_with_what_to_write(api: Api) -> None:
    """An unknown flag or variant too; nothing is leased."""
    for path, word in (("perplexity", "has no budget"), ("nobody", "has no variant")):
        answer = await api.http.post(f"/v1/budgets/{FLAG}/{path}/lease", json={"id": "a"})
        assert answer.status_code == 404
        assert word in answer.json()["detail"]
    assert (await budget(api))["leased"] == 0
