"""OFREP: evaluation for every OpenFeature client that has no engine of its own."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.bodies import documented
from api.evaluation import Unreadable, bulk, failure, read_context, single
from api.routes.data import matches
from api.schemas import BulkEvaluation, EvaluationFailure, EvaluationRequest, EvaluationSuccess
from api.services import services_of

router = APIRouter(prefix="/ofrep/v1/evaluate", tags=["ofrep"])

_JSON: Final = "application/json"
_BAD: dict[int | str, dict[str, Any]] = {
    400: {"model": EvaluationFailure, "description": "The request or the evaluation is at fault"},
    404: {"model": EvaluationFailure, "description": "There is no such flag"},
}
_BULK: dict[int | str, dict[str, Any]] = {
    304: {"description": "For this context nothing has changed since If-None-Match"},
    400: _BAD[400],
}


@router.post(
    "/flags/{key:path}",
    response_model=EvaluationSuccess,
    responses=_BAD,
    openapi_extra=documented(EvaluationRequest.__name__),
)
async def evaluate(request: Request, key: str) -> Response:
    """Evaluate one flag. ``context.targetingKey`` is the unit, everything else in the context an attribute."""
    if not key:
        return await evaluate_all(request)
    try:
        unit, attributes = read_context(await request.body())
    except Unreadable as error:
        return Response(failure(error.code, error.detail, key), 400, media_type=_JSON)
    services = services_of(request)
    edition = services.hub.edition()
    resolution = edition.snapshot.resolve(key, unit, services.whereabouts.of(request, attributes))
    services.metrics.evaluations([resolution])
    status, body = single(edition, resolution)
    return Response(body, status, media_type=_JSON)


@router.post(
    "/flags",
    response_model=BulkEvaluation,
    responses=_BULK,
    openapi_extra=documented(EvaluationRequest.__name__),
)
async def evaluate_all(request: Request) -> Response:
    """Evaluate all flags. The ETag is that of the results for this context."""
    try:
        unit, attributes = read_context(await request.body())
    except Unreadable as error:
        return Response(failure(error.code, error.detail), 400, media_type=_JSON)
    services = services_of(request)
    edition = services.hub.edition()
    snapshot, located = edition.snapshot, services.whereabouts.of(request, attributes)
    resolutions = [snapshot.resolve(key, unit, located) for key in snapshot.keys]
    services.metrics.evaluations(resolutions)
    etag, body = bulk(edition, resolutions)
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=_JSON)
