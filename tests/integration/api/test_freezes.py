"""Freezes over HTTP, and who may override them."""

from __future__ import annotations

from datetime import timedelta

from api.auth import Caller
from api.commanding import roles_of
from api.services import utc_now
from tests.integration.api.harness import SPEC, Api, running
from turnout.adapters.settings import Token
from turnout.ports import Stores
from turnout.strategies import compile_plan, parse_spec

TOKENS = (
    Token(name="olga", roles=("operator",), secret="secret-of-olga"),
    Token(name="vic", roles=("viewer",), secret="secret-of-vic"),
    Token(name="fred", roles=("freeze_override",), secret="secret-of-fred"),
)


async def test_the_life_of_a_freeze(api: Api) -> None:
    """Added with an id it is kept once, listed until it is over, lifted once, and audited with who did it."""
    now = utc_now()
    body = {
        "id": "xmas",
        "start": now.isoformat(),
        "end": (now + timedelta(days=9)).isoformat(),
        "reason": "holidays",
        "flags": ["checkout"],
    }
    for _ in range(2):
        added = await api.http.post("/v1/freezes", json=body, headers={"X-Turnout-Actor": "carol"})
        assert (added.status_code, added.headers["location"]) == (201, "/v1/freezes/xmas")
        assert (added.json()["by"], added.json()["flags"]) == ("carol", ["checkout"])
    over = {"start": "2020-01-01T00:00:00Z", "end": "2020-02-01T00:00:00Z", "reason": "long ago"}
    assert (await api.http.post("/v1/freezes", json=over)).status_code == 201
    assert [f["id"] for f in (await api.http.get("/v1/freezes")).json()["freezes"]] == ["xmas"]
    assert len((await api.http.get("/v1/freezes", params={"all": "true"})).json()["freezes"]) == 2
    lifted = await api.http.delete("/v1/freezes/xmas", params={"reason": "back early"})
    assert (lifted.status_code, lifted.json()["id"]) == (200, "xmas")
    again = await api.http.delete("/v1/freezes/xmas")
    assert (again.status_code, again.json()["code"]) == (404, "not_found")
    log = (await api.http.get("/v1/audit", params={"subject": "xmas"})).json()["entries"]
    assert [(e["action"], e["actor"]) for e in log] == [("freeze.removed", "local"), ("freeze.added", "carol")]
    assert log[0]["detail"].endswith("holidays (back early)")


async def test_what_is_no_freeze(api: Api) -> None:
    """Every fault with its path: no reason, no offset, an end before the begin."""
    body = {"start": "2026-12-20T00:00:00", "reason": ""}
    problems = (await api.http.post("/v1/freezes", json=body)).json()["problems"]
    assert {p["path"] for p in problems} == {"start", "reason"}
    body = {"start": "2026-12-20T00:00:00Z", "end": "2026-12-19T00:00:00Z", "reason": "x"}
    answer = await api.http.post("/v1/freezes", json=body)
    assert answer.status_code == 400
    assert "write a later end" in str(answer.json()["problems"])


async def test_operators_freeze_and_viewers_look(stores: Stores) -> None:
    """The role that overrides freezes is no role to add them with, nor to approve."""
    async with running(stores, tokens=TOKENS) as api:
        for name, method, path, allowed in (
            ("olga", "POST", "/v1/freezes", True),
            ("vic", "POST", "/v1/freezes", False),
            ("fred", "POST", "/v1/freezes", False),
            ("fred", "POST", "/v1/rollouts/x/approve", False),
            ("vic", "GET", "/v1/freezes", True),
            ("olga", "DELETE", "/v1/freezes/x", True),
            ("vic", "DELETE", "/v1/freezes/x", False),
        ):
            headers = {"Authorization": f"Bearer secret-of-{name}"}
            answer = await api.http.request(method, path, headers=headers)
            assert (answer.status_code != 403) is allowed, (name, method, path)


def test_who_may_override() -> None:
    """Whoever reaches an open API may; with tokens only who has the role."""
    plan = compile_plan(parse_spec(SPEC), "perplexity")
    assert roles_of(Caller("local", frozenset(), trusted=True), plan) == ("freeze_override",)
    assert roles_of(Caller("olga", frozenset({"operator"})), plan) == ("operator",)
