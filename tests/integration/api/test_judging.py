"""Other gates on past outcomes, over HTTP."""

from __future__ import annotations

from typing import Any

from tests.integration.api.harness import Api, running
from tests.past import FLAG, SPEC, opened, went
from turnout.adapters.settings import Token
from turnout.ports import Stores

JUDGE = f"/v1/rollouts/{FLAG}/judge"
STRICT: dict[str, Any] = SPEC | {"gates": [{"metric": "error_rate", "max": 0.05}], "sample_ratio": False}


async def test_other_gates_are_asked_about_a_past_rollout(api: Api) -> None:
    """The answer has every stage and gate with times, numbers and what the rollout decided; nothing is recorded."""
    await went(api.services.flags, api.services.rollouts, api.services.outcomes)
    answer = await api.http.post(JUDGE, json={"spec": STRICT, "rollout": "r1"})
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert (document["flag"], document["rollout_id"], document["check_every"]) == (FLAG, "r1", "PT1M")
    first, second = document["stages"]
    assert (first["outcomes"], first["looks"], first["every"]) == (900, 30, "PT1M")
    assert (first["decided"]["kind"], second["decided"]["kind"]) == ("advanced", "withdrawn")
    assert first["gates"][0]["final"]["verdict"] == "pass"
    assert second["gates"][0]["final"]["verdict"] == "fail"
    assert second["gates"][0]["failed_after"].startswith("PT1")
    assert second["gates"][0]["text"].startswith("gate error_rate ≤ 0.05 would have failed stage 2 (50 %) after 1")
    assert len((await api.http.get(f"/v1/rollouts/{FLAG}/decisions")).json()["decisions"]) == 3


async def test_what_cannot_be_judged_is_a_problem(api: Api) -> None:
    """Bad specs, unknown rollouts and rollouts without outcomes are told apart."""
    assert (await api.http.post(JUDGE, json={"spec": STRICT})).status_code == 404
    await opened(api.services.flags, api.services.rollouts)
    bad = await api.http.post(JUDGE, json={"spec": STRICT | {"gates": [{"metric": "error_rate", "max": "much"}]}})
    assert (bad.status_code, bad.json()["problems"][0]["path"]) == (400, "gates[0].max")
    other = await api.http.post(JUDGE, json={"spec": STRICT | {"candidate": "third"}})
    assert (other.status_code, other.json()["problems"][0]["remedy"]) == (400, "write candidate: new")
    assert (await api.http.post(JUDGE, json={"spec": STRICT, "rollout": "r9"})).status_code == 404
    empty = await api.http.post(JUDGE, json={"spec": STRICT})
    assert (empty.status_code, empty.json()["code"]) == (409, "conflict")


async def test_whoever_may_read_may_judge(stores: Stores) -> None:
    """Judging the past changes nothing, so a viewer's token is enough, and a service's is not."""
    tokens = (
        Token(name="vic", roles=("viewer",), secret="secret-of-vic"),
        Token(name="shop", roles=("service",), secret="secret-of-shop"),
    )
    async with running(stores, tokens=tokens) as api:
        await went(api.services.flags, api.services.rollouts, api.services.outcomes)
        for secret, status in (("secret-of-vic", 200), ("secret-of-shop", 403)):
            headers = {"Authorization": f"Bearer {secret}"}
            assert (await api.http.post(JUDGE, json={"spec": STRICT}, headers=headers)).status_code == status
