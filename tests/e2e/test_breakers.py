"""A shared breaker through the whole stack: one process trips, every client and a running rollout hear of it."""

from __future__ import annotations

from typing import Any

from tests.e2e.stack import FLAG, FLAGS, Stack, eventually, gradual
from turnout import ErrorBreaker, Policy, Turnout

USERS = [f"user-{number}" for number in range(200)]
POLICY = {"recovery_timeout": "1s", "probe_share": 50, "probes": 2}


def ask_web(query: str) -> str:
    """The stable system."""
    return f"web: {query}"


def ask_hybrid(query: str) -> str:
    """The candidate."""
    return f"hybrid: {query}"


def fail(query: str) -> str:
    """A candidate that is down, where one process asks it."""
    raise ConnectionError(query)


SYSTEMS = {"perplexity": ask_web, "lightrag": ask_hybrid}
BROKEN = SYSTEMS | {"lightrag": fail}


def test_one_process_trips_and_all_are_kept_from_it(stack: Stack) -> None:
    """Clients and OFREP get stable by the breaker, the rollout pauses; good probes bring everything back."""
    fields = FLAGS["flags"][FLAG] | {"breakers": {"lightrag": POLICY}, "notify": [{"stdout": True}]}
    with stack.http() as http:
        http.post("/v1/flags", json={"flags": {FLAG: fields}}).raise_for_status()
        spec = gradual("1h") | {"strategy": {"kind": "gradual", "stages": [50, 100], "stage_duration": "1h"}}
        http.post("/v1/rollouts", json={"spec": spec}).raise_for_status()
        with Turnout(stack.url, cache_dir=None) as client, Turnout(stack.url, cache_dir=None) as tripping:
            exposed = eventually(lambda: _exposed(client), bool)
            eventually(lambda: _exposed(tripping), lambda seen: seen == exposed)
            tripping.guard(FLAG, Policy(errors=ErrorBreaker(failure_threshold=2, recovery_timeout="1m")))
            reasons = [tripping.call(FLAG, user, BROKEN, query="x").reason for user in exposed[:2]]
            assert reasons == ["error_fallback", "error_fallback"]
            eventually(lambda: _exposed(client), lambda seen: not seen)
            answer = client.call(FLAG, exposed[0], SYSTEMS, query="x")
            assert (answer.value, answer.served_by, answer.reason) == ("web: x", "perplexity", "breaker_open")
            remote = _ofrep(http, exposed[0])
            assert (remote["variant"], remote["metadata"]["decidedBy"]) == ("perplexity", "breaker")
            eventually(stack.rollout, lambda seen: seen["state"] == "paused")
            assert stack.rollout()["pause"]["by"] == "breaker"
            probing = eventually(lambda: _exposed(client), bool)
            assert set(probing) < set(exposed)
            assert [client.call(FLAG, user, SYSTEMS, query="x").value for user in probing[:2]] == ["hybrid: x"] * 2
            assert eventually(lambda: _exposed(client), lambda seen: len(seen) == len(exposed)) == exposed
        shown = http.get("/v1/breakers").json()["breakers"]
        assert [(one["variant"], one["circuit"], one["why"]) for one in shown] == [
            ("lightrag", "closed", "2 probes went well")
        ]
        log = http.get("/v1/audit", params={"subject": f"{FLAG}/lightrag"}).json()["entries"]
        assert [entry["action"] for entry in reversed(log)] == ["breaker.open", "breaker.half_open", "breaker.closed"]


def _exposed(client: Turnout) -> list[str]:
    return [user for user in USERS if client.resolve(FLAG, user).variant == "lightrag"]


def _ofrep(http: Any, user: str) -> dict[str, Any]:
    body = {"context": {"targetingKey": user}}
    return dict(http.post(f"/ofrep/v1/evaluate/flags/{FLAG}", json=body).json())
