"""Anything that takes signed HTTP requests, as a router.

A request carries the rollout and generation in its body and as ``Idempotency-Key: <rollout>:<generation>``, the time as
``Turnout-Timestamp`` (seconds since 1970), and ``Turnout-Signature: v1=<hex>``, see `turnout.adapters.signing`. It is
sent once: the caller tries again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from turnout.adapters.exchange import Answer, Request, send
from turnout.adapters.signing import signed_headers
from turnout.domain.bucketing import TOTAL
from turnout.domain.errors import InvalidInput, Problem, StaleGeneration, Unavailable
from turnout.domain.names import Name
from turnout.domain.proportions import shares
from turnout.domain.routing import Webhook, variable_of
from turnout.domain.splits import Preview, RouterSplit, RouterState, checked, named, refuse_stale


class _Report(BaseModel):
    """What the router says it does; other fields of its answer are its own business."""

    model_config = ConfigDict(allow_inf_nan=False)

    weights: dict[Name, Annotated[float, Field(ge=0)]] = Field(min_length=1)
    rollout_id: str | None = None
    generation: int | None = None
    preview: Preview | None = None


class WebhookRouter:
    """A `turnout.ports.TrafficRouter` behind an HTTP endpoint. ``environ`` holds the secret."""

    def __init__(
        self,
        config: Webhook,
        http: httpx.AsyncClient,
        environ: Mapping[str, str],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._config = config
        self._http = http
        self._environ = environ
        self._clock = clock

    def planned(self, split: RouterSplit) -> RouterState:
        """See `TrafficRouter.planned`. Shares are those asked for, within the tolerance of the configuration."""
        return RouterState(
            shares=shares(named(split, dict.fromkeys(split.weights, ""), "router")),
            preview=split.preview,
            rollout_id=split.rollout_id,
            generation=split.generation,
            tolerance=round(self._config.tolerance * TOTAL / 100),
        )

    async def apply(self, split: RouterSplit) -> RouterState:
        """See `TrafficRouter.apply`. The router is the one to keep the fence; it is asked before, too."""
        planned = self.planned(split)
        refuse_stale(split, await self.read(), f"the router at {self._config.url}")
        body = json.dumps(split.model_dump(mode="json")).encode()
        headers = {"content-type": "application/json", "idempotency-key": f"{split.rollout_id}:{split.generation}"}
        answer = await self._send("POST", self._config.url, body, headers)
        if answer.status == HTTPStatus.CONFLICT:
            raise StaleGeneration(
                f"the router at {self._config.url} refuses generation {split.generation} of rollout "
                f"{split.rollout_id} as not newer: {answer.excerpt}"
            )
        self._accepted(answer, self._config.url, "url")
        return checked(planned, await self.read())

    async def read(self) -> RouterState:
        """See `TrafficRouter.read`."""
        url = self._config.read_url or self._config.url
        answer = await self._send("GET", url, b"", {})
        self._accepted(answer, url, "read_url")
        try:
            report = _Report.model_validate_json(answer.body)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the body"
            remedy = 'answer {"weights": {"blue": 90, "green": 10}, "rollout_id": …, "generation": …, "preview": …}'
            raise InvalidInput(
                [Problem("router.read_url", f"answers no state: {where}: {first['msg']}", remedy, url)]
            ) from error
        return RouterState(
            shares=shares(report.weights),
            preview=report.preview,
            rollout_id=report.rollout_id,
            generation=report.generation,
        )

    async def _send(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        signed = {**headers, **signed_headers(self._secret(), self._clock(), body)}
        return await send(self._http, Request(method, url, self._config.timeout, body, signed))

    def _secret(self) -> str:
        name = variable_of(self._config.secret)
        secret = self._environ.get(name)
        if not secret:
            # Another worker may have it, so this is worth another attempt.
            raise Unavailable(f"router.secret needs the environment variable {name}, which is not set at this worker")
        return secret

    def _accepted(self, answer: Answer, url: str, field: str) -> None:
        """Raises Unavailable for what may pass (5xx, 408, 425, 429), InvalidInput for any other than 2xx."""
        if httpx.codes.is_success(answer.status):
            return
        said = f"status {answer.status}, {answer.excerpt}"
        if answer.status >= 500 or answer.status in (408, 425, 429):
            raise Unavailable(f"the router at {url} does not take the request now: {said}")
        remedy = "check the secret on both sides" if answer.status in (401, 403) else "check the address"
        raise InvalidInput([Problem(f"router.{field}", f"refuses the request: {said}", remedy, url)])
