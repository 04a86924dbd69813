"""Reports over HTTP."""

from __future__ import annotations

from tests.integration.api.harness import Api
from tests.past import FLAG, opened, went

REPORT = f"/v1/rollouts/{FLAG}/report"


async def test_the_report_on_a_past_rollout(api: Api) -> None:
    """Every decision with the weights it published, and when which users came."""
    assert (await api.http.get(REPORT)).status_code == 404
    await went(api.services.flags, api.services.rollouts, api.services.outcomes)
    answer = await api.http.get(REPORT, params={"rollout": "r1"})
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert (document["flag"], document["rollout_id"], document["experiment"]) == (FLAG, "r1", None)
    assert [change["kind"] for change in document["changes"]] == ["started", "advanced", "withdrawn"]
    assert document["changes"][0]["weights"]["new"] == 25_000
    users = [sum(arrival["users"].values()) for arrival in document["arrivals"]]
    assert sum(users) > 0
    assert [one["at"] for one in document["arrivals"]] == sorted(one["at"] for one in document["arrivals"])


async def test_another_flags_rollout(api: Api) -> None:
    """A rollout is reported under its own flag only."""
    await opened(api.services.flags, api.services.rollouts)
    assert (await api.http.get("/v1/rollouts/other/report", params={"rollout": "r1"})).status_code == 404


async def test_arms_that_are_no_variants(api: Api) -> None:
    """A test of several arms is refused where one is no variant of the flag, before anything starts."""
    await opened(api.services.flags, api.services.rollouts)
    strategy = {
        "kind": "multivariate",
        "allocation": {"new": 30, "third": 30, "old": 40},
        "control": "old",
        "metrics": ["success_rate"],
        "minimum_sample_size": 100,
    }
    answer = await api.http.post("/v1/rollouts/validate", json={"spec": {"flag": FLAG, "strategy": strategy}})
    document = answer.json()
    assert (document["valid"], document["problems"][0]["path"]) == (False, "strategy.allocation.third")
