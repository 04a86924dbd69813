"""Rollouts over HTTP where the engine's part is scripted: what the API itself decides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from api.engine import Pending, Reply
from api.services import utc_now
from tests.integration.api.harness import FLAG, SPEC, Api, ScriptedEngine, data, open_rollout, running
from turnout.adapters.settings import Token
from turnout.domain.errors import CommandRefused, Conflict, NotFound, RolloutOpen, Unavailable
from turnout.domain.rollout import Decision, State
from turnout.domain.verdicts import Check, Verdict
from turnout.ports import Evidence, Stores

ROLLOUTS = f"/v1/rollouts/{FLAG}"


@pytest.fixture
def engine() -> ScriptedEngine:
    """The engine of the test."""
    return ScriptedEngine()


@pytest.fixture
async def api(stores: Stores, engine: ScriptedEngine) -> AsyncIterator[Api]:
    """A running API with flags on the scripted engine, which waits but a moment for workers."""
    async with running(stores, engine, patience=0.1) as served:
        await served.apply()
        yield served


def _decision(seq: int, **more: Any) -> Decision:
    fields: dict[str, Any] = {
        "rollout_id": "run-1",
        "flag": FLAG,
        "seq": seq,
        "kind": "started",
        "at": utc_now(),
        "state": State.RUNNING,
        "stage": 0,
        "share": 0.1,
        "text": f"decision {seq}",
        "generation": 1,
    }
    return Decision.model_validate(fields | more)


async def _audited(api: Api) -> list[tuple[str, str, str]]:
    entries = (await api.http.get("/v1/audit", params={"subject": FLAG})).json()["entries"]
    return [(e["action"], e["outcome"], e["detail"]) for e in entries if e["action"].startswith("rollout.")]


async def test_a_command_that_was_acted_on_is_answered_and_audited(api: Api, engine: ScriptedEngine) -> None:
    """200 with the state it led to; the engine gets id, actor and reason; the audit log has it as done."""
    await open_rollout(api)
    body = {"reason": "lunch", "id": "c-1"}
    answer = await api.http.post(f"{ROLLOUTS}/pause", json=body, headers={"X-Turnout-Actor": "bob"})
    expected = {"id": "c-1", "applied": True, "durable": True, "state": "paused", "text": "pause done"}
    assert (answer.status_code, answer.json()) == (200, expected)
    flag, kind, request = engine.commands[0]
    assert (flag, kind, request.id, request.actor, request.reason) == (FLAG, "pause", "c-1", "bob", "lunch")
    assert await _audited(api) == [("rollout.pause", "done", "pause done (lunch)")]


async def test_a_refused_command_is_a_conflict_and_audited(api: Api, engine: ScriptedEngine) -> None:
    """409 with the code command_refused and the rollout's own words; the audit log has it as refused."""
    await open_rollout(api)
    engine.error = CommandRefused("the rollout is not paused, it is running")
    answer = await api.http.post(f"{ROLLOUTS}/resume", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "command_refused")
    assert answer.json()["detail"] == "the rollout is not paused, it is running"
    assert await _audited(api) == [("rollout.resume", "refused", "the rollout is not paused, it is running")]


async def test_a_command_that_is_on_its_way_is_a_202(api: Api, engine: ScriptedEngine) -> None:
    """What is queued is accepted, durable, and not claimed to be applied."""
    await open_rollout(api)
    engine.reply = Reply("queued: no worker took it")
    answer = await api.http.post(f"{ROLLOUTS}/abort", json={"reason": "x"})
    assert answer.status_code == 202
    assert (answer.json()["applied"], answer.json()["durable"]) == (None, True)
    assert (await _audited(api))[0][:2] == ("rollout.abort", "done")


