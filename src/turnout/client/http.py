"""The controller as an HTTP endpoint: where it is, how to ask it, what its answers mean."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Final, cast

import httpx

from turnout.domain.errors import InvalidInput, Problem

LONGEST_WAIT: Final = 300.0
DENIED: Final = frozenset({401, 403})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the controller is. ``url`` has no trailing slash; ``timeout`` bounds a request, in seconds.

    All clients share the ``tls`` settings that were made with it: OpenSSL takes a lock to make some, and in a child
    that was forked while another thread made some nobody would ever give that lock back.
    """

    url: str
    token: str | None
    timeout: float
    tls: ssl.SSLContext = field(default_factory=lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), compare=False)

    def open(self) -> httpx.Client:
        """A new HTTP client for one thread; the caller closes it."""
        headers = {"User-Agent": f"turnout-python/{_version()}"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        # A proxy set in the environment cannot reach this machine's own controller.
        proxies = httpx.URL(self.url).host not in _LOOPBACK
        return httpx.Client(
            base_url=self.url, headers=headers, timeout=self.timeout, trust_env=proxies, verify=self.tls
        )


def endpoint(url: str, token: str | None, timeout: float) -> Endpoint:
    """The checked endpoint. Raises InvalidInput when one of the settings cannot work."""
    problems = [*_url_problems(url), *_token_problems(token)]
    if not timeout > 0:
        problems.append(Problem("timeout", "must be above 0", "pass seconds, such as 5", repr(timeout)))
    if problems:
        raise InvalidInput(problems)
    if httpx.URL(url).scheme == "https":
        return Endpoint(url.rstrip("/"), token, timeout, httpx.create_ssl_context())
    return Endpoint(url.rstrip("/"), token, timeout)


def describe(answer: httpx.Response) -> str:
    """An error answer in one line: the status, and what its problem details say. The body must have been read."""
    problem = json_object(answer)
    said = [str(problem[name]) for name in ("title", "detail") if problem.get(name)]
    return ": ".join([f"HTTP {answer.status_code}", *(said or [answer.reason_phrase])])


def json_object(answer: httpx.Response) -> dict[str, object]:
    """The answer's JSON object; empty when it is something else."""
    try:
        body: object = answer.json()
    except ValueError:
        return {}
    return cast("dict[str, object]", body) if isinstance(body, dict) else {}


def retry_after(answer: httpx.Response) -> float | None:
    """How many seconds the answer asks to wait, at most 300; None when it does not say."""
    text = answer.headers.get("Retry-After", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = _seconds_until(text)
    if not seconds >= 0:
        return None
    return min(seconds, LONGEST_WAIT)


def _seconds_until(date: str) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return -1.0
    # "-0000" in a date parses to a moment without a zone and means UTC.
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _url_problems(url: str) -> list[Problem]:
    remedy = "write it like http://127.0.0.1:8080"
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        return [Problem("url", f"is no URL: {error}", remedy, repr(url))]
    if parsed.scheme not in ("http", "https") or not parsed.host:
        return [Problem("url", "must begin with http:// or https:// and name a host", remedy, repr(url))]
    return []


def _token_problems(token: str | None) -> list[Problem]:
    if token is None or (token.isascii() and token.isprintable() and " " not in token):
        return []
    # The value stays out of the message: it is a secret.
    return [Problem("token", "holds a space, a control or a non-ASCII character", "pass the token alone")]


def _version() -> str:
    try:
        return version("turnout")
    except PackageNotFoundError:
        return "unknown"
