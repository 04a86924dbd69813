"""What is particular to Caddy."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.routers.conftest import Services
from tests.integration.routers.services import load
from tests.integration.routers.sites import CaddySite, router
from tests.integration.routers.test_routers import split
from turnout.adapters.routers import CaddyRouter
from turnout.domain.errors import InvalidInput, StaleGeneration, Unavailable
from turnout.domain.splits import Preview, drifts

pytestmark = pytest.mark.slow


def loads(folder: Path) -> int:
    """How often Caddy has loaded a configuration."""
    return (folder / "router.log").read_text().count('"msg":"servers shutting down')


async def test_the_rest_of_the_route_stays(caddy: CaddySite, http: httpx.AsyncClient) -> None:
    """Matchers, other handlers and the proxy's own settings survive a change, and previews have them too."""
    route: dict[str, Any] = json.loads(json.dumps(caddy.route()))
    proxy = route["handle"][0]
    proxy |= {"headers": {"response": {"set": {"X-From": ["proxy"]}}}}
    proxy["load_balancing"] |= {"retries": 1}
    proxy["upstreams"][1]["max_requests"] = 50
    route["match"] = [{"path": ["/*"]}]
    route["handle"] = [{"handler": "headers", "response": {"set": {"X-Route": ["yes"]}}}, proxy]
    httpx.patch(f"{caddy.admin}/id/app", json=route, trust_env=False).raise_for_status()

    preview = Preview(variant="green", cookie="track", value="green")
    steered = router(caddy, http)
    assert (await steered.apply(split(1, 0, preview))).drift == ()
    shown = await http.get(caddy.public, headers={"cookie": "a=b; track=green"})
    hidden = await http.get(caddy.public, headers={"cookie": "track=greenish"})
    assert (shown.text, shown.headers["x-from"], shown.headers["x-route"]) == ("green", "proxy", "yes")
    assert (hidden.text, hidden.headers["x-from"], hidden.headers["x-route"]) == ("blue", "proxy", "yes")

    await steered.apply(split(2, 0))
    found: dict[str, Any] = json.loads(json.dumps(caddy.route()))
    assert found["handle"].pop(1)["@id"] == "app-turnout"
    assert found == route


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_with_a_second_one_in_front_no_request_is_lost(
    caddy: CaddySite, services: Services, http: httpx.AsyncClient, method: str
) -> None:
    """Behind the documented front, changes under load cost no request, and no client has to send one again."""
    caddy.put_in_front()
    steered = router(caddy, http)
    async with load(caddy.public, method) as seen:
        for generation in range(1, 11):
            await steered.apply(split(generation, generation % 2 * 50_000))
            await seen.during(str(generation), 50)
    assert (seen.failures, seen.resent) == ([], 0)
    assert seen.answered == services.blue.served + services.green.served > 500


async def test_the_same_split_again_loads_nothing(caddy: CaddySite, http: httpx.AsyncClient, tmp_path: Path) -> None:
    """Repeating a change costs no reload, so no connection."""
    steered = router(caddy, http)
    await steered.apply(split(1, 10_000))
    before = loads(tmp_path)
    await steered.apply(split(1, 10_000))
    assert loads(tmp_path) == before > 0


