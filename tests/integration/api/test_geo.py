"""Attributes from IP addresses: the same answer through OFREP and in process, and whose address counts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from api.whereabouts import Whereabouts, whereabouts
from tests.integration.api.harness import Api, running
from turnout import Turnout
from turnout.adapters.settings import Geo
from turnout.domain.addresses import parse_network
from turnout.ports import Stores
from turnout.testing.places import country, write_places

DACH = {"in": [{"var": "country"}, ["DE", "AT", "CH"]]}
FLAGS: dict[str, Any] = {
    "engine": {
        "variants": {"old": "old", "new": "new"},
        "stable": "old",
        "rules": [{"name": "dach", "if": DACH, "serve": "new"}],
    }
}
SINGLE, BULK = "/ofrep/v1/evaluate/flags/engine", "/ofrep/v1/evaluate/flags"
GERMAN, BRITISH, GERMAN6 = "77.1.2.3", "81.2.69.142", "2a02:100::1"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database of two countries."""
    networks = {"77.0.0.0/8": country("DE"), "2a02:100::/32": country("DE"), "81.2.69.0/24": country("GB")}
    return write_places(tmp_path / "places.mmdb", networks)


def here(database: Path, address: Literal["context", "request"] = "context") -> Whereabouts:
    """Believing a proxy on this machine."""
    return whereabouts(Geo(database=database, address=address, proxies=(parse_network("127.0.0.0/8"),)))


async def served(api: Api, context: Mapping[str, object], **headers: str) -> str:
    """The variant that OFREP gives, singly and in bulk."""
    body = {"context": {"targetingKey": "u1", **context}}
    single = (await api.http.post(SINGLE, json=body, headers=headers)).json()
    (bulk,) = (await api.http.post(BULK, json=body, headers=headers)).json()["flags"]
    assert single["variant"] == bulk["variant"]
    return str(single["variant"])


async def test_the_answer_is_the_same_through_ofrep_and_in_process(stores: Stores, database: Path) -> None:
    """IPv4, IPv6, a private address, an unknown one, nonsense, and a country of the caller's own."""
    contexts: list[dict[str, object]] = [{"ip": ip} for ip in (GERMAN, GERMAN6, BRITISH, "10.0.0.1", "5.5.5.5", "?")]
    contexts += [{"ip": BRITISH, "country": "AT"}, {"country": "CH"}, {}]
    async with running(stores, whereabouts=here(database)) as api:
        await api.apply(FLAGS)
        through_ofrep = [await served(api, context) for context in contexts]
        client = await asyncio.to_thread(Turnout, api.url, cache_dir=None, wait=20, geo=database)
        in_process = [client.resolve("engine", "u1", **context).variant for context in contexts]
        whole = [client.evaluate("engine", "u1", context).variant for context in contexts]
        await asyncio.to_thread(client.close)
    assert through_ofrep == ["new", "new", "old", "old", "old", "old", "new", "new", "old"]
    assert in_process == whole == through_ofrep


async def test_the_address_of_the_request_counts_when_configured(stores: Stores, database: Path) -> None:
    """What a trusted proxy says in its header, unless the context has an address of its own."""
    async with running(stores, whereabouts=here(database, "request")) as api:
        await api.apply(FLAGS)
        assert await served(api, {}, **{"X-Forwarded-For": f"{BRITISH}, {GERMAN}"}) == "new"
        assert await served(api, {}, **{"X-Forwarded-For": f"{GERMAN}, {BRITISH}"}) == "old"
        assert await served(api, {"ip": BRITISH}, **{"X-Forwarded-For": GERMAN}) == "old"
        assert await served(api, {}) == "old"


async def test_headers_do_not_count_otherwise(stores: Stores, database: Path) -> None:
    """By default only a context's own address is looked up."""
    async with running(stores, whereabouts=here(database)) as api:
        await api.apply(FLAGS)
        assert await served(api, {}, **{"X-Forwarded-For": GERMAN}) == "old"
