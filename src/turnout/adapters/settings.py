"""The settings of the server processes, read once from the environment and passed down.

``docs/reference/settings.md`` is made of the descriptions here: ``python -m turnout.adapters.settings_page``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from turnout.domain.addresses import Network, parse_network
from turnout.domain.bound import OVERRIDE
from turnout.domain.errors import InvalidInput, Problem
from turnout.domain.model import Frozen
from turnout.domain.problems import Faults, problems_of, suggestion

LEAST_SECRET = 8
PREFIX: Final = "TURNOUT_"
CLIENT: Final[Mapping[str, str]] = {
    "TURNOUT_URL": "where the API is; `http://127.0.0.1:8080` unless set",
    "TURNOUT_TOKEN": "who asks, where the API has tokens",
}
"""What the command line and the client read, and no server process."""

TESTS: Final = "TURNOUT_TEST_"
# What Kubernetes tells every container of a service called turnout.
_SERVICE_LINK: Final = re.compile(r"TURNOUT_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT\w*|PORT_\d+_\w+)")
_WELL_KNOWN: Final = frozenset({"changeme", "change-me", "password", "operator", "12345678", "secretsecret"})


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


def _tokens(value: object) -> object:
    """``name:role+role:secret`` separated by commas as tokens. Raises Faults, without any secret."""
    if not isinstance(value, str):
        return value
    found: list[dict[str, object]] = []
    faults: list[Problem] = []
    for number, entry in enumerate(_parts(value), 1):
        name, roles, secret = (*entry.split(":", 2), "", "")[:3]
        if not name or not roles or len(secret) < LEAST_SECRET:
            remedy = f"write name:role+role:secret, the secret of at least {LEAST_SECRET} characters"
            faults.append(Problem("", f"entry {number} is no token", remedy, name))
        elif secret.lower() in _WELL_KNOWN:
            faults.append(Problem("", f"entry {number} has a secret that anybody guesses", "choose a long one", name))
        found.append({"name": name, "roles": tuple(roles.split("+")), "secret": secret})
    if max(Counter(entry["secret"] for entry in found).values(), default=0) > 1 and not faults:
        faults.append(Problem("", "two entries have the same secret", "give each caller its own"))
    if faults:
        raise Faults(faults)
    return found


def _networks(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return tuple(parse_network(text) for text in _parts(value))
    except ValueError as error:
        raise ValueError(f"{error}; write networks separated by commas: 10.0.0.0/8, fd00::/8") from error


def _port(value: object) -> object:
    if isinstance(value, str) and "://" in value:
        raise ValueError(
            "is what Kubernetes sets for a service called turnout; set enableServiceLinks: false for the pod, "
            "or name the service otherwise"
        )
    return value


def _parts(text: str) -> list[str]:
    return [part for part in (part.strip() for part in text.split(",")) if part]


Port = Annotated[int, BeforeValidator(_port), Field(ge=0, le=65535)]


class Settings(BaseSettings):
    """Where things are, and who may do what. Made from arguments alone: `read_settings` reads an environment."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    data: Path = Field(default=Path(".turnout"), description="up, worker, API, migrate: data directory")
    database: str = Field(
        default="",
        description="worker, API, migrate: SQLAlchemy URL of the store, such as `postgresql+asyncpg://…`; "
        "an SQLite file in the data directory unless set",
    )
    host: str = Field(
        default="127.0.0.1", description="API: address on which it listens; another than loopback needs tokens"
    )
    port: Port = Field(default=8080, description="API: port on which it listens; 0 means any free one")
    metrics_port: Port = Field(
        default=0, description="worker: port for Prometheus metrics of the Temporal SDK; 0 means none"
    )
    tokens: Annotated[tuple[Token, ...], NoDecode, BeforeValidator(_tokens)] = Field(
        default=(),
        repr=False,
        description=f"API: `name:role+role:secret`, separated by commas; secrets of at least {LEAST_SECRET} characters",
    )
    feed_interval: float = Field(
        default=0.1, gt=0, le=10, description="API: seconds between looks for a new revision, at most 10"
    )
    flags_file: Path | None = Field(
        default=None,
        description="API: a flag file that is applied at the start and after every change of it; "
        "client, CLI: the flags to serve where the API has none",
    )
    geo_database: Path | None = Field(
        default=None, description="API, client, CLI: a MaxMind DB file in which the attribute `ip` is looked up"
    )
    geo_address: Literal["context", "request"] = Field(
        default="context",
        description="API: `request`: where a context has no `ip`, take the address the request comes from",
    )
    geo_header: str = Field(
        default="X-Forwarded-For",
        pattern=r"^[A-Za-z0-9-]+$",
        description="API: the header in which trusted proxies name the caller; `Forwarded` is read as RFC 7239",
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)] = Field(
        default=(), description="API: networks of the proxies that are believed, `10.0.0.0/8, fd00::/8`"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments only."""
        return (init_settings,)

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL of the store; an SQLite file in the data directory unless one is set."""
        return self.database or f"sqlite+aiosqlite:///{self.data / 'turnout.db'}"

    @property
    def geo(self) -> Geo:
        """Where users are looked up."""
        return Geo(
            database=self.geo_database,
            address=self.geo_address,
            header=self.geo_header,
            proxies=self.trusted_proxies,
        )


def variable(field: str) -> str:
    """The name of the variable that sets ``field``."""
    return PREFIX + field.upper()


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings that ``environ`` holds: for each field of `Settings` its name in capitals after ``TURNOUT_``.

    Roles of tokens are ``service`` (resolve and report), ``operator`` (flags and rollouts), ``viewer`` (read only),
    ``freeze_override`` (with ``operator``: promote outside windows and in freezes), and any that approvals name.

    Raises InvalidInput with every fault: a name that is no setting, a value that is unusable or unsafe.
    """
    problems = list(_unknown(environ))
    try:
        settings = Settings.model_validate(_Environ(environ)())
    except ValidationError as error:
        # What was written may be a secret, and is told only by those who know that it is none.
        found = (_named(problem) for problem in problems_of(error, Settings))
        raise InvalidInput([*problems, *found]) from None
    problems += _unsafe(settings, environ)
    if problems:
        raise InvalidInput(problems)
    return settings


def is_loopback(host: str) -> bool:
    """Whether ``host`` can be reached from this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Environ(EnvSettingsSource):
    """The values of an environment that is passed in, not of the process."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._environ.items() if value and name.isupper()}


def _named(problem: Problem) -> Problem:
    field, *rest = re.split(r"(?=[.\[])", problem.path, maxsplit=1)
    shown = "" if field == "tokens" and problem.value.startswith("'") else problem.value.strip("'")
    return replace(problem, path=variable(field) + "".join(rest), value=shown)


def _unknown(environ: Mapping[str, str]) -> Iterator[Problem]:
    known = [*(variable(field) for field in Settings.model_fields), *CLIENT]
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in known or name.startswith((OVERRIDE, TESTS)):
            continue
        if not _SERVICE_LINK.fullmatch(name) and "://" not in environ[name]:
            yield Problem(name, "is no setting", suggestion(name, known))


def _unsafe(settings: Settings, environ: Mapping[str, str]) -> Iterator[Problem]:
    if not settings.tokens and not is_loopback(settings.host):
        remedy = "set TURNOUT_TOKENS=name:operator:secret, or listen on 127.0.0.1"
        yield Problem("TURNOUT_HOST", "would open the API to others without tokens", remedy, settings.host)
    if settings.geo_address == "request" and settings.geo_database is None:
        remedy = "set TURNOUT_GEO_DATABASE to a MaxMind DB file"
        yield Problem("TURNOUT_GEO_ADDRESS", "has no database to look addresses up in", remedy)
    if environ.get("TURNOUT_GEO_HEADER") and not settings.trusted_proxies:
        remedy = "set TURNOUT_TRUSTED_PROXIES to their networks, such as 10.0.0.0/8: anybody can send a header"
        yield Problem("TURNOUT_GEO_HEADER", "is believed of no proxy", remedy, settings.geo_header)
    if settings.database.startswith("sqlite") and (
        ":memory:" in settings.database or settings.database.endswith("://")
    ):
        remedy = "name a file, such as sqlite+aiosqlite:////var/lib/turnout/turnout.db, or leave it out"
        yield Problem("TURNOUT_DATABASE", "is a database of each process alone", remedy, settings.database)