class Dropping(httpx.AsyncHTTPTransport):
    """Loses the answer to the first request of each method, after it has done its work."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped = set[str]()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if request.method in self.dropped:
            return response
        self.dropped.add(request.method)
        await response.aclose()
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.")


async def test_an_answer_that_is_lost_is_asked_for_again(caddy: CaddySite) -> None:
    """Caddy may close the connection over which it was told to load; what it does is then looked up."""
    transport = Dropping()
    async with httpx.AsyncClient(transport=transport) as http:
        state = await router(caddy, http).apply(split(1, 10_000))
    assert (state.drift, state.shares["green"]) == ((), 10_000)
    assert transport.dropped == {"GET", "PATCH"}


async def test_of_writers_at_once_the_newest_wins(caddy: CaddySite, http: httpx.AsyncClient) -> None:
    """Whatever the order in which they get through, an older change never replaces a newer one.

    Caddy closes connections to its administration while it loads what another one wrote; a writer, like every caller,
    then tries again.
    """

    async def write(generation: int) -> BaseException | None:
        for _ in range(20):
            try:
                await CaddyRouter(caddy.config, http).apply(split(generation, generation * 10_000))
            except Unavailable:
                continue
            except StaleGeneration as error:
                return error
            return None
        raise AssertionError("Caddy did not answer twenty times")

    ended = await asyncio.gather(*(write(generation) for generation in (3, 1, 4, 2)))
    assert ended[2] is None, "the newest was refused"
    state = await router(caddy, http).read()
    assert (state.generation, state.shares["green"]) == (4, 40_000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"route": "apps"}, r"router\.route: is the @id of nothing in Caddy \(got apps\); give the route an \"@id\""),
        (
            {"server": "srv1"},
            r"router\.server: has no such route \(got srv1\); app is at /config/apps/http/servers/srv0/",
        ),
    ],
)
async def test_a_wrong_name_is_told(
    caddy: CaddySite, http: httpx.AsyncClient, change: dict[str, str], message: str
) -> None:
    """The field, what is there, and the remedy."""
    with pytest.raises(InvalidInput, match=message):
        await CaddyRouter(caddy.config.model_copy(update=change), http).apply(split(1, 0))


async def test_a_route_without_a_proxy(caddy: CaddySite, http: httpx.AsyncClient) -> None:
    """A route that cannot be steered is refused before any change."""
    route: dict[str, Any] = {**caddy.route(), "handle": [{"handler": "static_response", "body": "maintenance"}]}
    httpx.patch(f"{caddy.admin}/id/app", json=route, trust_env=False).raise_for_status()
    with pytest.raises(InvalidInput, match=r"router\.route: has 0 reverse proxies"):
        await router(caddy, http).apply(split(1, 0))
    assert caddy.route() == route


async def test_the_refusal_of_caddy_is_passed_on(services: Services, http: httpx.AsyncClient, tmp_path: Path) -> None:
    """An admin API that answers only to other names says so, and asking again would not help."""
    listen = '"listen": "127.0.0.1:2019"'
    changes = {listen: f'{listen}, "origins": ["turnout.example"]'}
    site = CaddySite(tmp_path, services.blue.port, services.green.port, changes)
    site.start()
    try:
        with pytest.raises(InvalidInput, match=r'router: Caddy refuses: \{"error":"host not allowed'):
            await router(site, http).read()
    finally:
        site.kill()


async def test_another_upstream_and_another_policy_are_drifts(caddy: CaddySite, http: httpx.AsyncClient) -> None:
    """A foreign upstream goes by its address, and a policy without weights treats all alike; applying mends both."""
    steered, asked = router(caddy, http), split(1, 20_000)
    await steered.apply(asked)
    route: dict[str, Any] = json.loads(json.dumps(caddy.route()))
    proxy = route["handle"][-1]
    proxy["upstreams"].append({"dial": "127.0.0.1:9"})
    proxy["load_balancing"]["selection_policy"] = {"policy": "least_conn"}
    httpx.patch(f"{caddy.admin}/id/app", json=route, trust_env=False).raise_for_status()
    found = drifts(steered.planned(asked), await steered.read())
    assert [(drift.kind, drift.subject) for drift in found] == [
        ("share", "127.0.0.1:9"),
        ("share", "blue"),
        ("share", "green"),
    ]
    assert (await steered.apply(asked)).drift == ()


async def test_what_is_no_admin_api_is_unavailable(caddy: CaddySite, http: httpx.AsyncClient) -> None:
    """An address that answers something else is told as such."""
    wrong = caddy.config.model_copy(update={"admin": caddy.public})
    with pytest.raises(Unavailable, match="is no Caddy admin API: status 200, blue"):
        await CaddyRouter(wrong, http).read()
