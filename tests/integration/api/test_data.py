"""The data plane over HTTP: outcomes in, snapshots out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx

from api.services import utc_now
from tests.integration.api.harness import FLAG, Api, data, eventually, running
from turnout.ports import Stores


def _outcome(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"o{number}", "flag": FLAG, "variant": "perplexity", "unit": f"u{number}", "ok": True, **more}


async def test_outcomes_count_once_however_often_they_come(api: Api) -> None:
    """A batch reports what was new, known and unknown, and a repeated batch is all duplicates."""
    await api.apply()
    batch = {"outcomes": [_outcome(1), _outcome(2), _outcome(3, flag="nobody"), _outcome(4, variant="other")]}
    answer = await api.http.post("/v1/outcomes", json=batch)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 2, "duplicates": 0, "unknown": 2, "rejected": {}})
    answer = await api.http.post("/v1/outcomes", json=batch)
    assert answer.json() == {"accepted": 0, "duplicates": 2, "unknown": 2, "rejected": {}}
    stats = await api.services.outcomes.stats(FLAG, 1, "success_rate")
    assert stats["perplexity"].samples == 2


async def test_one_invalid_outcome_keeps_nothing_and_is_named(api: Api) -> None:
    """A 400 names index and field of each fault, and the good outcomes of the batch are not kept."""
    await api.apply()
    bad = [_outcome(1), _outcome(2, latency_ms=-1), _outcome(3, colour="red")]
    answer = await api.http.post("/v1/outcomes", json={"outcomes": bad})
    assert answer.status_code == 400
    assert [p["path"] for p in answer.json()["problems"]] == ["outcomes[1].latency_ms", "outcomes[2].colour"]
    assert await api.services.outcomes.stats(FLAG, 1, "success_rate") == {}


async def test_a_batch_has_a_largest_size(api: Api) -> None:
    """5,000 outcomes are taken at once, one more is refused, and a body of another kind is refused."""
    await api.apply()
    most = {"outcomes": [_outcome(n) for n in range(5000)]}
    assert (await api.http.post("/v1/outcomes", json=most)).json()["accepted"] == 5000
    most["outcomes"].append(_outcome(5000))
    answer = await api.http.post("/v1/outcomes", json=most)
    assert (answer.status_code, answer.json()["problems"][0]["path"]) == (400, "outcomes")
    answer = await api.http.post("/v1/outcomes", content=b"[" * 100_000, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


async def test_a_snapshot_is_sent_once_per_revision(api: Api) -> None:
    """The ETag is store and revision; asking with it answers 304 until something changes."""
    await api.apply()
    answer = await api.http.get("/v1/snapshot")
    document = answer.json()
    metadata = document["metadata"]
    assert answer.headers["etag"] == f'"{metadata["storeId"]}:{metadata["revision"]}"'
    assert document["flags"][FLAG]["defaultVariant"] == "perplexity"
    known = {"If-None-Match": f'"other", W/{answer.headers["etag"]}'}
    assert (await api.http.get("/v1/snapshot", headers=known)).status_code == 304
    await api.http.delete("/v1/flags/half")
    await api.served()
    assert (await api.http.get("/v1/snapshot", headers=known)).status_code == 200


async def test_the_stream_sends_everything_at_once_and_after_every_change(api: Api) -> None:
    """A subscriber gets the whole document when it connects and again when a flag changes."""
    await api.apply()
    async with api.stream("/v1/snapshot/stream") as events:
        first = await anext(events)
        assert (first["event"], first["id"]) == ("snapshot", str(data(first)["metadata"]["revision"]))
        await api.http.post(f"/v1/flags/{FLAG}/stop", json={"reason": "test"})
        second = await anext(events)
        assert data(second)["flags"][FLAG]["metadata"]["stopped"] is True
        assert int(second["id"]) > int(first["id"])


async def test_a_stream_that_goes_on_is_not_told_what_it_knows(api: Api) -> None:
    """With the current revision as Last-Event-ID the first event is the next change."""
    await api.apply()
    known = str(api.services.hub.revision)
    async with api.stream("/v1/snapshot/stream", **{"Last-Event-ID": known}) as events:
        await eventually(lambda: api.services.hub.subscribers, lambda count: count == 1)
        await api.http.delete("/v1/flags/half")
        assert (await anext(events))["id"] != known


async def test_a_revision_is_reported_once_every_subscriber_was_sent_it(api: Api) -> None:
    """The store learns that the feed has passed a revision on, and the gauge of subscribers follows."""
    await api.apply()
    async with api.stream("/v1/snapshot/stream") as events:
        await anext(events)
        await api.http.delete("/v1/flags/half")
        await anext(events)
        revision = await api.services.flags.revision()
        delivery = await eventually(
            lambda: api.services.flags.delivery(revision, utc_now() - timedelta(seconds=10)),
            lambda seen: seen.lagging == 0,
        )
        assert delivery.feeds == 1
        assert "turnout_feed_subscribers 1.0" in (await api.http.get("/metrics")).text
    await eventually(lambda: api.services.hub.subscribers, lambda count: count == 0)


async def test_streams_end_at_once_when_the_server_stops(stores: Stores) -> None:
    """Stopping the server ends a stream cleanly instead of waiting for it."""
    async with running(stores) as api:
        await api.apply()
        http = httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=30)
        stream = http.stream("GET", "/v1/snapshot/stream")
        answer = await stream.__aenter__()
        lines = answer.aiter_lines()
        assert (await anext(lines)).startswith("id: ")
    rest = [line async for line in lines]
    assert rest[-1] == ""
    await stream.__aexit__(None, None, None)
    await http.aclose()
