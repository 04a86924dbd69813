"""Cohorts and regions through the whole stack: from files of ids and IP addresses to shares that stay."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.stack import FLAG, FLAGS, Stack, eventually
from tests.e2e.test_crashes import GOOD, ended
from tests.e2e.traffic import Traffic
from turnout import Turnout
from turnout.testing.places import country, write_places

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

USERS = [f"user-{number}" for number in range(200)]
GATE = {"metric": "success_rate", "min": 0.8, "min_samples": 10, "min_units": 5}


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """A database of two countries."""
    networks = {"77.0.0.0/8": country("DE"), "2a02:100::/32": country("AT"), "8.0.0.0/8": country("US")}
    return write_places(tmp_path / "places.mmdb", networks)


@pytest.fixture
def stack(tmp_path: Path, places: Path) -> Generator[Stack]:
    """A running stack that knows where addresses are."""
    running = Stack.up(tmp_path / "data", TURNOUT_GEO_DATABASE=str(places))
    try:
        with running.http() as http:
            http.post("/v1/flags", json=FLAGS).raise_for_status()
        yield running
    finally:
        running.down()


def spec(**strategy: Any) -> dict[str, Any]:
    """A rollout of the flag whose stages are short."""
    own = {"stage_duration": "2s", **strategy}
    return {"flag": FLAG, "candidate": "lightrag", "strategy": own, "gates": [GATE], "check_every": "1s"}


def plan_of(user: str) -> dict[str, object]:
    """Every other user is a beta customer."""
    return {"plan": "beta" if int(user[5:]) % 2 else "free"}


def chosen(http: httpx.Client, contexts: Mapping[str, Mapping[str, object]]) -> set[str]:
    """The users whom OFREP gives the candidate."""
    asked = {
        user: http.post(f"/ofrep/v1/evaluate/flags/{FLAG}", json={"context": {"targetingKey": user, **context}}).json()
        for user, context in contexts.items()
    }
    return {user for user, answer in asked.items() if answer["variant"] == "lightrag"}


def test_cohorts_get_the_candidate_one_after_the_other_and_keep_their_shares(stack: Stack, tmp_path: Path) -> None:
    """Staff from a file, then half of the beta customers; afterwards a smaller share takes some of these back."""
    staff = USERS[:40]
    (tmp_path / "staff.txt").write_text("\n".join(staff))
    cohorts: list[dict[str, Any]] = [
        {"name": "staff", "match": {"file": "staff.txt"}},
        {"name": "beta", "match": {"plan": "beta"}, "percentage": 50},
    ]
    (tmp_path / "rollout.yaml").write_text(json.dumps(spec(kind="cohort", cohorts=cohorts)))
    with Traffic(stack.url, GOOD, attributes=plan_of):
        stack.turnout("start", str(tmp_path / "rollout.yaml"))
        assert eventually(stack.rollout, ended)["state"] == "completed"
    moved = [d["share"] for d in stack.decisions() if d["weights"] is not None]
    assert moved == [1.0, 0.5, 0.5]
    contexts = {user: plan_of(user) for user in USERS}
    with stack.http() as http:
        before = chosen(http, contexts)
        assert before >= set(staff)
        assert {plan_of(user)["plan"] for user in before - set(staff)} == {"beta"}
        assert "set from 50 % to 20 %" in stack.turnout("cohorts", "set", FLAG, "beta", "20", "--reason", "busy")
        after = eventually(lambda: chosen(http, contexts), lambda seen: seen != before)
    assert set(staff) < after < before
    assert (stack.decisions()[-1]["kind"], stack.decisions()[-1]["actor"]) == ("adjusted", "carol")


def test_regions_come_from_addresses_and_a_share_can_change_on_the_way(stack: Stack, places: Path) -> None:
    """IPv4, IPv6 and private addresses; less in the first region while the second one's stage runs, then completed."""
    ips = ["77.1.2.3", "2a02:100::7", "10.0.0.1", "8.8.8.8"]
    contexts: dict[str, dict[str, object]] = {user: {"ip": ips[n % 4]} for n, user in enumerate(USERS)}
    regions = [{"name": "dach", "countries": ["DE", "AT"], "percentage": 80}, {"name": "us", "countries": ["US"]}]
    with Traffic(stack.url, GOOD, attributes=contexts.__getitem__):
        stack.start(spec(kind="geographic", regions=regions))
        eventually(stack.rollout, lambda seen: seen.get("stage") == 1)
        with stack.http() as http:
            less = {"percentage": 30, "reason": "complaints"}
            http.post(f"/v1/rollouts/{FLAG}/cohorts/dach", json=less).raise_for_status()
        assert eventually(stack.rollout, ended)["state"] == "completed"
    moves = [d["kind"] for d in stack.decisions() if d["weights"] is not None]
    assert moves == ["started", "advanced", "adjusted", "settled"]
    with stack.http() as http, Turnout(stack.url, cache_dir=None, geo=places) as client:
        assert client.wait_ready(10)
        through_ofrep = chosen(http, contexts)
        in_process = {user for user in USERS if client.variant(FLAG, user, **contexts[user]) == "lightrag"}
    assert in_process == through_ofrep
    found = {ip: sum(contexts[user]["ip"] == ip for user in in_process) for ip in ips}
    assert (found["8.8.8.8"], found["10.0.0.1"]) == (50, 0)
    assert all(0 < found[ip] < 35 for ip in ips[:2])
