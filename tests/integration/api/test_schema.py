"""Every operation answers as /openapi.json says, whatever it is sent."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.openapi import description
from tests.integration.api.harness import FLAGS, ScriptedEngine, running
from turnout.testing.stores import memory_stores

CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]


async def _serve(url: Future[str], stop: Future[None]) -> None:
    async with running(memory_stores(), ScriptedEngine(), patience=0.01) as api:
        await api.apply(FLAGS)
        url.set_result(api.url)
        await asyncio.wrap_future(stop)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Where an API with flags runs."""
    listening: Future[str] = Future()
    stop: Future[None] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(listening, stop)))
    thread.start()
    yield listening.result(timeout=30)
    stop.set_result(None)
    thread.join(timeout=30)


# Streams do not end, and have tests of their own.
schema = schemathesis.openapi.from_dict(json.loads(description())).exclude(path_regex="/(stream|events)$")


@schema.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_described(case: schemathesis.Case[Any], url: str) -> None:
    """No input makes the API fail or answer something its description does not know."""
    case.call_and_validate(base_url=url, checks=CHECKS, timeout=20)
