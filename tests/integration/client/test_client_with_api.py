"""The client and the real API over a real database."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.integration.api.harness import FLAG, FLAGS, Api, eventually, running
from tests.integration.client.conftest import Connect
from tests.integration.stores.builders import a_move, a_plan, a_rollout
from turnout import Policy, Turnout
from turnout.adapters.settings import Token
from turnout.adapters.sql import open_stores
from turnout.client.sender import Sender
from turnout.domain import machine
from turnout.domain.outcomes import Outcome
from turnout.domain.plan import Bounds
from turnout.domain.rollout import RolloutState
from turnout.ports import Stores
from turnout.strategies import compile_plan, parse_spec

USERS = [f"user-{number}" for number in range(200)]


@pytest.fixture
async def stores(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Stores]:
    """The stores of a fresh database."""
    file = tmp_path / "turnout.db"
    shutil.copy(sqlite_template, file)
    async with open_stores(f"sqlite+aiosqlite:///{file}") as opened:
        yield opened


@pytest.fixture
async def api(stores: Stores) -> AsyncIterator[Api]:
    """A running API with a few flags."""
    async with running(stores) as served:
        await served.apply()
        yield served


async def test_everybody_gets_what_ofrep_says(api: Api, connect: Connect) -> None:
    """The client, fed by the snapshot stream, and OFREP give each user the same variant and generation."""
    client = await asyncio.to_thread(connect, api.url)
    assert client.status.state == "ready"
    for user in USERS:
        context = {"context": {"targetingKey": user, "email": f"{user}@example.org"}}
        for flag in ("half", FLAG):
            remote = (await api.http.post(f"/ofrep/v1/evaluate/flags/{flag}", json=context)).json()
            local = client.resolve(flag, user, email=f"{user}@example.org")
            assert (local.variant, local.value, local.reason, local.generation) == (
                remote["variant"],
                remote["value"],
                remote["reason"],
                remote["metadata"]["generation"],
            )


async def test_a_process_takes_no_part_in_a_test(stores: Stores, connect: Connect) -> None:
    """Where its environment says so its users get stable, alike in the client and over OFREP; others go on."""
    environ, now = {"LIGHTRAG_AB_TEST_ENABLED": "false"}, datetime.now(UTC)
    test = {"kind": "ab_test", "metrics": ["success_rate"], "minimum_sample_size": 100}
    plan = compile_plan(parse_spec({"flag": FLAG, "candidate": "lightrag", "strategy": test}), "perplexity")
    async with running(stores, environ=environ) as served:
        await served.apply({FLAG: FLAGS[FLAG] | {"env_prefix": "LIGHTRAG_"}})
        await stores.rollouts.open(a_rollout(flag=FLAG, candidate="lightrag", stable="perplexity", plan=plan))
        began = machine.begin(plan, RolloutState(rollout_id="r1", started_by="ann", generation=1), now)
        await stores.rollouts.commit(began.decisions[0])
        without = await asyncio.to_thread(connect, served.url, environ=environ)
        taking_part = await asyncio.to_thread(connect, served.url, environ={})
        await eventually(lambda: without.resolve(FLAG, "u").metadata.get("test"), bool)
        for user in USERS[:50]:
            context = {"context": {"targetingKey": user}}
            remote = (await served.http.post(f"/ofrep/v1/evaluate/flags/{FLAG}", json=context)).json()
            local = without.resolve(FLAG, user)
            assert (local.variant, local.decided_by) == ("perplexity", "environment")
            assert (remote["variant"], remote["metadata"]["decidedBy"]) == ("perplexity", "environment")
            assert remote["metadata"] == local.metadata
        await eventually(lambda: taking_part.resolve(FLAG, "u").decided_by, lambda by: by == "traffic")
        assert {taking_part.resolve(FLAG, user).variant for user in USERS} == {"lightrag", "perplexity"}


async def test_a_change_reaches_the_client(api: Api, connect: Connect) -> None:
    """What is applied is pushed, and the listener hears which flag changed."""
    client = await asyncio.to_thread(connect, api.url)
    heard: list[frozenset[str]] = []
    client.on_change(heard.append)
    await api.apply({**FLAGS, "half": {**FLAGS["half"], "split": {"b": 100, "a": 0}}})
    await eventually(lambda: {client.resolve("half", user).variant for user in USERS}, lambda seen: seen == {"b"})
    assert heard == [{"half"}]


async def test_outcomes_are_kept(api: Api, connect: Connect) -> None:
    """Reported outcomes are in the store with their numbers; a repeated id counts once."""
    client = await asyncio.to_thread(connect, api.url)
    for user in USERS:
        assert client.report(client.resolve("half", user), ok=True, latency_ms=10, id=f"of-{user}")
        assert client.report(client.resolve("half", user), ok=False, id=f"of-{user}")
    assert await asyncio.to_thread(client.flush, 20)
    assert (client.status.sent, client.status.dropped) == (400, 0)
    repeated = {"id": "of-user-1", "flag": "half", "variant": "a", "unit": "user-1", "ok": True}
    receipt = (await api.http.post("/v1/outcomes", json={"outcomes": [repeated]})).json()
    assert receipt == {"accepted": 0, "duplicates": 1, "unknown": 0, "rejected": {}}


async def test_fallbacks_count_in_no_comparison(api: Api, connect: Connect) -> None:
    """Stable is compared by the users drawn for it, not by those whom the candidate has failed."""
    client = await asyncio.to_thread(connect, api.url)
    client.guard("half", Policy(errors=None))

    async def good() -> str:
        return "fine"

    async def bad() -> str:
        raise ConnectionError

    answers = [await client.call("half", user, {"a": good, "b": bad}) for user in USERS]
    drawn = {variant: sum(a.assignment.variant == variant for a in answers) for variant in ("a", "b")}
    assert drawn["b"] == sum(a.reason == "error_fallback" for a in answers) > 0
    assert await asyncio.to_thread(client.flush, 20)
    assert client.status.sent == 200 + drawn["b"]
    stats = await api.services.outcomes.stats("half", answers[0].assignment.generation or 0, "error_rate")
    assert {arm: (of.units, of.hits) for arm, of in stats.items()} == {
        "a": (drawn["a"], 0),
        "b": (drawn["b"], drawn["b"]),
    }


async def test_what_the_api_refuses_or_does_not_know_is_counted(api: Api, connect: Connect) -> None:
    """Of a batch with bad entries the good ones are kept, the bad ones are counted by what is wrong with them."""
    client = await asyncio.to_thread(connect, api.url)
    sender: Sender = client._sender
    for number in range(300):
        unit = "" if number % 3 == 0 else f"user-{number}"
        bad: dict[str, Any] = {"id": f"id-{number}", "flag": "half", "variant": "a", "unit": unit}
        # What the door of the client would refuse, as a client of another version might not.
        sender.put(Outcome.model_construct(**bad, ok=True))
    assert client.report("half", variant="gone", unit="user-1", ok=True)
    assert await asyncio.to_thread(client.flush, 20)
    assert client.status.drops == {"refused": 100, "unknown": 1}
    assert client.status.sent == 200


async def test_values_out_of_bounds_are_told(api: Api, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """The receipt, the client's status (and its log, once) and the API's metrics count what a spec's bounds refuse."""
    await api.apply({"answers": {"variants": {"old": 1, "new": 2}, "stable": "old"}})
    plan = a_plan("answers").model_copy(update={"bounds": {"quality_score": Bounds(min=0, max=1)}})
    rollouts = api.services.rollouts
    await rollouts.open(a_rollout(flag="answers", plan=plan))
    await rollouts.commit(a_move(1, 2, flag="answers"))
    client = await asyncio.to_thread(connect, api.url)
    await eventually(lambda: client.resolve("answers", "user-1").generation, lambda generation: generation == 2)
    for user, quality in enumerate((0.5, 1.5, 85)):
        assert client.report(client.resolve("answers", f"user-{user}"), ok=True, quality=quality)
        assert await asyncio.to_thread(client.flush, 20)
    assert (client.status.sent, client.status.dropped, client.status.rejected) == (3, 0, {"quality_score": 2})
    assert sum("quality_score" in record.message for record in caplog.records) == 1
    outcome = {"id": "of-hand", "flag": "answers", "variant": "old", "unit": "u", "quality": -1}
    receipt = (await api.http.post("/v1/outcomes", json={"outcomes": [outcome]})).json()
    assert receipt == {"accepted": 1, "duplicates": 0, "unknown": 0, "rejected": {"quality_score": 1}}
    assert 'turnout_rejected_values_total{metric="quality_score"} 3.0' in (await api.http.get("/metrics")).text


