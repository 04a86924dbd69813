"""Who may do what, with tokens and without."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.api.harness import FLAG, Api, running
from turnout.adapters.settings import Token
from turnout.ports import Stores

TOKENS = (
    Token(name="olga", roles=("operator",), secret="secret-of-olga"),
    Token(name="vic", roles=("viewer",), secret="secret-of-vic"),
    Token(name="shop", roles=("service",), secret="secret-of-shop"),
    Token(name="ann", roles=("approver",), secret="secret-of-ann"),
)


@pytest.fixture
async def guarded(stores: Stores) -> AsyncIterator[Api]:
    """A running API with tokens."""
    async with running(stores, tokens=TOKENS) as api:
        yield api


def _as(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer secret-of-{name}"}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/flags", {"olga", "vic", "ann"}),
        ("POST", "/v1/flags", {"olga"}),
        ("DELETE", f"/v1/flags/{FLAG}", {"olga"}),
        ("POST", f"/v1/flags/{FLAG}/stop", {"olga"}),
        ("POST", "/v1/rollouts", {"olga"}),
        ("POST", "/v1/rollouts/validate", {"olga", "vic", "ann"}),
        ("POST", f"/v1/rollouts/{FLAG}/abort", {"olga"}),
        ("POST", f"/v1/rollouts/{FLAG}/approve", {"olga", "ann"}),
        ("GET", "/v1/audit", {"olga", "vic", "ann"}),
        ("GET", "/v1/snapshot", {"olga", "shop"}),
        ("POST", "/v1/outcomes", {"olga", "shop"}),
        ("POST", f"/ofrep/v1/evaluate/flags/{FLAG}", {"olga", "shop"}),
        ("GET", "/metrics", {"olga", "vic", "ann", "shop"}),
        ("GET", "/healthz", {"olga", "vic", "ann", "shop", ""}),
        ("GET", "/docs", {"olga", "vic", "ann", "shop", ""}),
    ],
)
async def test_roles_bound_what_a_token_may_do(guarded: Api, method: str, path: str, allowed: set[str]) -> None:
    """Each endpoint lets in exactly the roles it is for; nobody without a token, except for health and docs."""
    for name in ("olga", "vic", "shop", "ann", ""):
        answer = await guarded.http.request(method, path, headers=_as(name) if name else None)
        refused = 403 if name else 401
        assert (answer.status_code not in (401, 403)) == (name in allowed), name
        if name not in allowed:
            assert answer.status_code == refused


async def test_an_api_key_is_a_token_too(guarded: Api) -> None:
    """X-API-Key does what a bearer token does; a wrong one, and another scheme, are nobody."""
    assert (await guarded.http.get("/v1/flags", headers={"X-API-Key": "secret-of-vic"})).status_code == 200
    assert (await guarded.http.get("/v1/flags", headers={"X-API-Key": "secret-of-vi"})).status_code == 401
    answer = await guarded.http.get("/v1/flags", headers={"Authorization": "Basic secret-of-vic"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["code"] == "unauthorized"


async def test_a_token_is_the_actor_whatever_the_caller_claims(guarded: Api) -> None:
    """With tokens the audit log has the token's name, not the one in a header."""
    flag = {"variants": {"a": 1}, "stable": "a"}
    await guarded.http.put("/v1/flags/x", json=flag, headers={**_as("olga"), "X-Turnout-Actor": "somebody"})
    entries = (await guarded.http.get("/v1/audit", headers=_as("vic"))).json()["entries"]
    assert [entry["actor"] for entry in entries] == ["olga"]


async def test_nobody_hears_what_is_wrong_with_a_body_before_saying_who_they_are(guarded: Api) -> None:
    """The token is looked at before the body."""
    answer = await guarded.http.post("/v1/rollouts", content=b"{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "[::", "192.0.2.1"])
async def test_without_tokens_only_this_machine_is_answered(api: Api, host: str) -> None:
    """A name that merely resolves to this machine, as after DNS rebinding, is refused."""
    answer = await api.http.get("/v1/flags", headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_without_tokens_no_web_page_may_change_anything(api: Api) -> None:
    """A request that a browser sends for another site's page is refused; the API's own page may."""
    body = {"flags": {"x": {"variants": {"a": 1}, "stable": "a"}}}
    answer = await api.http.post("/v1/flags", json=body, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert (await api.http.post("/v1/flags", json=body, headers={"Origin": api.url})).status_code == 200
