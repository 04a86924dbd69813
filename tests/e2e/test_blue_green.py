"""Blue-green with real traffic: two services behind real Caddy and real HAProxy, under load that never pauses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.stack import Stack, eventually
from tests.integration.routers.services import Load, Service, load, within_binomial_bounds
from tests.integration.routers.sites import CaddySite, HaproxySite, router
from turnout.domain.errors import Unavailable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ENOUGH = 50
"""Requests that show a share."""


@dataclass
class Side:
    """A router with its own two services, the flag that it belongs to, and what its clients saw."""

    flag: str
    site: CaddySite | HaproxySite
    blue: Service
    green: Service
    stack: Stack
    seen: Load
    moved: dict[int, float] = field(default_factory=dict[int, float])
    """When the router was first seen to follow a generation."""
    baked: float = float("inf")
    """Until when nobody but Turnout has changed the router."""

    def spec(self, **more: Any) -> dict[str, Any]:
        """Four quick moves, then a bake that nobody waits for."""
        health = {
            "url": f"http://127.0.0.1:{self.green.port}/healthz",
            "expect": {"body": "green"},
            "consecutive": 3,
            "interval": "500ms",
        }
        strategy = {
            "kind": "blue_green",
            "router": self.site.config.model_dump(mode="json"),
            "health": health,
            "steps": 4,
            "switch_duration": "6s",
            "bake": "10m",
        }
        return {"flag": self.flag, "candidate": "green", "check_every": "1s", "strategy": strategy | more}

    def start(self, **more: Any) -> None:
        flags = {self.flag: {"variants": {"blue": "blue", "green": "green"}, "stable": "blue"}}
        with self.stack.http() as http:
            http.post("/v1/flags", json={"flags": flags}).raise_for_status()
            answer = http.post("/v1/rollouts", json={"spec": self.spec(**more)})
            assert answer.status_code == 201, answer.text

    def look(self) -> dict[str, Any]:
        with self.stack.http() as http:
            return dict(http.get(f"/v1/rollouts/{self.flag}").json())

    def decisions(self) -> list[dict[str, Any]]:
        with self.stack.http() as http:
            return list(http.get(f"/v1/rollouts/{self.flag}/decisions").json()["decisions"])

    def rollback(self) -> dict[str, Any]:
        with self.stack.http() as http:
            return dict(http.post(f"/v1/rollouts/{self.flag}/rollback", json={"reason": "try it"}).json())

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The rollout, once it is as wanted."""
        return dict(await asyncio.to_thread(eventually, self.look, wanted))

    async def told(self, kind: str, text: str = "") -> dict[str, Any]:
        """The latest decision of this kind with ``text``, once there is one."""

        def found() -> list[dict[str, Any]]:
            return [d for d in self.decisions() if d["kind"] == kind and text in d["text"]]

        return dict((await asyncio.to_thread(eventually, found, bool))[-1])

    async def follow(self) -> None:
        """Keep reading what the router does."""
        async with httpx.AsyncClient(trust_env=False) as http:
            while True:
                with suppress(Unavailable):  # Caddy closes connections to its administration while it loads
                    state = await router(self.site, http).read()
                    self.moved.setdefault(state.generation or 0, time.time())
                await asyncio.sleep(0.05)

    def answers(self, begin: float, end: float = float("inf")) -> list[str]:
        """The answers to requests that began in that time."""
        return [answer for at, answer in self.seen.log if begin <= at < end]

    async def asked(self, begin: float) -> list[str]:
        """The answers from ``begin`` on, once there are enough."""
        async with asyncio.timeout(30):
            while len(self.answers(begin)) < ENOUGH:
                await asyncio.sleep(0.05)
        return self.answers(begin)

    async def served_once(self) -> None:
        """Every request that a service took was answered, once those on their way are."""
        async with asyncio.timeout(10):
            while self.blue.served + self.green.served != self.seen.answered:
                await asyncio.sleep(0.05)

    def observed(self) -> list[tuple[float, list[str]]]:
        """For every share of a stage: it, and the answers from when the router had it until the next decision."""
        moves = [d for d in self.decisions() if d["weights"] is not None]
        times = [datetime.fromisoformat(d["at"]).timestamp() for d in moves]
        return [
            (move["share"], self.answers(self.moved[move["generation"]], until))
            for move, until in zip(moves, [min(at, self.baked) for at in times[1:]], strict=False)
        ]


@pytest.fixture
async def sides(stack: Stack, tmp_path: Path) -> AsyncIterator[list[Side]]:
    """Caddy and HAProxy, each with services of its own under load."""
    async with AsyncExitStack() as cleanup:
        found = list[Side]()
        for kind in (HaproxySite, CaddySite):
            blue, green = Service("blue"), Service("green")
            for service in (blue, green):
                await service.start()
                cleanup.push_async_callback(service.stop)
            folder = tmp_path / kind.__name__
            folder.mkdir()
            site = kind(folder, blue.port, green.port)
            await asyncio.to_thread(site.start)
            cleanup.callback(site.kill)
            if isinstance(site, CaddySite):
                await asyncio.to_thread(site.put_in_front)
            seen = await cleanup.enter_async_context(load(site.public, clients=3, pause=0.01))
            side = Side(kind.__name__, site, blue, green, stack, seen)
            following = asyncio.create_task(side.follow())
            cleanup.callback(following.cancel)
            found.append(side)
        yield found


async def test_no_request_is_lost_in_a_switch_a_crash_and_a_rollback(sides: list[Side]) -> None:
    """Under load all the time: the worker is killed in the middle of the switch, and everybody is taken back from the
    bake. Every request is answered once, the shares that were seen are those that were planned, and nobody meets green
    once the rollback is done. A change of the weights by hand is set right, and an unhealthy green refused."""
    haproxy, _ = sides
    for side in sides:
        await asyncio.to_thread(side.start)
    await haproxy.until(lambda rollout: rollout["share"] == 0.5)
    await asyncio.to_thread(haproxy.stack.kill, "workers")
    for side in sides:
        baking = await side.until(lambda rollout: rollout["share"] == 1)
        async with asyncio.timeout(30):
            while baking["generation"] not in side.moved:
                await asyncio.sleep(0.05)
        await side.asked(side.moved[baking["generation"]])
        side.baked = time.time()
        await asyncio.to_thread(side.site.by_hand, 3, 1)
    for side in sides:
        held = await side.told("held", "the router did otherwise: ")
        assert held["text"].endswith("share of green: expected 100 %, found 25 %; set right")
        await side.told("recovered")
        assert (await asyncio.to_thread(side.rollback))["state"] == "rolled_back"
        assert set(await side.asked(time.time())) == {"blue"}
        side.seen.over = True
    for side in sides:
        await _saw_what_was_planned(side)
    haproxy.green.health = 503
    await asyncio.to_thread(haproxy.start)
    assert (await haproxy.until(lambda rollout: rollout["state"] == "rolled_back"))["share"] == 0
    assert "health is 0, below 1 (status 503, expected 200), 3 readings" in (await haproxy.told("withdrawn"))["text"]


async def _saw_what_was_planned(side: Side) -> None:
    seen = await asyncio.to_thread(side.observed)
    assert [share for share, _ in seen] == [0, 0.25, 0.5, 0.75, 1]
    for share, answers in seen:
        assert answers, share
        assert within_binomial_bounds(answers.count("green"), len(answers), share), (side.flag, share)
    assert (side.seen.failures, side.seen.resent) == ([], 0)
    await side.served_once()
