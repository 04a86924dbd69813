"""The main job, whole: evidence moves users over, and takes them back."""

from __future__ import annotations

import pytest

from tests.e2e.stack import FLAG, Stack, eventually, gradual
from tests.e2e.test_crashes import GOOD, ended
from tests.e2e.traffic import Traffic
from turnout import Turnout

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_a_bad_candidate_is_taken_back_by_its_guardrail(stack: Stack) -> None:
    """A candidate that fails is withdrawn from everybody within the first stage, with the evidence kept."""
    guardrail = {"metric": "error_rate", "max": 0.2, "min_samples": 10, "min_units": 5}
    with Traffic(stack.url, {"perplexity": True, "lightrag": False}):
        stack.start(gradual(hold="10m", guardrails=[guardrail]))
        rollout = eventually(stack.rollout, ended)
    assert rollout["state"] == "rolled_back"
    assert rollout["share"] == 0.0
    withdrawn = next(d for d in stack.decisions() if d["kind"] == "withdrawn")
    assert withdrawn["verdict"] == "fail"
    with stack.http() as http:
        story = http.get(f"/v1/rollouts/{FLAG}/decisions", params={"evidence": True}).json()
    assert "error_rate" in str(story)


def test_a_failed_gate_goes_back_one_stage(stack: Stack) -> None:
    """A gate that fails at the end of the second stage takes the rollout back to the first."""
    ok = dict(GOOD)
    with Traffic(stack.url, ok):
        stack.start(gradual(hold="5s"))
        eventually(stack.rollout, lambda r: r.get("stage") == 1)
        ok["lightrag"] = False
        eventually(stack.decisions, lambda all_: any(d["kind"] == "moved_back" for d in all_))
        back = stack.rollout()
    assert (back["stage"], back["share"]) == (0, 0.1)


def test_two_rollouts_on_one_flag_are_refused(stack: Stack) -> None:
    """The second start is refused and told who runs the first."""
    stack.start(gradual(hold="10m"))
    with stack.http("bob") as http:
        answer = http.post("/v1/rollouts", json={"spec": gradual()})
    assert answer.status_code == 409
    assert answer.json()["code"] == "rollout_open"
    assert "alice" in answer.text


def test_a_connected_client_has_an_abort_before_it_is_reported_done(stack: Stack) -> None:
    """When the abort command answers, every user of a connected client is on stable."""
    stack.start(gradual(hold="10m", strategy={"kind": "gradual", "stages": [50, 100], "stage_duration": "10m"}))
    users = [f"user-{i}" for i in range(500)]
    with Turnout(stack.url, cache_dir=None) as client:
        assert client.wait_ready(10)
        eventually(lambda: {client.resolve(FLAG, u).variant for u in users}, lambda seen: "lightrag" in seen)
        with stack.http() as http:
            answer = http.post(f"/v1/rollouts/{FLAG}/abort", json={"reason": "test"})
        assert answer.status_code == 200
        assert answer.json()["state"] == "aborted"
        eventually(lambda: {client.resolve(FLAG, u).variant for u in users}, lambda seen: seen == {"perplexity"}, 5)


def test_resolving_goes_on_without_the_controller(stack: Stack, tmp_path) -> None:
    """A service restarted while the controller is down serves the last snapshot from disk, the same to each user."""
    stack.start(gradual(hold="10m"))
    eventually(stack.rollout, lambda r: r.get("share") == 0.1)
    users = [f"user-{i}" for i in range(1000)]
    with Turnout(stack.url, cache_dir=tmp_path / "cache") as client:
        assert client.wait_ready(10)
        eventually(lambda: {client.resolve(FLAG, u).variant for u in users}, lambda seen: "lightrag" in seen)
        before = {u: client.resolve(FLAG, u).variant for u in users}
    stack.down()
    with Turnout(stack.url, cache_dir=tmp_path / "cache") as client:
        assert {u: client.resolve(FLAG, u).variant for u in users} == before
