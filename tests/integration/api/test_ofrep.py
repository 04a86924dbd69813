"""OFREP over HTTP: with the real Python provider, and byte by byte where other languages' clients are stricter."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError, TypeMismatchError

from tests.integration.api.harness import FLAG, Api, running
from tests.past import FLAG as PAST
from tests.past import NEW, OLD, move, opened
from tests.unit.domain.murmur3 import bucket
from turnout.adapters.settings import Token
from turnout.adapters.sql import open_stores
from turnout.client.shadowing import shadow_of
from turnout.ports import Stores
from turnout.resolver import compile_document

SINGLE = "/ofrep/v1/evaluate/flags/"
BULK = "/ofrep/v1/evaluate/flags"


@pytest.fixture
async def provider(api: Api) -> AsyncIterator[OFREPProvider]:
    """The OFREP provider of the OpenFeature project, against a running API with flags."""
    await api.apply()
    provider = OFREPProvider(api.url)
    provider.session.trust_env = False
    yield provider
    provider.session.close()


async def test_the_python_provider_resolves_every_type(provider: OFREPProvider) -> None:
    """Objects, texts, whole numbers and numbers with a fraction arrive in the type that was asked for."""
    context = EvaluationContext("u1", {"email": "a@example.org"})
    found = await asyncio.to_thread(provider.resolve_object_details, FLAG, {}, context)
    assert (found.value, found.variant, found.reason) == ({"mode": "hybrid"}, "lightrag", "TARGETING_MATCH")
    found_float = await asyncio.to_thread(provider.resolve_float_details, "threshold", 0.0, context)
    assert (found_float.value, found_float.reason) == (2.0, "STATIC")
    found_int = await asyncio.to_thread(provider.resolve_integer_details, "limit", 0, context)
    assert found_int.value == 2
    with pytest.raises(TypeMismatchError):
        await asyncio.to_thread(provider.resolve_float_details, "limit", 0.0, context)


async def test_the_python_provider_gets_its_default_where_there_is_no_value(provider: OFREPProvider) -> None:
    """A disabled flag gives the caller's default without an error; an unknown one is not found."""
    found = await asyncio.to_thread(provider.resolve_boolean_details, "banner", True)
    assert (found.value, found.variant, found.reason) == (True, "", "DISABLED")
    with pytest.raises(FlagNotFoundError):
        await asyncio.to_thread(provider.resolve_boolean_details, "nobody", True)
    with pytest.raises(FlagNotFoundError):
        await asyncio.to_thread(provider.resolve_boolean_details, "a/b", True)


async def test_a_unit_gets_the_same_variant_here_and_in_process(provider: OFREPProvider, api: Api) -> None:
    """OFREP answers what the resolver answers, for every one of many units of a split."""
    edition = api.services.hub.edition()
    for number in range(50):
        unit = f"user-{number}"
        found = await asyncio.to_thread(provider.resolve_string_details, "half", "", EvaluationContext(unit))
        assert found.variant == edition.snapshot.resolve("half", unit).variant


async def test_the_attribute_targeting_key_is_the_unit(api: Api) -> None:
    """The unit is the context's targetingKey, wherever a client took it from."""
    await api.apply()
    edition = api.services.hub.edition()
    for unit in ("a", "b", "c", "d", "e"):
        answer = await api.http.post(f"{SINGLE}half", json={"context": {"targetingKey": unit}})
        assert answer.json()["variant"] == edition.snapshot.resolve("half", unit).variant


@pytest.mark.parametrize("body", [{"context": {}}, {}, {"context": None}])
async def test_a_context_is_not_required(api: Api, body: dict[str, Any]) -> None:
    """Clients without a context send an empty one, or none at all."""
    await api.apply()
    answer = await api.http.post(f"{SINGLE}half", json=body)
    assert (answer.status_code, answer.json()["variant"], answer.json()["reason"]) == (200, "a", "DEFAULT")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "PARSE_ERROR"),
        (b"", "PARSE_ERROR"),
        (b"[]", "PARSE_ERROR"),
        (b'{"context": NaN}', "PARSE_ERROR"),
        (b"[" * 100_000, "PARSE_ERROR"),
        (b'{"context": 1}', "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": 7}}', "INVALID_CONTEXT"),
    ],
)
async def test_an_unreadable_request_is_a_400_with_a_code_and_details(api: Api, body: bytes, code: str) -> None:
    """Every 400 carries the key, OFREP's code and details, because clients fail without them."""
    await api.apply()
    for path in (f"{SINGLE}half", BULK):
        answer = await api.http.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["errorCode"] == code
        assert answer.json()["errorDetails"]
        assert answer.json().get("key") == ("half" if path != BULK else None)


