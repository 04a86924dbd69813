"""Breakers and budgets over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.api.harness import FLAG, FLAGS, Api, ScriptedEngine, eventually, running
from tests.integration.stores.builders import a_rollout
from turnout.adapters.settings import Token
from turnout.domain.breaking import BreakerPolicy, BreakerReport, closed, opened, probing
from turnout.domain.errors import Unavailable
from turnout.testing.stores import memory_stores
from workflows.messages import BreakerSignal, CloseBreaker

POLICY = {"recovery_timeout": "7s", "probes": 9}
BUDGET = {"daily": 10, "lease": 4, "alert_at": 0.5}
OPEN = {"circuit": "open", "kind": "quality", "why": "low", "reporter": "api-1"}


@pytest.fixture
def engine() -> ScriptedEngine:
    """What the API tells of breakers and notices."""
    return ScriptedEngine()


@pytest.fixture
async def api(engine: ScriptedEngine) -> AsyncIterator[Api]:
    """A running API with a guarded flag."""
    async with running(memory_stores(), engine) as served:
        guards = {"breakers": {"lightrag": POLICY}, "budgets": {"lightrag": BUDGET}, "notify": [{"stdout": True}]}
        await served.apply({FLAG: FLAGS[FLAG] | guards})
        yield served


async def reported(api: Api, body: dict[str, Any], variant: str = "lightrag") -> str:
    """What the API says to a report."""
    answer = await api.http.post(f"/v1/breakers/{FLAG}/{variant}/report", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["text"])


async def test_a_report_reaches_the_breaker_with_the_flags_policy(api: Api, engine: ScriptedEngine) -> None:
    """The first one does; what is known goes no further, nor does a breaker of the stable variant."""
    assert await reported(api, OPEN) == "passed on to the breaker"
    report = BreakerReport.model_validate(OPEN)
    policy = BreakerPolicy(recovery_timeout=timedelta(seconds=7), probes=9)
    assert engine.reports == [(FLAG, "lightrag", BreakerSignal(report=report, policy=policy))]
    breaker = opened(policy, None, report, api.services.clock())
    await api.services.flags.switch(FLAG, "lightrag", breaker)
    assert (await reported(api, OPEN)).startswith("known")
    assert (await reported(api, {"circuit": "closed"})).startswith("known")
    assert (await reported(api, OPEN, "perplexity")).startswith("kept by nobody")
    assert len(engine.reports) == 1
    await api.services.flags.switch(FLAG, "lightrag", probing(policy, breaker, api.services.clock()))
    assert await reported(api, {"circuit": "closed"}) == "passed on to the breaker"


async def test_a_breaker_whose_time_is_over_hears_again(api: Api, engine: ScriptedEngine) -> None:
    """Its workflow may have been lost, and is begun again."""
    long_ago = api.services.clock() - timedelta(hours=1)
    await api.services.flags.switch(
        FLAG, "lightrag", opened(BreakerPolicy(), None, BreakerReport.model_validate(OPEN), long_ago)
    )
    assert await reported(api, OPEN) == "passed on to the breaker"


async def test_breakers_are_shown_and_closed(api: Api, engine: ScriptedEngine) -> None:
    """By whoever may; a closed one stays as it is."""
    close = f"/v1/breakers/{FLAG}/lightrag/close"
    assert (await api.http.get("/v1/breakers")).json() == {"breakers": []}
    assert (await api.http.post(close, json={})).json()["text"] == "it is closed already"
    breaker = opened(BreakerPolicy(), None, BreakerReport.model_validate(OPEN), api.services.clock())
    await api.services.flags.switch(FLAG, "lightrag", breaker)
    shown = (await api.http.get("/v1/breakers")).json()["breakers"][0]
    assert (shown["flag"], shown["variant"], shown["circuit"], shown["blocking"]) == (FLAG, "lightrag", "open", True)
    who = {"X-Turnout-Actor": "bob"}
    await api.http.post(close, json={"reason": "the provider is back"}, headers=who)
    assert engine.reports == [(FLAG, "lightrag", CloseBreaker(actor="bob", reason="the provider is back"))]
    done = closed(breaker, api.services.clock(), "the provider is back", "bob")
    await api.services.flags.switch(FLAG, "lightrag", done)
    assert (await api.http.get("/v1/breakers")).json()["breakers"][0]["blocking"] is False


async def test_a_rollout_tells_of_a_breaker_that_keeps_users_from_its_candidate(api: Api) -> None:
    """As long as it does; the share of a stage is not what users get then."""
    await api.services.rollouts.open(a_rollout(flag=FLAG, candidate="lightrag", stable="perplexity"))
    assert (await api.http.get(f"/v1/rollouts/{FLAG}")).json()["breakers"] == {}
    breaker = opened(BreakerPolicy(), None, BreakerReport.model_validate(OPEN), api.services.clock())
    await api.services.flags.switch(FLAG, "lightrag", breaker)
    assert (await api.http.get(f"/v1/rollouts/{FLAG}")).json()["breakers"]["lightrag"]["circuit"] == "open"
    await api.services.flags.switch(FLAG, "lightrag", closed(breaker, api.services.clock(), "well again", "bob"))
    assert (await api.http.get(f"/v1/rollouts/{FLAG}")).json()["breakers"] == {}


async def test_money_is_leased_settled_and_shown(api: Api, engine: ScriptedEngine) -> None:
    """In millionths; the alert is told once, when half of it is spent, and again when nothing is left."""
    path = f"/v1/budgets/{FLAG}/lightrag"
    lease = (await api.http.post(f"{path}/lease", json={"id": "a"})).json()
    assert (lease["amount"], lease["left"], lease["currency"]) == (4_000_000, 6_000_000, "USD")
    assert 0 < lease["seconds"] <= 60
    done = await api.http.post(f"{path}/settle", json={"settlements": [{"id": "a", "spent": 5_000_000}]})
    assert done.json() == {"settled": 1, "repeated": 0, "unknown": 0, "left": 5_000_000}
    await eventually(lambda: [notice.event for notice in engine.told], lambda seen: seen == ["budget_alert"])
    for id in "bcd":
        await api.http.post(f"{path}/lease", json={"id": id})
    await eventually(lambda: len(engine.told), lambda seen: seen == 2)
    assert engine.told[1].title == f"{FLAG}: the budget of lightrag is used up"
    shown = (await api.http.get("/v1/budgets")).json()["budgets"][0]
    assert (shown["spent"], shown["leased"], shown["left"]) == (5_000_000, 5_000_000, 0)
    assert (shown["alerted"], shown["exhausted"]) == (True, True)


async def test_news_that_cannot_be_told_is_told_later(api: Api, engine: ScriptedEngine) -> None:
    """Leasing goes on meanwhile."""
    engine.error = Unavailable("the workflow engine cannot be reached")
    path = f"/v1/budgets/{FLAG}/lightrag"
    await api.http.post(f"{path}/lease", json={"id": "a"})
    await api.http.post(f"{path}/settle", json={"settlements": [{"id": "a", "spent": 5_000_000}]})
    await eventually(lambda: len(api.services.telling), lambda waiting: waiting == 0)
    assert engine.told == []
    engine.error = None
    assert (await api.http.post(f"{path}/lease", json={"id": "b"})).json()["amount"] == 4_000_000
    await eventually(lambda: [notice.event for notice in engine.told], lambda seen: seen == ["budget_alert"])


async def test_an_environment_gives_a_variant_its_budget(api: Api, engine: ScriptedEngine) -> None:
    """Where the flag has none: it is shown, warned of once and settled like any; an amount of 0 pays nothing."""
    path, limits = f"/v1/budgets/{FLAG}/perplexity", {"daily": 1_000_000, "alert_at": 0.5}
    assert (await api.http.post(f"{path}/lease", json={"id": "a", "alert_at": 0.5})).status_code == 404
    lease = (await api.http.post(f"{path}/lease", json={"id": "a", "needed": 700_000, **limits})).json()
    assert (lease["amount"], lease["left"], lease["currency"]) == (700_000, 300_000, "USD")
    body = {"settlements": [{"id": "a", "spent": 600_000}]}
    assert (await api.http.post(f"{path}/settle", json=body)).json()["left"] == 400_000
    await eventually(lambda: [notice.event for notice in engine.told], lambda seen: seen == ["budget_alert"])
    for id in "bc":
        assert (await api.http.post(f"{path}/lease", json={"id": id, **limits})).json()["amount"] == 10_000
    shown = (await api.http.get("/v1/budgets")).json()["budgets"]
    assert [(one["variant"], one["daily"], one["source"]) for one in shown] == [
        ("lightrag", 10_000_000, "flag"),
        ("perplexity", 1_000_000, "environment"),
    ]
    assert (shown[1]["spent"], shown[1]["leased"], shown[1]["alerted"]) == (600_000, 20_000, True)
    assert (await api.http.post(f"{path}/lease", json={"id": "d", "daily": 0})).json()["amount"] == 0
    await eventually(lambda: len(api.services.telling), lambda waiting: waiting == 0)
    assert [notice.event for notice in engine.told] == ["budget_alert"]


async def test_an_environment_never_raises_a_budget(api: Api, engine: ScriptedEngine) -> None:
    """The lower amount and the lower threshold hold for whoever asks so; a lease is no larger than the flag allows."""
    path = f"/v1/budgets/{FLAG}/lightrag"
    more = {"id": "a", "daily": 90_000_000, "alert_at": 0.9, "wanted": 90_000_000}
    assert (await api.http.post(f"{path}/lease", json=more)).json()["amount"] == 4_000_000
    less = {"daily": 5_000_000, "alert_at": 0.1}
    assert (await api.http.post(f"{path}/lease", json={"id": "b", **less})).json()["amount"] == 1_000_000
    assert (await api.http.post(f"{path}/lease", json={"id": "c", **less})).json()["amount"] == 0
    await api.http.post(f"{path}/settle", json={"settlements": [{"id": "b", "spent": 500_000}]})
    await eventually(
        lambda: {notice.event for notice in engine.told}, lambda seen: seen == {"budget_alert", "budget_exceeded"}
    )
    shown = (await api.http.get("/v1/budgets")).json()["budgets"][0]
    assert (shown["daily"], shown["alert_at"], shown["source"]) == (5_000_000, 0.1, "environment")
    assert (await api.http.post(f"{path}/lease", json={"id": "d"})).json()["amount"] == 4_000_000


async def test_services_may_report_and_lease_and_nothing_more() -> None:
    """Closing a breaker takes an operator; looking takes a viewer."""
    tokens = [
        Token(name="svc", secret="s" * 20, roles=("service",)),
        Token(name="ann", secret="v" * 20, roles=("viewer",)),
    ]
    async with running(memory_stores(), ScriptedEngine(), tokens) as served:
        svc, ann = ({"Authorization": f"Bearer {secret * 20}"} for secret in "sv")
        report, close = f"/v1/breakers/{FLAG}/lightrag/report", f"/v1/breakers/{FLAG}/lightrag/close"
        asked = [
            (await served.http.post(report, json=OPEN, headers=svc)).status_code,
            (await served.http.post(f"/v1/budgets/{FLAG}/lightrag/lease", json={"id": "a"}, headers=svc)).status_code,
            (await served.http.post(close, json={}, headers=svc)).status_code,
            (await served.http.get("/v1/budgets", headers=svc)).status_code,
            (await served.http.get("/v1/budgets", headers=ann)).status_code,
            (await served.http.post(report, json=OPEN, headers=ann)).status_code,
        ]
    assert asked == [404, 404, 403, 403, 200, 403]
