"""Turnout through OpenFeature's own API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode, ProviderFatalError, ProviderNotReadyError
from openfeature.provider import ProviderStatus
from openfeature.track import TrackingEventDetails
from starlette.responses import Response

from tests.integration.client.conftest import Connect
from tests.integration.client.controller import FLAG, Controller, eventually, flag, free_port, written
from turnout import Turnout
from turnout.client.openfeature import TurnoutProvider
from turnout.domain.flags import Flag, initial_traffic
from turnout.domain.snapshot import PublishedFlag

VALUES: dict[str, Any] = {
    "boolean": True,
    "text": "a",
    "integer": 3,
    "whole": 10.0,
    "fraction": 0.5,
    "object": {"a": 1},
}


@pytest.fixture(autouse=True)
def no_provider() -> Iterator[None]:
    """OpenFeature's state is global: leave none behind."""
    yield
    api.shutdown()


def constant(key: str, value: Any, *, enabled: bool = True) -> PublishedFlag:
    """A flag that has one value for everybody."""
    definition = Flag(key=key, variants={"only": value}, stable="only", serve="only", enabled=enabled)
    return PublishedFlag(definition=definition, traffic=initial_traffic(definition))


@pytest.fixture
def client(controller: Controller, connect: Connect) -> Turnout:
    """A Turnout client with a flag of every type."""
    flags = [constant(key, value) for key, value in VALUES.items()]
    controller.publish(flag(), *flags, constant("off", True, enabled=False), revision=1)
    return connect(controller.url)


@pytest.fixture
def features(client: Turnout) -> OpenFeatureClient:
    """OpenFeature's client over it."""
    api.set_provider_and_wait(TurnoutProvider(client))
    return api.get_client()


async def _details(features: OpenFeatureClient, kind: str, key: str, default: Any, asynchronous: bool) -> Any:
    if asynchronous:
        return await getattr(features, f"get_{kind}_details_async")(key, default)
    return getattr(features, f"get_{kind}_details")(key, default)


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("kind", "default", "accepted"),
    [
        ("boolean", False, {"boolean": True}),
        ("string", "", {"text": "a"}),
        ("integer", -1, {"integer": 3, "whole": 10}),
        ("float", -1.0, {"integer": 3.0, "whole": 10.0, "fraction": 0.5}),
        ("object", {}, {"object": {"a": 1}}),
    ],
)
async def test_types_are_strict(
    features: OpenFeatureClient, kind: str, default: Any, accepted: dict[str, Any], asynchronous: bool
) -> None:
    """Each type takes exactly the values that are of it without loss; the rest is TYPE_MISMATCH and the default."""
    for key in VALUES:
        details = await _details(features, kind, key, default, asynchronous)
        if key in accepted:
            assert details.value == accepted[key]
            assert type(details.value) is type(accepted[key])
            assert (details.variant, details.reason, details.error_code) == ("only", "STATIC", None)
        else:
            assert details.value == default
            assert (details.reason, details.error_code) == ("ERROR", ErrorCode.TYPE_MISMATCH)
            assert key in str(details.error_message)


def test_everybody_gets_what_the_client_says(client: Turnout, features: OpenFeatureClient) -> None:
    """Variant, reason and metadata are those of the native client, user by user."""
    for number in range(200):
        native = client.resolve(FLAG, f"user-{number}")
        details = features.get_object_details(FLAG, {}, EvaluationContext(f"user-{number}", {"plan": "beta"}))
        assert (details.value, details.variant, details.reason) == (native.value, native.variant, native.reason)
        assert details.flag_metadata["generation"] == native.generation
        assert details.flag_metadata["decidedBy"] == "traffic"
        assert details.flag_metadata["flagSetId"] == "turnout"


def test_what_has_no_value_gives_the_default(features: OpenFeatureClient) -> None:
    """A disabled flag and an unknown one give the caller's default, each with its own reason."""
    off = features.get_boolean_details("off", False)
    assert (off.value, off.reason, off.error_code, off.variant) == (False, "DISABLED", None, None)
    unknown = features.get_boolean_details("unknown", True)
    assert (unknown.value, unknown.reason, unknown.error_code) == (True, "ERROR", ErrorCode.FLAG_NOT_FOUND)


def test_changes_are_told_exactly(controller: Controller, features: OpenFeatureClient) -> None:
    """CONFIGURATION_CHANGED names the flags that changed and no other, and the revision."""
    heard: list[EventDetails] = []
    features.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, heard.append)
    flags = [constant(key, value) for key, value in VALUES.items() if key != "object"]
    controller.publish(flag(lightrag=100), *flags, constant("off", True, enabled=False), revision=2)
    eventually(lambda: heard)
    assert heard[0].flags_changed == [FLAG, "object"]
    assert heard[0].metadata == {"revision": 2}


def test_an_outage_is_stale_and_its_end_ready(connect: Connect) -> None:
    """While the controller is away the provider is STALE and still evaluates; then it is READY again."""
    with Controller() as first:
        api.set_provider_and_wait(TurnoutProvider(connect(first.url)))
        features = api.get_client()
        assert features.get_provider_status() is ProviderStatus.READY
    eventually(lambda: features.get_provider_status() is ProviderStatus.STALE)
    assert features.get_object_details(FLAG, {}, EvaluationContext("u")).variant
    with Controller(first.port):
        eventually(lambda: features.get_provider_status() is ProviderStatus.READY)