@pytest.mark.parametrize("key", ["a/b", "a%2Fb", "no%20such", "%00", "ünknown"])
async def test_a_key_of_no_flag_is_not_found(api: Api, key: str) -> None:
    """Slashes, raw or encoded, blanks and other letters are no keys, and never another flag's."""
    await api.apply()
    answer = await api.http.post(f"{SINGLE}{key}", json={"context": {}})
    assert (answer.status_code, answer.json()["errorCode"]) == (404, "FLAG_NOT_FOUND")
    assert answer.json()["errorDetails"]


async def test_every_status_is_json(stores: Stores) -> None:
    """Refusals, unknown paths, wrong methods and large bodies answer JSON: some clients parse every status."""
    tokens = [Token(name="web", roles=("service",), secret="secret-of-web")]
    async with running(stores, tokens=tokens) as api:
        allowed = {"Authorization": "Bearer secret-of-web"}
        large = b'{"context": {"text": "' + b"x" * 1_000_001 + b'"}}'
        answers = [
            (401, await api.http.post(f"{SINGLE}half", json={})),
            (404, await api.http.post("/ofrep/v1/configuration", headers=allowed)),
            (405, await api.http.get(f"{SINGLE}half", headers=allowed)),
            (413, await api.http.post(f"{SINGLE}half", content=large, headers=allowed)),
        ]
        for status, answer in answers:
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/json"
            assert answer.json()["errorDetails"]


async def test_bulk_answers_all_flags_and_the_same_again_with_304(api: Api) -> None:
    """The ETag is that of the results: another context has another, and an unrelated change keeps it."""
    await api.apply()
    asked = {"context": {"targetingKey": "u1"}}
    answer = await api.http.post(BULK, json=asked)
    flags = {flag["key"]: flag for flag in answer.json()["flags"]}
    assert flags["threshold"]["value"] == 2.0
    assert "2.0" in answer.text
    assert "value" not in flags["banner"]
    assert all(isinstance(flag["variant"], str) and flag["reason"] for flag in flags.values())
    assert "revision" not in flags["half"]["metadata"]
    assert answer.json()["metadata"]["revision"] == api.services.hub.revision
    known = {"If-None-Match": answer.headers["etag"]}
    assert (await api.http.post(BULK, json=asked, headers=known)).status_code == 304
    staff = {"context": {"targetingKey": "u1", "email": "a@example.org"}}
    assert (await api.http.post(BULK, json=staff, headers=known)).status_code == 200
    rules = [{"name": "pilots", "if": {"in": [{"var": "plan"}, ["pilot"]]}, "serve": "many"}]
    changed = {"variants": {"few": 2, "many": 10}, "stable": "few", "rules": rules}
    await api.http.put("/v1/flags/limit", json=changed)
    await api.served()
    assert (await api.http.post(BULK, json=asked, headers=known)).status_code == 200
    await api.http.post("/v1/flags/nobody/stop", json={})
    answer = await api.http.post(BULK + "/", json=asked)
    assert answer.status_code == 200


async def test_a_revision_that_changes_no_result_keeps_the_bulk_etag(api: Api) -> None:
    """Publishing something that this context does not see leaves the client's copy valid."""
    await api.apply()
    before = await api.http.post(BULK, json={"context": {"targetingKey": "u1"}})
    # The text of a description is no part of what is evaluated, but raises the revision.
    await api.http.put(
        "/v1/flags/limit", json={"variants": {"few": 2, "many": 10}, "stable": "few", "description": "x"}
    )
    await api.served()
    after = await api.http.post(BULK, json={"context": {"targetingKey": "u1"}})
    assert after.json()["metadata"]["revision"] > before.json()["metadata"]["revision"]
    assert after.headers["etag"] == before.headers["etag"]


