"""Budgets across processes: real ones, the real API, a real database."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.api.harness import FLAG, FLAGS, Api, ScriptedEngine, eventually, running
from tests.integration.client.conftest import Connect
from tests.integration.client.controller import free_port
from tests.integration.client.spending import ESTIMATE
from turnout import Policy, Turnout
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


@pytest.mark.parametrize("environ", [{}, {"LIGHTRAG_DAILY_BUDGET_USD": "1"}], ids=["of the flag", "of the environment"])
async def test_many_processes_never_spend_more_than_there_is(api: Api, tmp_path: Path, environ: dict[str, str]) -> None:
    """Twenty spend as fast as they can and one is killed: the sum stays within the budget, and what was leased and not
    used comes back, that of the killed one too. A call that it was about to pay for counts as spent.
    """
    if environ:
        await api.apply({FLAG: FLAGS[FLAG] | {"notify": [{"stdout": True}]}})
    folder = tmp_path / "spent"
    folder.mkdir()
    command = [sys.executable, "-m", "tests.integration.client.spending", api.url, str(folder), str(PROCESSES)]
    environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", **environ}
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environ, stdout=asyncio.subprocess.PIPE)
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


async def test_services_share_the_budget_of_their_environment(
    api: Api, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that are told of ten cents never spend more together, and people are warned once; without the controller what
    is leased is spent, and then stable answers.
    """
    await api.apply(
        {
            FLAG: FLAGS[FLAG]
            | {"env_prefix": "LIGHTRAG_", "serve": "lightrag", "rules": [], "notify": [{"stdout": True}]}
        }
    )
    environ = {"LIGHTRAG_DAILY_BUDGET_USD": "0.10", "LIGHTRAG_BUDGET_ALERT_THRESHOLD": "0.3"}
    clients = [
        await asyncio.to_thread(connect, api.url, environ=environ, cache_dir=tmp_path / name) for name in ("a", "b")
    ]
    systems, paid = {"perplexity": _stable, "lightrag": _candidate}, 0
    for client in clients:
        client.guard(FLAG, Policy(estimate="0.01"))

    async def called(client: Turnout) -> str:
        return (await client.call(FLAG, "user-1", systems)).reason

    for turn in range(4):
        client = clients[turn % 2]
        await eventually(partial(called, client), lambda reason: reason == "assigned")
        paid += 1
    monkeypatch.setattr(api.services.budgets, "lease", _away)
    for client in clients:
        while await called(client) == "assigned":
            paid += 1
        assert await called(client) == "budget_exceeded"
    monkeypatch.undo()
    await asyncio.gather(*(asyncio.to_thread(client.close) for client in clients))
    assert 4 <= paid <= 10
    after = await budget(api)
    assert (after["spent"], after["leased"], after["source"]) == (paid * 10_000, 0, "environment")
    engine = api.services.engine
    assert isinstance(engine, ScriptedEngine)
    await eventually(lambda: len(api.services.telling), lambda waiting: waiting == 0)
    assert [notice.event for notice in engine.told].count("budget_alert") == 1


async def test_a_budget_of_nothing_pays_nothing(api: Api, connect: Connect, tmp_path: Path) -> None:
    """Also where the controller has not been heard, for the flags of a file."""
    flags = {FLAG: FLAGS[FLAG] | {"env_prefix": "LIGHTRAG_", "serve": "lightrag", "rules": []}}
    await api.apply(flags)
    systems = {"perplexity": _stable, "lightrag": _candidate}
    environ = {"LIGHTRAG_DAILY_BUDGET_USD": "0"}
    file = tmp_path / "flags.json"
    file.write_text(json.dumps({"flags": flags}))
    alone = {"wait": 0, "flags_file": file, "cache_dir": None}
    online = await asyncio.to_thread(connect, api.url, environ=environ)
    offline = await asyncio.to_thread(connect, f"http://127.0.0.1:{free_port()}", environ=environ, **alone)
    for client in (online, offline):
        assert (await client.call(FLAG, "user-1", systems)).reason == "budget_exceeded"


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