def test_flags_from_disk_are_stale(connect: Connect) -> None:
    """With the controller down and flags on disk, initialization succeeds and the provider settles as STALE."""
    with Controller() as first:
        connect(first.url).close()
    api.set_provider_and_wait(TurnoutProvider(connect(first.url), deadline=0.1))
    features = api.get_client()
    eventually(lambda: features.get_provider_status() is ProviderStatus.STALE)
    assert features.get_object_details(FLAG, {}, EvaluationContext("u")).variant
    with Controller(first.port):
        eventually(lambda: features.get_provider_status() is ProviderStatus.READY)


def test_no_flags_at_all_is_an_error_until_they_come(connect: Connect) -> None:
    """Without any flags initialization fails; the provider is READY once they arrive."""
    port = free_port()
    provider = TurnoutProvider(connect(f"http://127.0.0.1:{port}", wait=0), deadline=0.1)
    with pytest.raises(ProviderNotReadyError):
        api.set_provider_and_wait(provider)
    features = api.get_client()
    details = features.get_boolean_details("boolean", True)
    assert (details.value, details.error_code) == (True, ErrorCode.PROVIDER_NOT_READY)
    with Controller(port) as controller:
        controller.publish(constant("boolean", False), revision=2)
        eventually(lambda: features.get_provider_status() is ProviderStatus.READY)
        eventually(lambda: features.get_boolean_value("boolean", True) is False)


def test_a_refused_token_is_fatal(controller: Controller, connect: Connect) -> None:
    """When the controller refuses the token, the provider is FATAL."""
    controller.stream_answer = Response(status_code=403)
    client = connect(controller.url, wait=0)
    eventually(lambda: client.status.denied)
    with pytest.raises(ProviderFatalError):
        api.set_provider_and_wait(TurnoutProvider(client, deadline=0.1))
    assert api.get_client().get_provider_status() is ProviderStatus.FATAL


def test_tracking_is_reporting(controller: Controller, client: Turnout, features: OpenFeatureClient) -> None:
    """A tracked event becomes an outcome of the variant that the unit gets, under the event's own metric."""
    context = EvaluationContext("user-1")
    served = client.resolve(FLAG, "user-1")
    features.track("quality", context, TrackingEventDetails(0.9, {"flag": FLAG, "id": "first", "note": "ignored"}))
    features.track("clicks", context, TrackingEventDetails(2, {"flag": FLAG, "id": "second", "latency_ms": 5}))
    features.track(FLAG, context, TrackingEventDetails(None, {"ok": False, "id": "third"}))
    attributes: dict[str, Any] = {"flag": FLAG, "id": "fourth", "variant": "lightrag", "generation": 7}
    attributes["decidedBy"] = "rule:staff"
    features.track("cost", context, TrackingEventDetails(1, attributes))
    assert client.flush()
    stored = controller.stored
    assert {(o["flag"], o["unit"]) for o in stored.values()} == {(FLAG, "user-1")}
    assert [stored[id]["variant"] for id in ("first", "second", "third")] == [served.variant] * 3
    assert stored["first"]["quality"] == 0.9
    assert (stored["second"]["values"], stored["second"]["latency_ms"]) == ({"clicks": 2.0}, 5.0)
    assert stored["third"]["ok"] is False
    assert [stored[id].get("decided_by") for id in ("first", "third", "fourth")] == ["traffic", "traffic", "rule:staff"]
    assert (stored["fourth"]["cost"], stored["fourth"]["variant"], stored["fourth"]["generation"]) == (
        1.0,
        "lightrag",
        7,
    )


def test_tracking_never_raises(client: Turnout, features: OpenFeatureClient) -> None:
    """Events that belong to no flag, have no unit or measure nonsense are counted and dropped."""
    features.track("signup")
    features.track("quality", EvaluationContext("u"), TrackingEventDetails(1, {"flag": "unknown"}))
    features.track(FLAG, None, TrackingEventDetails(1))
    features.track(FLAG, EvaluationContext("u"), TrackingEventDetails(float("nan"), {"ok": "x", "unit": 3, "id": 4}))
    assert client.status.sent + client.status.queued == 0
    assert client.status.drops == {"unattributed": 2, "invalid": 2}


def test_a_provider_of_its_own_is_closed_with_it(
    controller: Controller, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Without a client the provider makes one from the environment, and closes it at shutdown; twice is no harm."""
    monkeypatch.setenv("TURNOUT_URL", controller.url)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    controller.document = written(constant("boolean", True))
    provider = TurnoutProvider()
    api.set_provider_and_wait(provider)
    assert api.get_client().get_boolean_value("boolean", False)
    provider.shutdown()
    provider.shutdown()
    eventually(lambda: controller.streams == 0)
    details = provider.resolve_boolean_details("boolean", False)
    assert (details.value, details.error_code) == (False, ErrorCode.PROVIDER_NOT_READY)


def test_a_given_client_stays_open(controller: Controller, client: Turnout, features: OpenFeatureClient) -> None:
    """Shutting OpenFeature down neither closes a client it was given nor leaves a listener on it."""
    assert features.get_boolean_value("boolean", False)
    api.shutdown()
    controller.publish(flag(lightrag=100), revision=2)
    eventually(lambda: client.status.revision == 2)
    assert client.status.state == "ready"
