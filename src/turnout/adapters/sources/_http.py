"""One HTTP exchange on behalf of a source: bounded in time and size, and every failure a `SourceError`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import httpx

from turnout.adapters.bounded import answering, whole
from turnout.domain.errors import SourceError
from turnout.ports import Question

LARGEST_BODY = 1_000_000
"""Bytes of an answer that are read; a longer one is an error."""

_PLACEHOLDER = re.compile(r"\{(flag|candidate|stable|window)\}")


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is sent: GET, or POST with ``form``. ``timeout`` bounds the whole exchange."""

    url: str
    timeout: timedelta
    headers: Mapping[str, str]
    form: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``host`` names the server in messages, without credentials."""

    host: str
    status: int
    body: bytes


async def exchange(http: httpx.AsyncClient, sent: Exchange) -> Answer:
    """Send and read the answer whatever its status; a redirect is never followed.

    Raises:
        SourceError: no complete answer within the timeout and `LARGEST_BODY`, or a redirect.
    """
    host = _host(sent.url)
    async with answering(host, sent.timeout, SourceError):
        return await _exchange(http, sent, host)


async def _exchange(http: httpx.AsyncClient, sent: Exchange, host: str) -> Answer:
    headers = {"accept": "application/json", "accept-encoding": "identity", **sent.headers}
    method = "GET" if sent.form is None else "POST"
    form = dict(sent.form) if sent.form is not None else None
    async with http.stream(
        method, sent.url, headers=headers, data=form, follow_redirects=False, timeout=sent.timeout.total_seconds()
    ) as response:
        if response.is_redirect:
            raise SourceError(
                f"{host} redirects to {_host(response.headers['location'])} (status {response.status_code}), "
                "which is not followed; write the final address"
            )
        too_large = SourceError(f"{host} answered more than {LARGEST_BODY:,} bytes; ask for less")
        return Answer(host, response.status_code, await whole(response.aiter_bytes(), LARGEST_BODY, too_large))


def parse(answer: Answer) -> object:
    """The answer's JSON.

    Raises:
        SourceError: it is none, or nested too deeply to be one.
    """
    try:
        return cast(object, json.loads(answer.body))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{answer.host} answered something that is not JSON: {_excerpt(answer.body)}") from error


def replaced(text: str, question: Question, escape: Callable[[str], str]) -> str:
    """``text`` with ``{flag}``, ``{candidate}``, ``{stable}`` and ``{window}`` replaced by escaped values, once each.

    The window is the time since the stage began, in whole seconds, at least ``1s``. All other braces stay.
    """
    window = math.ceil((question.now - question.since).total_seconds())
    values = {
        "flag": question.flag,
        "candidate": question.candidate,
        "stable": question.stable,
        "window": f"{max(1, window)}s",
    }
    return _PLACEHOLDER.sub(lambda found: escape(values[found[1]]), text)


def _host(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return "the address"
    return parsed.netloc.decode("ascii") or "the same host"


def _excerpt(body: bytes) -> str:
    text = body[:80].decode("utf-8", "replace")
    return repr(text) if text else "nothing"
