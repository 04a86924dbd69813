"""What is particular to HAProxy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.routers.conftest import Services
from tests.integration.routers.sites import HaproxySite
from tests.integration.routers.test_routers import HEADER, split
from turnout.adapters.routers import HaproxyRouter
from turnout.domain.errors import InvalidInput, Unavailable
from turnout.domain.routing import Haproxy
from turnout.domain.splits import drifts

pytestmark = pytest.mark.slow

Sites = Callable[..., HaproxySite]


@pytest.fixture
def sites(services: Services, tmp_path: Path) -> Iterator[Sites]:
    """Starts HAProxy with the documented configuration changed here and there."""
    started = list[HaproxySite]()

    def start(**changes: object) -> HaproxySite:
        site = HaproxySite(tmp_path, services.blue.port, services.green.port, **changes)  # type: ignore[arg-type]
        site.start()
        started.append(site)
        return site

    yield start
    for site in started:
        site.kill()


async def test_the_runtime_api_on_tcp(sites: Sites) -> None:
    """A socket that is host:port works as one that is a path."""
    site = sites(tcp=True)
    state = await HaproxyRouter(site.config).apply(split(1, 25_000, HEADER))
    assert (state.drift, state.shares, state.preview) == ((), {"blue": 75_000, "green": 25_000}, HEADER)


async def test_a_server_in_maintenance_is_a_drift_that_is_left_alone(haproxy: HaproxySite) -> None:
    """Who took a server out of service keeps it out: applying reports it each time, and only where it gets traffic."""
    steered, asked = HaproxyRouter(haproxy.config), split(1, 50_000)
    await steered.apply(asked)
    haproxy.say("set server app/green1 state maint")
    expected = ["condition of green: expected up, found maintenance"]
    assert [str(drift) for drift in (await steered.apply(asked)).drift] == expected
    assert (await steered.apply(split(2, 0))).drift == ()
    haproxy.say("set server app/green1 state drain")
    state = await steered.apply(split(3, 10_000))
    assert state.conditions == {"blue": "up", "green": "draining"}
    assert [drift.found for drift in state.drift] == ["draining"]


async def test_a_server_that_fails_its_checks_is_down(haproxy: HaproxySite, services: Services) -> None:
    """HAProxy's own verdict on a server is part of what is read."""
    steered = HaproxyRouter(haproxy.config)
    await steered.apply(split(1, 50_000))
    await services.blue.stop()
    async with asyncio.timeout(60):
        while (await steered.read()).conditions["blue"] != "down":
            await asyncio.sleep(0.2)
    found = drifts(steered.planned(split(1, 50_000)), await steered.read())
    assert [str(drift) for drift in found] == ["condition of blue: expected up, found down"]


async def test_a_preview_switched_off_by_hand_is_a_drift(haproxy: HaproxySite) -> None:
    """What the variable says is what is read, not what was once asked for."""
    steered, asked = HaproxyRouter(haproxy.config), split(1, 0, HEADER)
    await steered.apply(asked)
    haproxy.say("experimental-mode on; set var proc.turnout_app_preview str(none)")
    found = drifts(steered.planned(asked), await steered.read())
    assert [str(drift) for drift in found] == ["preview: expected header x-preview=green to green, found none"]
    assert (await steered.apply(asked)).drift == ()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("backend", "ap", r"router\.backend: is no backend of HAProxy \(got ap\)"),
        (
            "servers",
            {"blue": "blue1", "green": "gren1"},
            r"router\.servers\.green: .* \(got gren1\); did you mean green1",
        ),
    ],
)
async def test_a_wrong_name_is_told(haproxy: HaproxySite, field: str, value: object, message: str) -> None:
    """The field, what is there, and the remedy."""
    with pytest.raises(InvalidInput, match=message):
        await HaproxyRouter(haproxy.config.model_copy(update={field: value})).apply(split(1, 0))


async def test_a_socket_without_the_right_to_change(sites: Sites) -> None:
    """Below level admin nothing is changed and the remedy is named."""
    site = sites(changes={"level admin": "level operator"})
    with pytest.raises(InvalidInput, match=r"router\.socket: allows no changes .*; write `stats socket … level admin`"):
        await HaproxyRouter(site.config).apply(split(1, 50_000))
    assert "blue1" in site.say("show servers state app")


async def test_an_algorithm_with_fixed_weights(sites: Sites) -> None:
    """An algorithm that cannot change weights is named."""
    site = sites(changes={"balance roundrobin": "balance static-rr"})
    with pytest.raises(InvalidInput, match=r"router\.backend: has fixed weights .*; write `balance roundrobin`"):
        await HaproxyRouter(site.config).apply(split(1, 50_000))


@pytest.mark.parametrize("answers", [True, False])
async def test_a_socket_that_never_answers(answers: bool) -> None:
    """A peer that closes without a word, or says nothing at all, is unavailable within the timeout."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (reader.readline() if answers else reader.read())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        config = Haproxy.model_validate(
            {
                "kind": "haproxy",
                "socket": f"127.0.0.1:{port}",
                "backend": "app",
                "servers": {"blue": "b", "green": "g"},
                "timeout": "500ms",
            }
        )
        with pytest.raises(Unavailable, match="closed the connection" if answers else r"within 0\.5s"):
            await HaproxyRouter(config).read()
