"""What a person may write of a router and of a health probe, and how an answer is judged."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from turnout.domain.health import Expectation, HealthProbe, ProbeAnswer, Streak, judge
from turnout.domain.model import Frozen
from turnout.domain.problems import problems_of
from turnout.domain.routing import Router, variable_of

CADDY: dict[str, Any] = {
    "kind": "caddy",
    "admin": "http://127.0.0.1:2019",
    "server": "srv0",
    "route": "app",
    "upstreams": {"blue": "127.0.0.1:9001", "green": "[::1]:9002"},
}
HAPROXY: dict[str, Any] = {
    "kind": "haproxy",
    "socket": "/run/haproxy.sock",
    "backend": "app",
    "servers": {"blue": "blue1", "green": "green1"},
}
WEBHOOK: dict[str, Any] = {"kind": "webhook", "url": "https://lb.example/split", "secret": "$ROUTER_SECRET"}


class Routed(Frozen):
    """A spec with nothing but a router."""

    router: Router


class Probing(Frozen):
    """A spec with nothing but a probe."""

    health: HealthProbe


def problems(model: type[Frozen], document: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(document)
    return [str(problem) for problem in problems_of(caught.value, model)]


@pytest.mark.parametrize(
    "router", [CADDY, HAPROXY, HAPROXY | {"socket": "127.0.0.1:9999"}, WEBHOOK, {"kind": "resolver"}]
)
def test_routers_as_written(router: dict[str, Any]) -> None:
    """Every kind reads, and reads again from its own JSON."""
    spec = Routed.model_validate({"router": router})
    assert Routed.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("router", "message"),
    [
        (CADDY | {"admin": "127.0.0.1:2019"}, 'router.admin: is not an address (got "127.0.0.1:2019"); write http://'),
        (CADDY | {"admin": "http://u:p@h:1"}, "router.admin: holds credentials"),
        (
            CADDY | {"upstreams": {"blue": "a:1", "green": "a:1"}},
            "router.upstreams: leads two variants to the same place",
        ),
        (
            CADDY | {"upstreams": {"blue": "a:1", "green": "a"}},
            'router.upstreams.green: is not an address (got "a"); write "host',
        ),
        (CADDY | {"upstreams": {"blue": "a:1", "green": "a:70000"}}, "router.upstreams.green: is not an address"),
        (CADDY | {"upstreams": {"blue": "a:1"}}, "router.upstreams: dictionary should have at least 2 items"),
        (CADDY | {"rout": "app"}, "router.rout: unknown field (got 'app'); did you mean route?"),
        (CADDY | {"timeout": "2m"}, "router.timeout: must be more than 0s and at most 1m"),
        (HAPROXY | {"socket": "haproxy.sock"}, "router.socket: is no socket"),
        (HAPROXY | {"backend": "app; shutdown"}, "router.backend: "),
        (HAPROXY | {"servers": {"blue": "b", "green": "g weight 3"}}, "router.servers.green: "),
        (WEBHOOK | {"secret": "hunter2"}, "router: secret is not the name of a variable; write $NAME"),
        ({"kind": "nginx"}, "router.kind: unknown kind (got nginx); known here: caddy, haproxy, resolver, webhook"),
    ],
)
def test_routers_are_checked_at_the_door(router: dict[str, Any], message: str) -> None:
    """The field, the value and the remedy."""
    found = problems(Routed, {"router": router})
    assert [text.replace("'", '"').startswith(message.replace("'", '"')) for text in found] == [True], found
    assert "hunter2" not in found[0]


@pytest.mark.parametrize("reference", ["$ROUTER_SECRET", "${ROUTER_SECRET}"])
def test_references(reference: str) -> None:
    """Both ways of naming a variable."""
    assert variable_of(reference) == "ROUTER_SECRET"


@pytest.mark.parametrize(
    ("health", "message"),
    [
        ({"url": "ftp://h/x"}, "health.url: is not an address"),
        ({"url": "http://h/", "expect": {"status": 99}}, "health.expect.status[0]: "),
        ({"url": "http://h/", "expect": {"status": []}}, "health.expect.status: "),
        ({"url": "http://h/", "expect": {"pointer": "a"}}, "health.expect: pointer and value belong together"),
        ({"url": "http://h/", "expect": {"pointer": "a b", "value": 1}}, "health.expect.pointer: is no pointer"),
        ({"url": "http://h/", "interval": "1ms"}, "health.interval: must be at least 100ms"),
        ({"url": "http://h/", "consecutive": 0}, "health.consecutive: "),
    ],
)
def test_probes_are_checked_at_the_door(health: dict[str, Any], message: str) -> None:
    """The field, the value and the remedy."""
    found = problems(Probing, {"health": health})
    assert [text.startswith(message) for text in found] == [True], found


OK = ProbeAnswer(200, b'{"status": "UP", "ready": true, "n": 1, "none": null}')


@pytest.mark.parametrize(
    ("expect", "answer", "reason"),
    [
        ({}, OK, ""),
        ({"status": 204}, OK, "status 200, expected 204"),
        ({"status": [200, 204], "body": "UP", "pointer": "status", "value": "UP"}, OK, ""),
        ({}, ProbeAnswer(302), "status 302, expected 200"),
        ({}, ProbeAnswer(failure="no answer within 2s"), "no answer within 2s"),
        ({"body": "DOWN"}, OK, "the body does not contain 'DOWN'"),
        ({"pointer": "status", "value": "DOWN"}, OK, 'status is "UP", expected "DOWN"'),
        ({"pointer": "absent", "value": "UP"}, OK, 'absent is null, expected "UP"'),
        ({"pointer": "none", "value": None}, OK, ""),
        ({"pointer": "ready", "value": 1}, OK, "ready is true, expected 1"),
        ({"pointer": "n", "value": True}, OK, "n is 1, expected true"),
        ({"pointer": "a", "value": 1}, ProbeAnswer(200, b"<html>"), "the body is no JSON in which a leads anywhere"),
        (
            {"pointer": "a", "value": 1},
            ProbeAnswer(200, b"[" * 60_000),
            "the body is no JSON in which a leads anywhere",
        ),
    ],
)
def test_answers_are_judged(expect: dict[str, Any], answer: ProbeAnswer, reason: str) -> None:
    """Everything that is expected has to hold, and the first thing that does not is told."""
    probed = judge(Expectation.model_validate(expect), answer)
    assert (probed.ok, probed.reason) == (not reason, reason)


def test_a_streak_decides() -> None:
    """Only so many in a row decide, and one of the other kind starts anew."""
    probe = HealthProbe.model_validate({"url": "http://h/", "consecutive": 2})
    good, bad = judge(probe.expect, OK), judge(probe.expect, ProbeAnswer(500))
    streak, seen = Streak(), list[str]()
    for probed in (good, bad, good, good, bad, good, bad, bad):
        streak = streak.after(probed)
        seen.append(streak.standing(probe))
    undecided = "undecided"
    assert seen == [undecided, undecided, undecided, "healthy", undecided, undecided, undecided, "unhealthy"]
    assert streak.reason == "status 500, expected 200"
