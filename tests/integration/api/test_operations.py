"""Health, metrics and documentation."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.openapi import DEFAULT_FILE, description
from tests.integration.api.harness import FLAG, Api, running
from turnout.adapters.sql import open_stores
from turnout.domain.errors import Unavailable
from turnout.ports import Stores


async def test_ready_means_that_the_store_answers(api: Api) -> None:
    """With a migrated database the API is ready and tells its revision."""
    await api.apply()
    answer = await api.http.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert answer.json()["revision"] == api.services.hub.revision


async def test_not_ready_without_the_tables_of_this_version(tmp_path: Path) -> None:
    """On an empty database the API lives but is not ready, and says what to run."""
    async with open_stores(f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}") as stores, running(stores) as api:
        assert (await api.http.get("/healthz")).status_code == 200
        answer = await api.http.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "migrate" in answer.json()["detail"]


async def test_the_last_good_snapshot_outlives_the_store(
    api: Api, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database is away, what was loaded is served on and changes are unavailable; then it goes on."""
    await api.apply()

    async def away(*_: object) -> None:
        raise Unavailable("the database does not answer")

    with monkeypatch.context() as outage:
        for method in ("revision", "published", "delete", "beat"):
            outage.setattr(stores.flags, method, away)
        answer = await api.http.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert (await api.http.get("/v1/snapshot")).status_code == 200
        answer = await api.http.post(f"/ofrep/v1/evaluate/flags/{FLAG}", json={"context": {}})
        assert answer.json()["variant"] == "perplexity"
        answer = await api.http.delete(f"/v1/flags/{FLAG}")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    await api.http.delete(f"/v1/flags/{FLAG}")
    await api.served()
    assert FLAG not in (await api.http.get("/v1/snapshot")).json()["flags"]


@pytest.mark.parametrize("megabytes", [2, 20])
async def test_a_body_that_is_too_large_is_answered(api: Api, megabytes: int) -> None:
    """The client hears 413, with or without a stated length, instead of a connection that breaks."""
    large = b"x" * (megabytes * 1_000_000)

    async def in_parts() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 100_000):
            yield large[start : start + 100_000]

    for content in (large, in_parts()):
        answer = await api.http.put("/v1/flags/x", content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_what_nobody_expected_tells_nothing_of_the_inside(
    api: Api, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of the program is a problem document without its message."""

    async def broken() -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(stores.flags, "list", broken)
    answer = await api.http.get("/v1/flags")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text


async def test_requests_are_counted_by_route_not_by_path(api: Api) -> None:
    """The label is the route's template; paths of no route share one."""
    for path in ("/v1/flags/a", "/v1/flags/b", "/nothing/1", "/nothing/2"):
        await api.http.get(path)
    text = (await api.http.get("/metrics")).text
    assert 'turnout_http_requests_total{method="GET",route="/v1/flags/{key}",status="404"} 2.0' in text
    assert 'turnout_http_requests_total{method="GET",route="unmatched",status="404"} 2.0' in text


async def test_outcomes_and_the_revision_are_counted(api: Api) -> None:
    """What became of outcomes, and which revision is served, can be watched."""
    await api.apply()
    outcome = {"id": "1", "flag": FLAG, "variant": "perplexity", "unit": "u"}
    await api.http.post("/v1/outcomes", json={"outcomes": [outcome, outcome, {**outcome, "flag": "nobody"}]})
    text = (await api.http.get("/metrics")).text
    for result in ("accepted", "duplicate", "unknown"):
        assert f'turnout_outcomes_total{{result="{result}"}} 1.0' in text
    assert f"turnout_published_revision {api.services.hub.revision}.0" in text


async def test_the_documentation_needs_no_network(api: Api) -> None:
    """The page refers to nothing but this API, and the root leads to it."""
    answer = await api.http.get("/", follow_redirects=True)
    assert answer.url.path == "/docs"
    assert not re.search(r"""(src|href)=["'](https?:)?//""", answer.text)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert (await api.http.get("/openapi.json")).json() == json.loads(description())


def test_the_description_in_the_repository_is_current() -> None:
    """Whoever changes the API writes its description anew: python -m api.openapi."""
    assert DEFAULT_FILE.read_text(encoding="utf-8") == description()