async def test_commands_need_an_open_rollout(api: Api, engine: ScriptedEngine) -> None:
    """Without any rollout 404; when the last one has ended 409; when the engine lost it 409."""
    assert (await api.http.post(f"{ROLLOUTS}/pause", json={})).status_code == 404
    await open_rollout(api)
    engine.error = NotFound("the workflow engine knows no open rollout of this flag")
    assert (await api.http.post(f"{ROLLOUTS}/pause", json={})).json()["code"] == "conflict"
    await api.services.rollouts.commit(_decision(1, kind="ended", state=State.ABORTED))
    engine.error = None
    answer = await api.http.post(f"{ROLLOUTS}/pause", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "aborted" in answer.json()["detail"]
    assert engine.commands == []


async def test_an_engine_that_is_away_is_a_503(api: Api, engine: ScriptedEngine) -> None:
    """Nothing was kept, and the answer says when to try again."""
    await open_rollout(api)
    engine.error = Unavailable("the workflow engine cannot be reached")
    answer = await api.http.post(f"{ROLLOUTS}/pause", json={})
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "1")
    answer = await api.http.get(ROLLOUTS)
    assert (answer.status_code, answer.json()["live"]) == (200, False)


async def test_approval_roles_come_from_the_token_or_without_tokens_from_the_plan(
    api: Api, engine: ScriptedEngine, stores: Stores
) -> None:
    """Whoever reaches an open API may approve; with tokens only the token's own roles count."""
    await open_rollout(api, SPEC | {"approvals": [{"before": 100, "by": "release-manager"}]})
    await api.http.post(f"{ROLLOUTS}/approve", json={})
    assert engine.commands[-1][2].roles == ("freeze_override", "release-manager")
    tokens = [Token(name="ann", roles=("approver",), secret="secret-of-ann")]
    async with running(stores, engine, tokens) as guarded:
        headers = {"Authorization": "Bearer secret-of-ann"}
        await guarded.http.post(f"{ROLLOUTS}/approve", json={}, headers=headers)
        assert (engine.commands[-1][2].actor, engine.commands[-1][2].roles) == ("ann", ("approver",))


async def test_a_stop_pauses_the_open_rollout(api: Api, engine: ScriptedEngine) -> None:
    """The rollout is told to pause with the reason; an engine that is away does not keep the stop from happening."""
    await open_rollout(api)
    answer = await api.http.post(f"/v1/flags/{FLAG}/stop", json={"reason": "fire"})
    assert answer.json()["rollout"] == "rollout run-1 was told to pause"
    assert [(kind, request.reason) for _, kind, request in engine.commands] == [("pause", "emergency stop: fire")]
    await api.http.post(f"/v1/flags/{FLAG}/restore", json={})
    engine.error = Unavailable("away")
    answer = await api.http.post(f"/v1/flags/{FLAG}/stop", json={"reason": "fire"})
    assert (answer.status_code, answer.json()["flag"]["stopped"]) == (200, True)
    assert "could not be told to pause" in answer.json()["rollout"]


@pytest.mark.parametrize("kind", ["resume", "promote", "approve"])
async def test_a_stopped_flag_lets_no_rollout_go_on(api: Api, engine: ScriptedEngine, kind: str) -> None:
    """One that completed would serve its candidate as the stable variant, in spite of the stop; back it may go."""
    await open_rollout(api)
    await api.http.post(f"/v1/flags/{FLAG}/stop", json={"reason": "fire"})
    assert (await api.http.get(ROLLOUTS)).json()["stopped"] is True
    before = len(engine.commands)
    answer = await api.http.post(f"{ROLLOUTS}/{kind}", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "command_refused")
    assert f"flag {FLAG} is stopped (fire); end that first with: turnout flags restore" in answer.json()["detail"]
    assert len(engine.commands) == before
    assert (await api.http.post(f"{ROLLOUTS}/rollback", json={})).is_success
    await api.http.post(f"/v1/flags/{FLAG}/restore", json={})
    assert (await api.http.post(f"{ROLLOUTS}/{kind}", json={})).is_success


