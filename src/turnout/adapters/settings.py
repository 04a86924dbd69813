"""The settings of the server processes, read once from the environment and passed down."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from turnout.domain.addresses import Network, parse_network
from turnout.domain.errors import InvalidInput, Problem
from turnout.domain.model import Frozen
from turnout.domain.problems import problems_of

LEAST_SECRET = 8


class Token(Frozen):
    """A caller known by a secret: who it is and what it may do."""

    name: str = Field(min_length=1)
    roles: tuple[str, ...]
    secret: str = Field(min_length=LEAST_SECRET, repr=False)


class Geo(Frozen):
    """Where users are: the MaxMind DB file, and whose address is looked up in it.

    With ``address`` ``context`` that of a context's ``ip`` alone. With ``request`` also, where a context has none, the
    one that the request comes from: the caller's, or what the ``proxies`` that are trusted say in ``header``.
    """

    database: Path | None = None
    address: Literal["context", "request"] = "context"
    header: str = Field(default="X-Forwarded-For", pattern=r"^[A-Za-z0-9-]+$")
    proxies: tuple[Network, ...] = ()


class Settings(Frozen):
    """Where things are. ``port`` 0 means any free one; ``feed_interval`` is in seconds."""

    data: Path = Path(".turnout")
    database: str = ""
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    metrics_port: int = Field(default=0, ge=0, le=65535)
    tokens: tuple[Token, ...] = ()
    feed_interval: float = Field(default=0.1, gt=0, le=10)
    geo: Geo = Geo()

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL of the store; an SQLite file in the data directory unless one is set."""
        return self.database or f"sqlite+aiosqlite:///{self.data / 'turnout.db'}"


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Settings from ``TURNOUT_DATA``, ``TURNOUT_DATABASE``, ``TURNOUT_HOST``, ``TURNOUT_PORT``,
    ``TURNOUT_METRICS_PORT``, ``TURNOUT_TOKENS``, ``TURNOUT_FEED_INTERVAL``, ``TURNOUT_GEO_DATABASE``,
    ``TURNOUT_GEO_ADDRESS``, ``TURNOUT_GEO_HEADER`` and ``TURNOUT_TRUSTED_PROXIES``.

    ``TURNOUT_TOKENS`` is a list ``name:role+role:secret`` separated by commas. The roles are ``service`` (resolve and
    report), ``operator`` (flags and rollouts), ``viewer`` (read only), ``freeze_override`` (with
    ``operator``: promote outside windows and in freezes), and any role that approvals name.

    Raises:
        InvalidInput: a value is unusable, or the API would listen beyond this machine without tokens.
    """
    raw: dict[str, object] = {
        name: environ[f"TURNOUT_{name.upper()}"]
        for name in ("data", "database", "host", "port", "metrics_port", "feed_interval")
        if environ.get(f"TURNOUT_{name.upper()}")
    }
    raw |= {"tokens": _tokens(environ.get("TURNOUT_TOKENS", "")), "geo": _geo(environ)}
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        raise InvalidInput(problems_of(error, Settings)) from error
    if not settings.tokens and not is_loopback(settings.host):
        remedy = "set TURNOUT_TOKENS=name:operator:secret, or listen on 127.0.0.1"
        raise InvalidInput(
            [Problem("TURNOUT_HOST", "would open the API to others without tokens", remedy, settings.host)]
        )
    return settings


def is_loopback(host: str) -> bool:
    """Whether ``host`` can be reached from this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _geo(environ: Mapping[str, str]) -> dict[str, object]:
    named = {name: environ.get(f"TURNOUT_GEO_{name.upper()}", "") for name in ("database", "address", "header")}
    found: dict[str, object] = {name: value for name, value in named.items() if value}
    proxies = list(filter(None, (part.strip() for part in environ.get("TURNOUT_TRUSTED_PROXIES", "").split(","))))
    if found.get("address") == "request" and "database" not in found:
        remedy = "set TURNOUT_GEO_DATABASE to a MaxMind DB file"
        raise InvalidInput([Problem("TURNOUT_GEO_ADDRESS", "has no database to look addresses up in", remedy)])
    if "header" in found and not proxies:
        remedy = "set TURNOUT_TRUSTED_PROXIES to their networks, such as 10.0.0.0/8: anybody can send a header"
        raise InvalidInput([Problem("TURNOUT_GEO_HEADER", "is believed of no proxy", remedy, str(found["header"]))])
    return found | {"proxies": [_network(text) for text in proxies]}


def _network(text: str) -> Network:
    try:
        return parse_network(text)
    except ValueError as error:
        remedy = "write networks separated by commas: 10.0.0.0/8, fd00::/8"
        raise InvalidInput([Problem("TURNOUT_TRUSTED_PROXIES", f"{error}", remedy, text)]) from error


def _tokens(text: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, roles, secret = (*entry.split(":", 2), "", "")[:3]
        if not name or not roles or len(secret) < LEAST_SECRET:
            remedy = f"write name:role+role:secret, the secret of at least {LEAST_SECRET} characters"
            raise InvalidInput([Problem("TURNOUT_TOKENS", f"entry {len(found) + 1} is no token", remedy, name)])
        found.append({"name": name, "roles": tuple(roles.split("+")), "secret": secret})
    return found
