"""Caddy as a router: weights of one route, changed through the admin API.

A change is conditional (``If-Match``) on the route being as it was read, so that the fence and the change are one step.
Caddy loads its whole configuration anew with every change. Running requests are finished; connections that are idle at
that moment are closed, so a client that sends on one just then has to send again on another.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any, Final, cast

import httpx

from turnout.adapters.exchange import Answer, Request, send
from turnout.adapters.routers._caddy_route import Json, state, steered
from turnout.domain.errors import InvalidInput, Problem, Unavailable
from turnout.domain.proportions import scaled, shares
from turnout.domain.routing import Caddy
from turnout.domain.splits import RouterSplit, RouterState, checked, named, refuse_stale

LARGEST_WEIGHT: Final = 10_000
"""The largest weight that is written. Caddy's round robin serves each variant's whole weight in one go, so a round
of large numbers would be long."""

_ATTEMPTS: Final = 5

_PAUSE: Final = 0.02
"""Seconds before the second attempt at a connection that Caddy closed; the pauses grow."""


class CaddyRouter:
    """A `turnout.ports.TrafficRouter` on Caddy's admin API."""

    def __init__(self, config: Caddy, http: httpx.AsyncClient) -> None:
        self._config = config
        self._http = http

    def planned(self, split: RouterSplit) -> RouterState:
        """See `TrafficRouter.planned`. Shares are exact to a hundredth of themselves down to 0.01 %."""
        return RouterState(
            shares=shares(self._parts(split)),
            preview=split.preview,
            rollout_id=split.rollout_id,
            generation=split.generation,
        )

    async def apply(self, split: RouterSplit) -> RouterState:
        """See `TrafficRouter.apply`. A split that is there already causes no reload."""
        planned, parts = self.planned(split), self._parts(split)
        for _ in range(_ATTEMPTS):
            route, tag = await self._get()
            refuse_stale(split, state(route, self._config), self._name)
            wanted = steered(route, self._config, split, parts)
            if wanted == route or await self._patch(wanted, tag):
                return checked(planned, await self.read())
        raise Unavailable(
            f"{self._name} was changed by others, or closed the connection, at each of {_ATTEMPTS} attempts"
        )

    async def read(self) -> RouterState:
        """See `TrafficRouter.read`. Caddy's conditions of upstreams are not known here."""
        route, _ = await self._get()
        return state(route, self._config)

    def _parts(self, split: RouterSplit) -> dict[str, int]:
        return scaled(named(split, self._config.upstreams, "router.upstreams"), LARGEST_WEIGHT)

    @property
    def _name(self) -> str:
        return f"the route {self._config.route} of Caddy at {self._config.admin}"

    @property
    def _url(self) -> str:
        return f"{self._config.admin.rstrip('/')}/id/{self._config.route}"

    async def _get(self) -> tuple[Json, str]:
        """The route, and the tag of its present version."""
        answer = await self._asked()
        if answer.status == HTTPStatus.NOT_FOUND:
            remedy = f'give the route an "@id": "{self._config.route}"'
            raise InvalidInput([Problem("router.route", "is the @id of nothing in Caddy", remedy, self._config.route)])
        tag = answer.headers.get("etag", "")
        document = _document(answer)
        if answer.status != HTTPStatus.OK or not isinstance(document, dict):
            raise self._refused(answer)
        if f"/servers/{self._config.server}/routes/" not in tag:
            found = tag.strip('"').partition(" ")[0] or "an unknown place"
            remedy = f"{self._config.route} is at {found}"
            raise InvalidInput([Problem("router.server", "has no such route", remedy, self._config.server)])
        return cast(Json, document), tag

    async def _asked(self) -> Answer:
        """The answer to a GET, asked again where Caddy closed the connection: it replaces its admin server, too."""
        request = Request("GET", self._url, self._config.timeout)
        for attempt in range(1, _ATTEMPTS):
            try:
                return await send(self._http, request)
            except Unavailable as error:
                if not _closed(error):
                    raise
                await asyncio.sleep(_PAUSE * attempt)
        return await send(self._http, request)

    async def _patch(self, route: Json, tag: str) -> bool:
        """Whether Caddy has loaded ``route``; False if it was changed since ``tag``, or did not say: look again."""
        headers = {"content-type": "application/json", "if-match": tag}
        content = json.dumps(route).encode()
        try:
            answer = await send(self._http, Request("PATCH", self._url, self._config.timeout, content, headers))
        except Unavailable as error:
            if _closed(error):
                return False
            raise
        if answer.status == HTTPStatus.PRECONDITION_FAILED:
            return False
        if answer.status != HTTPStatus.OK:
            raise self._refused(answer)
        return True

    def _refused(self, answer: Answer) -> InvalidInput | Unavailable:
        document: Any = _document(answer)
        if answer.status == HTTPStatus.OK or not isinstance(document, dict) or "error" not in document:
            return Unavailable(f"{self._config.admin} is no Caddy admin API: status {answer.status}, {answer.excerpt}")
        # Caddy says 500 of a configuration that it cannot load; asking again would not change that.
        return InvalidInput([Problem("router", f"Caddy refuses: {answer.excerpt}", "", self._config.admin)])


def _closed(error: Unavailable) -> bool:
    """Whether there was no connection, or it ended early, so that another attempt need not wait long."""
    cause = error.__cause__
    return isinstance(cause, httpx.TransportError) and not isinstance(cause, httpx.TimeoutException)


def _document(answer: Answer) -> object:
    try:
        return cast(object, json.loads(answer.body))
    except ValueError:
        return None