async def test_a_stopped_flag_has_no_rollout_started(api: Api, engine: ScriptedEngine) -> None:
    """The engine is not even asked to keep one for later."""
    await api.http.post(f"/v1/flags/{FLAG}/stop", json={})
    engine.error = Unavailable("it was asked")
    answer = await api.http.post("/v1/rollouts", json={"spec": SPEC})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert f"flag {FLAG} is stopped; end that first" in answer.json()["detail"]


async def test_a_bad_spec_is_refused_at_the_door(api: Api) -> None:
    """Every fault with its path and remedy, a flag that is not there, and a candidate that is no variant."""
    bad = SPEC | {"strategy": {"kind": "gradul"}, "gate": []}
    answer = await api.http.post("/v1/rollouts", json={"spec": bad})
    assert answer.status_code == 400
    assert {"strategy.kind", "gate"} <= {p["path"] for p in answer.json()["problems"]}
    answer = await api.http.post("/v1/rollouts", json={"spec": SPEC | {"flag": "nobody"}})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    answer = await api.http.post("/v1/rollouts", json={"spec": SPEC | {"candidate": "ligthrag"}})
    problem = answer.json()["problems"][0]
    assert (answer.status_code, problem["path"], problem["remedy"]) == (400, "candidate", "did you mean lightrag?")
    answer = await api.http.post("/v1/rollouts", json={"spec": SPEC | {"candidate": "perplexity"}})
    assert (answer.status_code, answer.json()["problems"][0]["path"]) == (400, "candidate")


async def test_validation_tells_all_without_starting(api: Api, engine: ScriptedEngine) -> None:
    """A good spec has a plan, a bad one its problems, and nothing is started by either."""
    answer = (await api.http.post("/v1/rollouts/validate", json={"spec": SPEC})).json()
    assert (answer["valid"], answer["problems"], len(answer["plan"]["stages"])) == (True, [], 2)
    answer = (await api.http.post("/v1/rollouts/validate", json={"spec": SPEC | {"flag": "nobody"}})).json()
    assert (answer["valid"], answer["plan"], answer["problems"][0]["path"]) == (False, None, "flag")
    answer = (await api.http.post("/v1/rollouts/validate", json={"spec": {}})).json()
    assert answer["valid"] is False
    assert (await api.http.get("/v1/rollouts", params={"all": "true"})).json() == {"rollouts": []}


async def test_a_second_start_is_refused_with_who_and_how_to_end_it(api: Api, engine: ScriptedEngine) -> None:
    """The store knows of an open rollout before the engine is asked, and says whose it is."""
    await open_rollout(api)
    answer = await api.http.post("/v1/rollouts", json={"spec": SPEC})
    assert (answer.status_code, answer.json()["code"]) == (409, "rollout_open")
    for part in ("alice", "scheduled", f"turnout abort {FLAG}"):
        assert part in answer.json()["detail"]


async def test_a_start_that_no_worker_takes_up_is_a_202_and_shows_as_scheduled(
    api: Api, engine: ScriptedEngine
) -> None:
    """Before a worker begins it, a rollout is kept, can be seen, and takes commands."""
    answer = await api.http.post("/v1/rollouts", json={"spec": SPEC})
    assert (answer.status_code, answer.json()["id"], answer.json()["state"]) == (202, "run-1", "scheduled")
    assert answer.headers["location"] == ROLLOUTS
    engine.open = Pending("run-1", {"candidate": "lightrag", "started_by": "alice"})
    view = (await api.http.get(ROLLOUTS)).json()
    assert (view["state"], view["candidate"], view["started_by"], view["plan"]) == (
        "scheduled",
        "lightrag",
        "alice",
        None,
    )
    assert (await api.http.post(f"{ROLLOUTS}/abort", json={})).status_code == 200


