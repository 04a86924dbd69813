"""Where the news of a rollout goes, as a person writes it; checked at the door.

::

    notify:
      - {slack: $SLACK_WEBHOOK_URL}
      - {webhook: "https://ops.example/hooks", secret: $HOOK_SECRET}
      - {email: [ops@example.org], smtp: "smtp://mail.example.org:587", events: [paused, rolled_back]}
      - {stdout: true}

The first word of an entry is its kind. A secret is never written, only named: ``$NAME`` is a variable of the worker's
environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from turnout.domain.errors import Problem
from turnout.domain.model import Frozen
from turnout.domain.problems import Faults, suggestion
from turnout.domain.routing import check_url, is_reference

Event = Literal[
    "scheduled",
    "started",
    "advanced",
    "moved_back",
    "adjusted",
    "held",
    "source_trouble",
    "recovered",
    "paused",
    "resumed",
    "waiting_window",
    "approval_needed",
    "approved",
    "rolled_back",
    "aborted",
    "failed",
    "completed",
    "budget_alert",
    "budget_exceeded",
    "breaker_opened",
    "breaker_closed",
]
"""What a channel can be told of."""

_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@(?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+")


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise ValueError("is no e-mail address; write name@example.org")
    return text


def check_smtp(text: str) -> str:
    """``text`` if it is ``smtp://host:port`` or ``smtps://host:port``, credentials allowed.

    Raises:
        ValueError: it is none; the message does not show it.
    """
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good, parts = False, urlsplit("")
    if not good or parts.path not in ("", "/") or parts.query or not text.isprintable() or " " in text:
        raise ValueError("is no mail server; write smtp://host:587, or smtps://host:465 for TLS from the first byte")
    return text


def check_hook(text: str) -> str:
    """``text`` if it is an http or https address, credentials allowed.

    Raises:
        ValueError: it is none; the message does not show it.
    """
    parts = urlsplit(text)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    check_url(bare)
    return text


EmailAddress = Annotated[str, StringConstraints(max_length=254), AfterValidator(_address)]
"""``name@example.org``."""


class _Told(Frozen):
    """What every channel has: ``events`` are those it is told of, all by default."""

    events: tuple[Event, ...] | None = None

    def wants(self, event: Event) -> bool:
        """Whether the channel is told of ``event``."""
        return self.events is None or event in self.events

    @model_validator(mode="after")
    def _keeps_secrets(self) -> Self:
        # As errors of fields they would be reported with their values, which may be the secrets themselves.
        faults = list(self._faults())
        if self.events == ():
            faults.append(Problem("events", "names no event", "name some, or leave it out to be told of all"))
        if faults:
            raise Faults(faults)
        return self

    def _faults(self) -> Iterator[Problem]:
        """What is wrong with fields whose values must not be shown."""
        return iter(())


class Slack(_Told):
    """An incoming webhook of Slack, or of anything that takes the same messages, as Mattermost and Rocket.Chat do.

    ``slack`` names the variable that holds its address: whoever knows the address can post.
    """

    kind: Literal["slack"] = "slack"
    slack: str

    @property
    def label(self) -> str:
        """How messages call the channel."""
        return f"slack ({self.slack})"

    def _faults(self) -> Iterator[Problem]:
        yield from _unnamed("slack", self.slack)


class Webhook(_Told):
    """Any HTTP endpoint, told by signed POST requests; see ``docs/notifications.md``.

    ``webhook`` is its address, or ``$NAME`` of the variable that holds it. ``secret`` names the variable with the key
    of the signature.
    """

    kind: Literal["webhook"] = "webhook"
    webhook: str
    secret: str

    @property
    def label(self) -> str:
        """How messages call the channel."""
        return f"webhook {self.webhook}"

    def _faults(self) -> Iterator[Problem]:
        if not is_reference(self.webhook):
            yield from _found("webhook", check_url, self.webhook)
        yield from _unnamed("secret", self.secret)


class Email(_Told):
    """Mail to ``email``, one address or several, by the server at ``smtp``.

    ``smtp`` is ``smtp://host:port`` (encrypted when the server can) or ``smtps://host:port``, or ``$NAME`` of the
    variable that holds it; only such a variable may have credentials: ``smtp://user:password@host:587``. ``sender`` is
    written ``from``; ``turnout@`` the domain of the first address unless given.
    """

    kind: Literal["email"] = "email"
    email: Annotated[
        tuple[EmailAddress, ...],
        Field(max_length=50),
        BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    ]
    smtp: str
    sender: Annotated[EmailAddress | None, Field(alias="from")] = None

    @property
    def label(self) -> str:
        """How messages call the channel."""
        return f"e-mail to {', '.join(self.email)}"

    @property
    def written_by(self) -> str:
        """The address the mail is from."""
        return self.sender or f"turnout@{self.email[0].partition('@')[2]}"

    def _faults(self) -> Iterator[Problem]:
        if not self.email:
            yield Problem("email", "names no address", "write name@example.org")
        if is_reference(self.smtp):
            return
        yield from _found("smtp", check_smtp, self.smtp)
        if "@" in self.smtp:
            remedy = "write $NAME, and set NAME to the address in the worker's environment"
            yield Problem("smtp", "holds credentials, which everybody who reads the rollout sees", remedy)


class Stdout(_Told):
    """One line of JSON on the worker's standard output, for whatever collects its log."""

    kind: Literal["stdout"] = "stdout"
    stdout: Literal[True]

    @property
    def label(self) -> str:
        """How messages call the channel."""
        return "stdout"


KINDS: Final = ("slack", "webhook", "email", "stdout")


def _kinded(value: Any) -> Any:
    """``value`` with the kind that its fields say, unless it has one."""
    if not isinstance(value, dict) or "kind" in value:
        return cast(object, value)
    written = cast(dict[object, object], value)
    if True in written:
        raise Faults([Problem("on", "means true in YAML", "write events: [paused, rolled_back]")])
    kinds = [kind for kind in KINDS if kind in written]
    if len(kinds) == 1:
        return {"kind": kinds[0], **written}
    if kinds:
        raise ValueError(f"names {' and '.join(kinds)}; write an entry for each")
    near = suggestion(str(next(iter(written), "")), list(KINDS))
    raise ValueError(f"is no channel, which begins with {', '.join(KINDS[:-1])} or {KINDS[-1]}; {near}")


Channel = Annotated[
    Slack | Webhook | Email | Stdout,
    Field(discriminator="kind"),
    BeforeValidator(_kinded),
]
"""Where news goes."""


def _unnamed(field: str, reference: str) -> Iterator[Problem]:
    if not is_reference(reference):
        remedy = "write $NAME, and set NAME in the worker's environment"
        yield Problem(field, "is not the name of a variable", remedy)


def _found(field: str, check: Any, text: str) -> Iterator[Problem]:
    try:
        check(text)
    except ValueError as error:
        message, _, remedy = str(error).partition("; ")
        yield Problem(field, message, remedy)
