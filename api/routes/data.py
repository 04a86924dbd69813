"""The data plane: the snapshot that resolvers evaluate, and the outcomes that services report."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from fastapi import APIRouter
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from api.bodies import documented, raw_json
from api.feed import Edition, Hub
from api.schemas import OutcomeBatch, OutcomeReceipt
from api.services import services_of
from api.sse import EventStream
from turnout.domain.errors import InvalidInput
from turnout.domain.problems import problems_of

router = APIRouter(prefix="/v1", tags=["data"])

_SNAPSHOT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A flagd flag-definition document; ETag is its revision",
        "content": {"application/json": {"schema": {"type": "object"}}},
    },
    304: {"description": "Not changed since If-None-Match"},
}
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events `snapshot`: the whole document at once and after every change",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.post(
    "/outcomes", status_code=202, response_model=OutcomeReceipt, openapi_extra=documented(OutcomeBatch.__name__)
)
async def report_outcomes(request: Request) -> Response:
    """Keep what happened to served requests. Idempotent by outcome id; answered only once they are durable.

    One invalid outcome refuses the batch, and nothing of it is kept.
    """
    services = services_of(request)
    try:
        batch = OutcomeBatch.model_validate_json(await raw_json(request))
    except ValidationError as error:
        raise InvalidInput(problems_of(error, OutcomeBatch)) from error
    receipt = await services.outcomes.record(batch.outcomes, services.clock())
    services.metrics.outcomes(receipt)
    answer = OutcomeReceipt.model_validate(receipt, from_attributes=True)
    return Response(answer.model_dump_json(), 202, media_type="application/json")


@router.get("/snapshot", response_class=Response, responses=_SNAPSHOT)
async def snapshot(request: Request) -> Response:
    """All flags as one flagd flag-definition document; 304 when If-None-Match names the revision served."""
    edition = services_of(request).hub.edition()
    headers = {"ETag": edition.etag, "Cache-Control": "no-cache"}
    if matches(request.headers.get("if-none-match"), edition.etag):
        return Response(status_code=304, headers=headers)
    return Response(edition.body, headers=headers, media_type="application/json")


@router.get("/snapshot/stream", response_class=Response, responses=_STREAM)
async def snapshot_stream(request: Request) -> Response:
    """The snapshot now and after every change; the first is left out when Last-Event-ID is its revision."""
    hub = services_of(request).hub
    return EventStream(_snapshots(hub, _known(hub.newest, request.headers.get("last-event-id"))))


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether ``etag`` is among the validators of an If-None-Match header."""
    if if_none_match is None:
        return False
    given = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in given or etag in given


async def _snapshots(hub: Hub, known: Edition | None) -> AsyncGenerator[bytes]:
    with hub.subscription() as subscriber:
        async for edition in subscriber.editions(known):
            yield edition.event


def _known(edition: Edition | None, last_event_id: str | None) -> Edition | None:
    """The edition served, if it is the one the client has already."""
    if edition is None or last_event_id is None:
        return None
    return edition if last_event_id in (str(edition.revision), edition.etag.strip('"')) else None
