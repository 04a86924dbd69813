"""What a person may write under notify:, and what is said when it is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.cli.builders import plan, spec_document
from turnout.domain.channels import Email, Slack, Stdout, Webhook
from turnout.domain.errors import InvalidInput
from turnout.domain.plan import Plan
from turnout.strategies import parse_spec

EMAIL = {"email": "ops@example.org", "smtp": "smtp://mail.example.org"}
NAMED = "write $NAME, and set NAME in the worker's environment"


def told(*channels: object) -> list[str]:
    """Every problem of a spec with ``channels``, as it is printed."""
    with pytest.raises(InvalidInput) as error:
        parse_spec(spec_document(notify=list(channels)))
    return [str(problem) for problem in error.value.problems]


def test_every_kind_of_channel_gets_into_the_plan() -> None:
    """By its first word, and it survives being stored; a plan from before there were channels has none."""
    written = [
        {"slack": "${SLACK}"},
        {"webhook": "https://ops.example/hooks?team=1", "secret": "$HOOK_SECRET", "events": ["paused"]},
        EMAIL | {"from": "robot@example.org"},
        {"email": ["a@b.c", "d@e.f"], "smtp": "$SMTP"},
        {"stdout": True},
    ]
    compiled = plan(notify=written)
    assert [type(channel) for channel in compiled.notify] == [Slack, Webhook, Email, Email, Stdout]
    assert Plan.model_validate_json(compiled.model_dump_json()) == compiled
    assert Plan.model_validate(plan().model_dump(exclude={"notify"})).notify == ()


def test_a_channel_is_told_of_what_it_wants() -> None:
    """Of everything, unless it names events."""
    everything, some = plan(notify=[{"stdout": True}, {"stdout": True, "events": ["paused", "completed"]}]).notify
    assert everything.wants("started")
    assert (some.wants("completed"), some.wants("started")) == (True, False)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"slack": "https://hooks.slack.com/T0KEN"}, f"notify[0].slack: is not the name of a variable; {NAMED}"),
        (
            {"webhook": "https://h/", "secret": "T0KEN"},
            f"notify[0].secret: is not the name of a variable; {NAMED}",
        ),
        ({"webhook": "https://h/"}, "notify[0].secret: is required; add it"),
        (
            {"webhook": "https://me:T0KEN@h/", "secret": "$S"},
            "notify[0].webhook: holds credentials, which everybody who reads the rollout sees; remove them",
        ),
        (
            {"webhook": "ops.example/hooks", "secret": "$S"},
            "notify[0].webhook: is not an address; write http://host:port/path or https://…",
        ),
        (
            EMAIL | {"smtp": "mail.example.org:25"},
            "notify[0].smtp: is no mail server; write smtp://host:587, or smtps://host:465 for TLS from the first byte",
        ),
        (
            EMAIL | {"smtp": "smtp://me:T0KEN@h:25"},
            "notify[0].smtp: holds credentials, which everybody who reads the rollout sees; "
            "write $NAME, and set NAME to the address in the worker's environment",
        ),
        (
            EMAIL | {"email": ["a@b.c", "x@y\nBcc: z@y"]},
            "notify[0].email[1]: is no e-mail address (got 'x@y\\nBcc: z@y'); write name@example.org",
        ),
        (EMAIL | {"email": []}, "notify[0].email: names no address; write name@example.org"),
        (EMAIL | {"form": "a@b.c"}, "notify[0].form: unknown field (got 'a@b.c'); did you mean from?"),
        ({"stdout": False}, "notify[0].stdout: input should be True (got False)"),
        (
            {"stdout": True, "events": []},
            "notify[0].events: names no event; name some, or leave it out to be told of all",
        ),
        ({"stdout": True, True: ["paused"]}, "notify[0].on: means true in YAML; write events: [paused, rolled_back]"),
        ({"slack": "$S", "stdout": True}, "notify[0]: names slack and stdout; write an entry for each"),
        (
            {"slak": "$S"},
            "notify[0]: is no channel, which begins with slack, webhook, email or stdout; did you mean slack?",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_remedy_and_without_secrets(wrong: dict[Any, Any], line: str) -> None:
    """One line a fault, and what may be a secret is never repeated."""
    lines = told(wrong)
    assert lines == [line]
    assert "T0KEN" not in lines[0]


def test_an_unknown_event_is_told_with_those_there_are() -> None:
    """And the other entries are judged by themselves."""
    (line,) = told({"stdout": True}, {"stdout": True, "events": ["pausd"]})
    assert line.startswith("notify[1].events[0]: input should be 'scheduled', 'started',")
    assert line.endswith("(got 'pausd')")
