"""Who is let in, decided without a server."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from api.auth import Area, Caller, Keys, area_of
from turnout.adapters.settings import Token


@pytest.mark.parametrize(
    ("method", "path", "area"),
    [
        ("GET", "/healthz", "public"),
        ("GET", "/docs", "public"),
        ("GET", "/metrics", "any"),
        ("GET", "/v1/snapshot/stream", "data"),
        ("POST", "/ofrep/v1/evaluate/flags", "data"),
        ("POST", "/v1/outcomes", "data"),
        ("GET", "/v1/rollouts/x", "read"),
        ("POST", "/v1/rollouts/validate", "read"),
        ("POST", "/v1/rollouts/engine/judge", "read"),
        ("POST", "/v1/rollouts/x/approve", "approve"),
        ("POST", "/v1/rollouts/x/abort", "write"),
        ("DELETE", "/v1/flags/x", "write"),
        ("POST", "/v1/flags/approve", "write"),
        ("PUT", "/anything/else", "write"),
    ],
)
def test_every_path_belongs_to_an_area(method: str, path: str, area: Area) -> None:
    """What is not known is a change of the control plane: the strictest area."""
    assert area_of(method, path) == area


@pytest.mark.parametrize(
    ("roles", "areas"),
    [
        ({"operator"}, {"any", "data", "read", "approve", "write"}),
        ({"viewer"}, {"any", "read"}),
        ({"service"}, {"any", "data"}),
        ({"release-manager"}, {"any", "read", "approve"}),
        ({"viewer", "service"}, {"any", "read", "data"}),
    ],
)
def test_roles_open_areas(roles: set[str], areas: set[Area]) -> None:
    """Each role opens exactly its areas; roles add up."""
    caller = Caller("x", frozenset(roles))
    everything: tuple[Area, ...] = ("any", "data", "read", "approve", "write")
    assert {area for area in everything if caller.may(area)} == areas


def test_a_token_is_found_by_its_bytes() -> None:
    """Secrets of any letters work, the scheme's case does not matter, and half a secret is none."""
    keys = Keys([Token(name="a", roles=("viewer",), secret="pässwörter"), Token(name="b", roles=(), secret="12345678")])
    sent = "pässwörter".encode().decode("latin-1")
    found = keys.caller(Headers({"authorization": f"bearer {sent}"}))
    assert found is not None
    assert (found.name, found.trusted) == ("a", False)
    assert keys.caller(Headers({"x-api-key": "1234567"})) is None
    assert keys.caller(Headers({"authorization": "Bearer "})) is None
    assert keys.caller(Headers({})) is None


@pytest.mark.parametrize(
    ("sent", "name"),
    [("bob", "bob"), ("J%C3%BCrgen", "Jürgen"), ("", "local"), ("a%0Ab", "local"), ("x" * 300, "x" * 200)],
)
def test_without_tokens_the_name_is_taken_on_trust(sent: str, name: str) -> None:
    """The header names the actor; one that would break a log line is not taken."""
    caller = Keys([]).caller(Headers({"x-turnout-actor": sent}))
    assert caller == Caller(name, frozenset(), trusted=True)
