"""Whether a service is healthy, from what it answers to a probe."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal, Self, cast

from pydantic import BeforeValidator, Field, JsonValue, field_validator, model_validator

from turnout.domain.durations import Duration
from turnout.domain.model import Frozen
from turnout.domain.pointers import Pointer, walk
from turnout.domain.routing import Timeout, Url


def _several(value: object) -> object:
    return [value] if isinstance(value, int) and not isinstance(value, bool) else value


Statuses = Annotated[
    tuple[Annotated[int, Field(strict=True, ge=100, le=599)], ...], BeforeValidator(_several), Field(min_length=1)
]
"""HTTP statuses; a single one may be written without brackets."""


class Expectation(Frozen):
    """What a healthy service answers; everything that is given has to hold.

    ``status`` is one of these, ``body`` a text that the answer contains, ``pointer`` leads to ``value`` in its JSON.
    """

    status: Statuses = (200,)
    body: str | None = Field(default=None, min_length=1)
    pointer: Pointer | None = None
    value: JsonValue = None

    @model_validator(mode="after")
    def _pointer_has_a_value(self) -> Self:
        lacks_value = self.pointer is not None and "value" not in self.model_fields_set
        if lacks_value or (self.pointer is None and self.value is not None):
            raise ValueError("pointer and value belong together; write {pointer: status, value: UP}")
        return self


class HealthProbe(Frozen):
    """Ask ``url`` by GET every ``interval``; ``consecutive`` answers of one kind in a row decide.

    A redirect is an answer like any other and is not followed.
    """

    url: Url
    expect: Expectation = Expectation()
    consecutive: int = Field(default=3, ge=1, le=100)
    interval: Duration = timedelta(seconds=5)
    timeout: Timeout = timedelta(seconds=2)

    @field_validator("interval")
    @classmethod
    def _not_too_often(cls, value: timedelta) -> timedelta:
        if not timedelta(milliseconds=100) <= value <= timedelta(hours=1):
            raise ValueError("must be at least 100ms and at most 1h")
        return value


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """What came back; ``failure`` says why nothing did, and is empty otherwise."""

    status: int = 0
    body: bytes = b""
    failure: str = ""


class Probed(Frozen):
    """One judged answer. ``reason`` says what is wrong with it, in words; empty if it is as expected."""

    ok: bool
    reason: str = ""


class Streak(Frozen):
    """How many answers in a row were good or bad; one of the two is 0. ``reason`` is that of the last bad one."""

    good: int = Field(default=0, ge=0)
    bad: int = Field(default=0, ge=0)
    reason: str = ""

    def after(self, probed: Probed) -> Streak:
        """The streak with one more answer."""
        if probed.ok:
            return Streak(good=self.good + 1, reason=self.reason)
        return Streak(bad=self.bad + 1, reason=probed.reason)

    def standing(self, probe: HealthProbe) -> Literal["healthy", "unhealthy", "undecided"]:
        """What the last answers say: undecided until ``probe.consecutive`` of one kind in a row."""
        if self.good >= probe.consecutive:
            return "healthy"
        return "unhealthy" if self.bad >= probe.consecutive else "undecided"


def judge(expect: Expectation, answer: ProbeAnswer) -> Probed:
    """Whether ``answer`` is as expected; the first thing that is not is the reason."""
    reason = answer.failure or _status(expect, answer) or _text(expect, answer) or _value(expect, answer)
    return Probed(ok=not reason, reason=reason)


def _status(expect: Expectation, answer: ProbeAnswer) -> str:
    if answer.status in expect.status:
        return ""
    return f"status {answer.status}, expected {' or '.join(map(str, expect.status))}"


def _text(expect: Expectation, answer: ProbeAnswer) -> str:
    if expect.body is None or expect.body.encode() in answer.body:
        return ""
    return f"the body does not contain {expect.body!r}"


def _value(expect: Expectation, answer: ProbeAnswer) -> str:
    if expect.pointer is None:
        return ""
    try:
        found = walk(cast(object, json.loads(answer.body)), expect.pointer)
    except (ValueError, RecursionError):
        return f"the body is no JSON in which {expect.pointer} leads anywhere"
    # In Python 1 equals True; in JSON it does not.
    if found == expect.value and isinstance(found, bool) == isinstance(expect.value, bool):
        return ""
    return f"{expect.pointer} is {_short(found)}, expected {_short(expect.value)}"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
