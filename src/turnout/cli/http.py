"""The HTTP API as the commands use it: plain data in and out, every failure with what to do about it."""

from __future__ import annotations

import json
import string
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import quote

import httpx
from pydantic import BaseModel, JsonValue, ValidationError

from turnout.adapters.settings import is_loopback
from turnout.cli.failures import ExitCode, Failure
from turnout.client.sse import Event, Parser
from turnout.domain.errors import Problem

M = TypeVar("M", bound=BaseModel)
Params = Mapping[str, str | int | bool]

CONNECT, ANSWER, SILENCE = 5.0, 60.0, 45.0
"""Seconds to wait for a connection, for an answer, and for a sign of life on an event stream."""

_EXITS = {
    400: ExitCode.NEGATIVE,
    401: ExitCode.REFUSED,
    403: ExitCode.REFUSED,
    404: ExitCode.NOT_FOUND,
    409: ExitCode.REFUSED,
    412: ExitCode.REFUSED,
    413: ExitCode.NEGATIVE,
    422: ExitCode.NEGATIVE,
}
_CODES = {401: "unauthorized", 403: "forbidden", 404: "not_found", 409: "conflict", 422: "invalid_input"}


@dataclass(frozen=True, slots=True)
class Target:
    """Which API, and who asks: ``actor`` is a name for the audit log, ``token`` proves it where tokens are used."""

    url: str
    token: str = ""
    actor: str = ""


class Api:
    """Talks to the API at ``target``. Every method raises Failure: with exit code 5 when there is no answer."""

    def __init__(self, target: Target, connect: float = CONNECT) -> None:
        self._target, self._connect = target, connect
        headers = {"Accept": "application/json", "X-Turnout-Actor": _header(target.actor)}
        if target.token:
            headers["Authorization"] = f"Bearer {_token(target.token)}"
        url = _address(target.url)
        self._http = httpx.Client(
            base_url=url,
            headers=headers,
            timeout=httpx.Timeout(ANSWER, connect=connect),
            # A proxy for the network outside must not be asked for this machine.
            trust_env=not is_loopback(url.host),
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def get(self, path: str, params: Params | None = None) -> JsonValue:
        """The answer of GET ``path``."""
        return self._ask("GET", path, params=dict(params or {}))

    def post(self, path: str, body: object, patience: float = ANSWER) -> JsonValue:
        """The answer of POST ``path``, which may take ``patience`` seconds."""
        return self._ask("POST", path, json=body, timeout=httpx.Timeout(patience, connect=self._connect))

    def delete(self, path: str) -> JsonValue:
        """The answer of DELETE ``path``; null when there is none."""
        return self._ask("DELETE", path)

    def raw(self, path: str) -> httpx.Response:
        """Whatever GET ``path`` answers, be it an error."""
        with self._reaching():
            return self._http.get(path)

    def events(self, path: str, last_id: str = "") -> Iterator[Event]:
        """The server-sent events of ``path``, after the one with ``last_id``; ends when the server ends it."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        timeout = httpx.Timeout(SILENCE, connect=CONNECT)
        with self._reaching(), self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
            if response.status_code != 200:
                response.read()
                raise self._failure(response)
            parser = Parser()
            for chunk in response.iter_bytes():
                yield from parser.feed(chunk)

    def _ask(self, method: str, path: str, **request: Any) -> JsonValue:
        with self._reaching():
            response = self._http.request(method, path, **request)
        if not response.is_success:
            raise self._failure(response)
        return self._json(response) if response.content else None

    def _json(self, response: httpx.Response) -> JsonValue:
        try:
            return cast("JsonValue", response.json())
        except ValueError as error:
            raise strange(f"{self._target.url} answered something that is no JSON") from error

    @contextmanager
    def _reaching(self) -> Generator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            remedy = "start it with `turnout up`, or name another with --url or TURNOUT_URL"
            message = f"no answer from {self._target.url} ({why}); {remedy}"
            raise Failure(ExitCode.UNAVAILABLE, "unavailable", message) from error

    def _failure(self, response: httpx.Response) -> Failure:
        status = response.status_code
        body = _problem_body(response)
        exit_code = _EXITS.get(status, ExitCode.UNAVAILABLE if status >= 429 else ExitCode.NEGATIVE)
        code = str(body.get("code") or _CODES.get(status, f"http_{status}"))
        message = str(body.get("detail") or body.get("title") or response.reason_phrase or f"status {status}")
        if status == 401:
            message += "; give a token with --token or TURNOUT_TOKEN"
        if status == 404 and "code" not in body:
            return strange(f"{self._target.url} does not know {response.url.path}")
        return Failure(exit_code, code, message, _problems(body))


def segment(name: str) -> str:
    """``name`` as one segment of a path."""
    return quote(name, safe="")


def read(model: type[M], data: object) -> M:
    """``data`` as a ``model``; fields of a newer server are passed over. Raises Failure."""
    try:
        return model.model_validate(data, extra="ignore")
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise strange(f"the API's answer has no usable {model.__name__} ({where})") from error


def strange(message: str) -> Failure:
    """The server answered what no Turnout API answers."""
    remedy = "is --url that of a Turnout API, of the same version as this command?"
    return Failure(ExitCode.UNAVAILABLE, "unexpected_answer", f"{message}; {remedy}")


def _address(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise Failure(ExitCode.USAGE, "usage", f"{text!r} is no address; write --url http://127.0.0.1:8080")
    return url


def _token(text: str) -> str:
    if text.isascii() and text.isprintable() and " " not in text:
        return text
    # The value stays out of the message: it is a secret.
    raise Failure(ExitCode.USAGE, "usage", "the token holds a space, a control or a non-ASCII character; give it alone")


def _header(text: str) -> str:
    """``text`` as a header may hold it: what is not printable ASCII is percent-encoded."""
    return quote(text, safe=string.punctuation.replace("%", "") + " ")


def _problem_body(response: httpx.Response) -> dict[str, JsonValue]:
    try:
        body = json.loads(response.content)
    except ValueError:
        return {}
    return cast("dict[str, JsonValue]", body) if isinstance(body, dict) else {}


def _problems(body: Mapping[str, JsonValue]) -> list[Problem]:
    listed = body.get("problems")
    return [as_problem(item) for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []


def as_problem(item: Mapping[str, object]) -> Problem:
    """A problem as the API writes it."""
    text = {name: str(item.get(name) or "") for name in ("path", "message", "remedy", "value")}
    line = item.get("line")
    return Problem(**text, line=line if isinstance(line, int) else None)
