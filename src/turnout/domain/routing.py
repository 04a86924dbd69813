"""Which router moves the traffic of a rollout, as a person writes it; checked at the door.

::

    router: {kind: caddy, admin: "http://127.0.0.1:2019", server: srv0, route: app,
             upstreams: {blue: "127.0.0.1:9001", green: "127.0.0.1:9002"}}
    router: {kind: haproxy, socket: /run/haproxy.sock, backend: app, servers: {blue: blue1, green: green1}}
    router: {kind: webhook, url: "https://lb.example/split", secret: $ROUTER_SECRET, read_url: "https://lb.example/now"}
    router: {kind: resolver}

``upstreams`` and ``servers`` are keyed by the flag's variants. A secret is never written, only named: ``$NAME`` is a
variable of the worker's environment.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from turnout.domain.durations import Duration
from turnout.domain.model import Frozen
from turnout.domain.names import Name

_REFERENCE: Final = re.compile(r"\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\})", re.ASCII)
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")


def check_url(text: str) -> str:
    """``text`` if it is an http or https address with a host and without credentials.

    Raises:
        ValueError: it is none.
    """
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good, parts = False, urlsplit("")
    if not good or not text.isprintable() or " " in text:
        raise ValueError("is not an address; write http://host:port/path or https://…")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds credentials, which everybody who reads the rollout sees; remove them")
    return text


def _address(text: str) -> str:
    found = _HOST.fullmatch(text)
    if found is None or not 0 < int(found["port"]) <= 65535:
        raise ValueError('is not an address; write "host:port", such as "127.0.0.1:9001"')
    return text


def _socket(text: str) -> str:
    if text.startswith("/") and text.isprintable() and " " not in text:
        return text
    try:
        return _address(text)
    except ValueError:
        raise ValueError('is no socket; write a path such as /run/haproxy.sock, or "host:port"') from None


def _distinct(value: dict[str, str]) -> dict[str, str]:
    if len(set(value.values())) != len(value):
        raise ValueError("leads two variants to the same place; give each its own")
    return value


def _bounded(value: timedelta) -> timedelta:
    if not timedelta(0) < value <= timedelta(minutes=1):
        raise ValueError("must be more than 0s and at most 1m")
    return value


Url = Annotated[str, AfterValidator(check_url)]
"""An http or https address without credentials."""

Address = Annotated[str, AfterValidator(_address)]
"""``host:port``."""

Timeout = Annotated[Duration, AfterValidator(_bounded)]
"""How long one exchange may take, at most a minute."""

# HAProxy allows these in names of backends and servers; anything else could end a command of its runtime API.
_Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,200}$")]


class Caddy(Frozen):
    """A route of a Caddy server, changed through its admin API.

    ``route`` is the ``@id`` of a route of the HTTP server named ``server``; the route holds one ``reverse_proxy``.
    ``upstreams`` are the addresses it sends each variant's requests to.
    """

    kind: Literal["caddy"]
    admin: Url = "http://127.0.0.1:2019"
    server: _Label
    route: _Label
    upstreams: Annotated[dict[Name, Address], Field(min_length=2, max_length=20), AfterValidator(_distinct)]
    timeout: Timeout = timedelta(seconds=10)


class Haproxy(Frozen):
    """A backend of HAProxy, changed through its runtime API at level admin.

    ``socket`` is a path or ``host:port``. ``servers`` names the one server of each variant.
    """

    kind: Literal["haproxy"]
    socket: Annotated[str, AfterValidator(_socket)]
    backend: _Label
    servers: Annotated[dict[Name, _Label], Field(min_length=2, max_length=20), AfterValidator(_distinct)]
    timeout: Timeout = timedelta(seconds=5)


class Webhook(Frozen):
    """Anything else, told by signed HTTP requests; see ``docs/routers.md`` for what it has to answer.

    ``secret`` names a variable of the worker's environment: ``$NAME`` or ``${NAME}``. ``read_url`` says what the router
    does now; it is ``url`` unless given. ``tolerance`` is by how many percentage points a share it reports may differ
    from the one asked for.
    """

    kind: Literal["webhook"]
    url: Url
    read_url: Url | None = None
    secret: str
    tolerance: float = Field(default=0.5, ge=0, le=50)
    timeout: Timeout = timedelta(seconds=10)

    @model_validator(mode="after")
    def _secret_is_named(self) -> Self:
        # As an error of the field it would be reported with its value, which may be the secret itself.
        if not is_reference(self.secret):
            raise ValueError(
                "secret is not the name of a variable; write $NAME, and set NAME in the worker's environment"
            )
        return self


class Resolver(Frozen):
    """No router: the flag's assignments alone decide who gets which variant."""

    kind: Literal["resolver"]


Router = Annotated[Caddy | Haproxy | Webhook | Resolver, Field(discriminator="kind")]
"""What moves the traffic."""


def is_reference(text: str) -> bool:
    """Whether ``text`` is ``$NAME`` or ``${NAME}``, and nothing else."""
    return _REFERENCE.fullmatch(text) is not None


def variable_of(reference: str) -> str:
    """The name of the environment variable that ``$NAME`` or ``${NAME}`` stands for."""
    return cast(re.Match[str], re.search(r"\w+", reference))[0]
