"""When a rollout may move, through the whole stack: a scheduled start, a freeze, and somebody who overrides it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.stack import FLAG, Stack, eventually, gradual

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_scheduled_frozen_begun_and_overridden(stack: Stack) -> None:
    """It begins at its time, but not in a freeze; lifting that lets it go on, and who may moves on against another."""
    begins = datetime.now(UTC) + timedelta(seconds=3)
    by_hand = {"kind": "canary", "percentage": 10, "max_percentage": 10, "auto_promote": False}
    spec = gradual(strategy=by_hand, start_at=begins.isoformat(), windows={"timezone": "Europe/Berlin"})
    with stack.http("carol") as http:
        http.post(
            "/v1/freezes", json={"id": "f1", "start": "2026-01-01T00:00:00Z", "reason": "audit"}
        ).raise_for_status()
        stack.start(spec)
        assert stack.rollout()["state"] == "scheduled"
        waiting = eventually(stack.rollout, lambda seen: seen.get("state") == "waiting_window")
        assert (waiting["closed"]["why"], waiting["share"], waiting["since"]) == ("frozen: audit", 0, None)
        http.delete("/v1/freezes/f1").raise_for_status()
        eventually(stack.rollout, lambda seen: seen.get("state") == "running")
        http.post("/v1/freezes", json={"start": begins.isoformat(), "reason": "again", "flags": [FLAG]})
        moved = http.post(f"/v1/rollouts/{FLAG}/promote", json={"reason": "the fix cannot wait"}).json()
        assert moved["applied"], moved
        http.post(f"/v1/rollouts/{FLAG}/abort", json={}).raise_for_status()
    told = stack.decisions()
    assert [d["kind"] for d in told] == ["scheduled", "waiting_window", "started", "overridden", "withdrawn", "ended"]
    assert told[3]["overrode"]["why"] == "frozen: again"
    assert datetime.fromisoformat(told[1]["at"]) >= begins
