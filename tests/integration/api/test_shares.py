"""Changing one cohort's share over HTTP: as a command, and in what a completed rollout has left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.services import utc_now
from tests.integration.api.harness import FLAG, Api, ScriptedEngine, open_rollout, running
from turnout.adapters.settings import Token
from turnout.domain import machine
from turnout.domain.rollout import Clock, Observation, RolloutState
from turnout.domain.verdicts import Verdict
from turnout.ports import Stores

BETA = f"/v1/rollouts/{FLAG}/cohorts/beta"
SPEC: dict[str, Any] = {
    "flag": FLAG,
    "candidate": "lightrag",
    "strategy": {"kind": "cohort", "cohorts": [{"name": "beta", "match": {"plan": "beta"}, "percentage": 50}]},
    "gates": [{"metric": "success_rate", "min": 0.9}],
}
TOKENS = [
    Token(name="ann", roles=("operator", "share_override"), secret="anns-secret"),
    Token(name="bob", roles=("operator",), secret="bobs-secret"),
    Token(name="eve", roles=("viewer",), secret="eves-secret"),
]


def of(name: str) -> dict[str, str]:
    """The headers of one of them."""
    return {"Authorization": f"Bearer {name}s-secret"}


@pytest.fixture
def engine() -> ScriptedEngine:
    """The engine of the test."""
    return ScriptedEngine()


@pytest.fixture
async def api(stores: Stores, engine: ScriptedEngine) -> AsyncIterator[Api]:
    """A running API with tokens on the scripted engine."""
    async with running(stores, engine, TOKENS, patience=0.1) as served:
        served.http.headers.update(of("ann"))
        await served.apply()
        yield served


async def completed(api: Api) -> None:
    """A rollout whose gates passed at 50 % of the beta cohort, carried out by the real rules."""
    record, now = await open_rollout(api, SPEC), utc_now()
    state = RolloutState(rollout_id=record.id, started_by="alice", generation=record.generation)
    step = machine.begin(record.plan, state, now)
    passed = Observation(kind="judged", at=now, verdict=Verdict.PASS, clock=Clock())
    after = machine.observe(record.plan, step.state, passed)
    end = machine.finish(record.plan, after.state, now, "done")
    for decision in (*step.decisions, *after.decisions, *end.decisions):
        await api.services.rollouts.commit(decision)


async def share(api: Api) -> int:
    """The candidate's weight in the cohort, as published."""
    traffic = (await api.services.flags.get(FLAG)).traffic
    return traffic.segments[0].weights["lightrag"]


async def test_an_open_rollout_gets_it_as_a_command(api: Api, engine: ScriptedEngine) -> None:
    """With the part, the weight, and the roles of who asks; the audit log has it."""
    await open_rollout(api, SPEC)
    answer = await api.http.post(BETA, json={"percentage": "12.5%", "reason": "busy"}, headers=of("bob"))
    assert (answer.status_code, answer.json()["applied"]) == (200, True)
    flag, kind, request = engine.commands[0]
    assert (flag, kind, request.roles) == (FLAG, "adjust", ("operator",))
    assert request.adjustment is not None
    assert (request.adjustment.part, request.adjustment.weight, request.adjustment.override) == ("beta", 12_500, False)
    (entry, *_) = (await api.http.get("/v1/audit", params={"subject": FLAG})).json()["entries"]
    assert (entry["action"], entry["outcome"], entry["actor"]) == ("rollout.adjust", "done", "bob")


async def test_shares_that_stay_can_be_changed(api: Api) -> None:
    """Less, and more again up to what passed: recorded, audited, under new generations, once a command id."""
    await completed(api)
    generation = (await api.services.flags.get(FLAG)).traffic.generation
    for percentage, weight in ((20, 20_000), (50, 50_000), (10, 10_000)):
        answer = await api.http.post(BETA, json={"percentage": percentage, "id": f"c{weight}"}, headers=of("bob"))
        assert (answer.status_code, answer.json()["state"]) == (200, "completed")
        assert await share(api) == weight
    again = await api.http.post(BETA, json={"percentage": 20, "id": "c20000"}, headers=of("bob"))
    assert again.json()["text"] == "beta set from 50 % to 20 % by bob"
    assert await share(api) == 10_000
    traffic = (await api.services.flags.get(FLAG)).traffic
    assert (traffic.generation, traffic.weights["lightrag"]) == (generation + 3, 0)
    told = (await api.http.get(f"/v1/rollouts/{FLAG}/decisions")).json()["decisions"]
    assert [(one["kind"], one["actor"]) for one in told[-3:]] == [("adjusted", "bob")] * 3
    assert [one["seq"] for one in told] == list(range(1, len(told) + 1))


async def test_more_than_gates_have_passed_takes_the_role_and_a_reason(api: Api) -> None:
    """Refused without; recorded as an override with."""
    await completed(api)
    asked: dict[str, Any] = {"percentage": 80}
    answer = await api.http.post(BETA, json=asked, headers=of("bob"))
    assert (answer.status_code, answer.json()["code"]) == (409, "command_refused")
    assert "gates have passed at 50 %" in answer.json()["detail"]
    asked |= {"override": True, "reason": "promised"}
    assert "takes the role share_override" in (await api.http.post(BETA, json=asked, headers=of("bob"))).text
    assert (await api.http.post(BETA, json=asked, headers=of("eve"))).status_code == 403
    assert await share(api) == 50_000
    assert (await api.http.post(BETA, json=asked, headers=of("ann"))).status_code == 200
    assert await share(api) == 80_000
    (last, *_) = (await api.http.get("/v1/audit", params={"subject": FLAG})).json()["entries"]
    assert (last["outcome"], "overrides that gates have not passed" in last["detail"]) == ("done", True)
    told = (await api.http.get(f"/v1/rollouts/{FLAG}/decisions")).json()["decisions"]
    assert told[-1]["kind"] == "adjusted_by_override"


async def test_a_freeze_keeps_shares_from_growing(api: Api) -> None:
    """Also after the rollout has completed; less is always possible."""
    await completed(api)
    assert (await api.http.post(BETA, json={"percentage": 20})).status_code == 200
    frozen = {"start": "2020-01-01T00:00:00Z", "reason": "year-end"}
    assert (await api.http.post("/v1/freezes", json=frozen)).status_code == 201
    answer = await api.http.post(BETA, json={"percentage": 50, "reason": "now"})
    assert (answer.status_code, "frozen: year-end" in answer.json()["detail"]) == (409, True)
    assert (await api.http.post(BETA, json={"percentage": 10})).status_code == 200
    assert await share(api) == 10_000


async def test_what_is_wrong_is_told(api: Api) -> None:
    """No such cohort, no percentage, nothing to change, and no traffic of the rollout any more."""
    assert (await api.http.post(BETA, json={"percentage": 5})).status_code == 404
    await completed(api)
    unknown = await api.http.post(BETA.replace("beta", "gamma"), json={"percentage": 5})
    assert "no cohort or region gamma; it has beta" in unknown.json()["detail"]
    bad = await api.http.post(BETA, json={"percentage": 101})
    assert (bad.status_code, "number from 0 to 100" in bad.text) == (400, True)
    assert "has 50 % already" in (await api.http.post(BETA, json={"percentage": 50})).text
    await api.apply(
        {FLAG: {"variants": {"perplexity": {}, "lightrag": {}}, "stable": "perplexity", "serve": "lightrag"}}
    )
    moved = await api.http.post(BETA, json={"percentage": 5})
    assert (moved.status_code, "no longer what rollout run-1 left" in moved.text) == (409, True)