async def test_the_engine_has_the_last_word_on_a_second_start(api: Api, engine: ScriptedEngine) -> None:
    """Two starts at once: the engine lets one through, the other is told that a rollout is open."""
    engine.error = RolloutOpen("flag answer-engine has an open rollout already, run-0")
    answer = await api.http.post("/v1/rollouts", json={"spec": SPEC})
    assert (answer.status_code, answer.json()["code"]) == (409, "rollout_open")
    engine.error = Conflict("anything else")
    assert (await api.http.post("/v1/rollouts", json={"spec": SPEC})).json()["code"] == "conflict"


async def test_decisions_come_with_their_evidence_when_asked_for(api: Api) -> None:
    """A decision names its evidence; with evidence=true it brings the checks along."""
    await open_rollout(api)
    check = Check(
        gate="success_rate ≥ 0.9", metric="success_rate", role="gate", verdict=Verdict.PASS, text="fine", value=0.95
    )
    evidence = Evidence(
        id="e-1", rollout_id="run-1", generation=1, stage=0, at=utc_now(), verdict=Verdict.PASS, checks=(check,)
    )
    await api.services.rollouts.evidence(evidence)
    await api.services.rollouts.commit(_decision(1))
    await api.services.rollouts.commit(_decision(2, kind="held", evidence="e-1", verdict="pass"))
    plain = (await api.http.get(f"{ROLLOUTS}/decisions")).json()
    assert plain["rollout_id"] == "run-1"
    assert [(d["seq"], d["evidence"], d["evidence_detail"]) for d in plain["decisions"]] == [
        (1, None, None),
        (2, "e-1", None),
    ]
    full = (await api.http.get(f"{ROLLOUTS}/decisions", params={"evidence": "true", "after": 1})).json()["decisions"]
    assert full[0]["evidence_detail"]["checks"][0]["value"] == 0.95
    answer = await api.http.get(f"{ROLLOUTS}/decisions", params={"rollout": "run-0"})
    assert answer.status_code == 404


async def test_events_tell_decisions_and_checks_and_go_on_where_they_stopped(api: Api) -> None:
    """A reader gets every decision once, the latest checks, and the end; with Last-Event-ID only what is new."""
    await open_rollout(api)
    check = Check(gate="g", metric="m", role="gate", verdict=Verdict.NO_DATA, text="no outcomes yet")
    await api.services.rollouts.commit(_decision(1))
    await api.services.rollouts.checked("run-1", 2, (check,), timedelta(seconds=5), utc_now())
    async with api.stream(f"{ROLLOUTS}/events") as events:
        first, second = await anext(events), await anext(events)
        assert (first["event"], first["id"], data(first)["seq"]) == ("decision", "run-1:1", 1)
        assert (second["event"], data(second)["checks"][0]["verdict"]) == ("checks", "no_data")
        await api.services.rollouts.commit(_decision(2, kind="ended", state=State.ABORTED))
        rest = [event async for event in events]
        assert [event["event"] for event in rest] == ["decision", "end"]
        assert data(rest[-1])["state"] == "aborted"
    for position in ("run-1:1", "1"):
        async with api.stream(f"{ROLLOUTS}/events", **{"Last-Event-ID": position}) as events:
            assert data(await anext(events))["seq"] == 2
    assert (await api.http.get("/v1/rollouts/nobody/events")).status_code == 404


async def test_only_open_rollouts_are_listed_unless_all_are_asked_for(api: Api) -> None:
    """An ended rollout shows only with all=true, and its status stays readable."""
    await open_rollout(api)
    assert [r["id"] for r in (await api.http.get("/v1/rollouts")).json()["rollouts"]] == ["run-1"]
    await api.services.rollouts.commit(_decision(1, kind="ended", state=State.COMPLETED))
    assert (await api.http.get("/v1/rollouts")).json() == {"rollouts": []}
    everything = (await api.http.get("/v1/rollouts", params={"all": "true"})).json()["rollouts"]
    assert [r["state"] for r in everything] == ["completed"]
    view = (await api.http.get(ROLLOUTS)).json()
    assert (view["state"], view["live"], [d["seq"] for d in view["decisions"]]) == ("completed", False, [1])