async def test_web_pages_may_ask_and_may_read_the_headers(api: Api) -> None:
    """A browser's preflight is answered, and ETag and Retry-After are exposed; the control plane stays closed."""
    await api.apply()
    origin = {"Origin": "https://app.example"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,if-none-match"}
    answer = await api.http.options(BULK, headers={**origin, **asked})
    assert answer.status_code == 200
    assert "if-none-match" in answer.headers["access-control-allow-headers"]
    answer = await api.http.post(BULK, json={"context": {}}, headers=origin)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-expose-headers"] == "ETag, Retry-After"
    answer = await api.http.get("/v1/flags", headers=origin)
    assert "access-control-allow-origin" not in answer.headers


async def test_before_any_flags_could_be_loaded_it_says_when_to_come_back(tmp_path: Path) -> None:
    """Without a snapshot an evaluation is refused with a Retry-After in seconds, not answered with defaults."""
    async with open_stores(f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}") as stores, running(stores) as api:
        answer = await api.http.post(f"{SINGLE}half", json={"context": {}})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["errorCode"] == "GENERAL"


async def test_evaluations_are_counted_by_flag_and_variant(api: Api) -> None:
    """The counter knows only flags that exist, so that a client cannot make it grow without bound."""
    await api.apply()
    await api.http.post(f"{SINGLE}limit", json={"context": {}})
    await api.http.post(f"{SINGLE}nobody", json={"context": {}})
    await api.http.post(BULK, json={"context": {}})
    text = (await api.http.get("/metrics")).text
    assert 'turnout_evaluations_total{flag="limit",variant="few"} 2.0' in text
    assert 'turnout_evaluations_total{flag="banner",variant=""} 1.0' in text
    assert "nobody" not in text


async def test_an_answer_is_written_in_one_piece(api: Api) -> None:
    """Headers and body arrive together: two segments cost a delayed acknowledgement per request."""
    await api.apply()
    body = b'{"context":{}}'
    head = f"POST {SINGLE}limit HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    address = urlsplit(api.url)

    def ask() -> bytes:
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
            connection.sendall(request)
            return connection.recv(65536)

    received = await asyncio.to_thread(ask)
    assert received.startswith(b"HTTP/1.1 200")
    assert b'"value":2' in received


async def test_other_languages_learn_of_a_shadow(api: Api) -> None:
    """The evaluation says which variant to ask as well, of whom, and how to compare; any language can follow it."""
    await opened(api.services.flags, api.services.rollouts)
    shadow = {"variant": NEW, "sample": 20_000, "comparator": "token_overlap"}
    await api.services.rollouts.commit(move(1, "started", 0, 0, 0.0, shadow=shadow))
    await api.served()
    for unit in map(str, range(50)):
        answer = (await api.http.post(f"{SINGLE}{PAST}", json={"context": {"targetingKey": unit}})).json()
        told = answer["metadata"]
        assert (answer["variant"], told["stable"], told["shadow"], told["generation"]) == (OLD, OLD, NEW, 2)
        assert (told["shadowSample"], told["shadowComparator"]) == (20_000, "token_overlap")
        asked = bucket(told["shadowSeed"], unit, 100_000) < told["shadowSample"]
        assert (shadow_of(told, answer["variant"], unit) == NEW) is asked
    await api.services.rollouts.commit(move(2, "returned", 60, 0, 0.0))
    await api.served()
    over = (await api.http.post(f"{SINGLE}{PAST}", json={"context": {"targetingKey": "1"}})).json()
    assert not [name for name in over["metadata"] if name.startswith("shadow")]


async def test_the_environment_of_the_api_overrides_what_it_evaluates(stores: Stores) -> None:
    """OFREP clients get the variant named there; what is published to other resolvers stays as it is."""
    async with running(stores, environ={"TURNOUT_FLAG_ANSWER_ENGINE": "lightrag"}) as api:
        await api.apply()
        answer = await api.http.post(f"/ofrep/v1/evaluate/flags/{FLAG}", json={"context": {"targetingKey": "u"}})
        told = answer.json()
        assert (told["variant"], told["metadata"]["decidedBy"]) == ("lightrag", "environment")
        published = (await api.http.get("/v1/snapshot")).json()
        assert compile_document(published).resolve(FLAG, "u").variant == "perplexity"