async def test_a_token_without_the_role_is_told(sqlite_template: Path, tmp_path: Path, connect: Connect) -> None:
    """A client with an unknown token says that it is refused; one with a service's token works."""
    file = tmp_path / "turnout.db"
    shutil.copy(sqlite_template, file)
    tokens = [Token(name="bot", roles=("service",), secret="a-long-secret-of-the-service")]
    async with open_stores(f"sqlite+aiosqlite:///{file}") as stores, running(stores, tokens=tokens) as api:
        refused = await asyncio.to_thread(connect, api.url, token="another", wait=0)
        await eventually(lambda: refused.status.denied, bool)
        client: Turnout = await asyncio.to_thread(connect, api.url, token="a-long-secret-of-the-service")
        assert client.status.state == "ready"


async def test_the_api_stops_while_clients_listen(sqlite_template: Path, tmp_path: Path, connect: Connect) -> None:
    """A client's stream does not keep the API from stopping, and the client goes on with the last good flags."""
    file = tmp_path / "turnout.db"
    shutil.copy(sqlite_template, file)
    async with open_stores(f"sqlite+aiosqlite:///{file}") as stores:
        async with running(stores) as api:
            await api.apply()
            client = await asyncio.to_thread(connect, api.url)
        await eventually(lambda: client.status.state, lambda state: state == "stale")
    assert {client.resolve("half", user).variant for user in USERS} == {"a", "b"}
