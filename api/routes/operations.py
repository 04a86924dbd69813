"""Operations: is it well, what does it count, what can it do."""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.schemas import Audit, Health
from api.services import services_of
from turnout.domain.errors import Unavailable

router = APIRouter(tags=["operations"])

READY_SECONDS: Final = 2.0
_PAGE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
_METRICS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Prometheus's text format", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


@router.get("/healthz")
async def healthz() -> Health:
    """Whether the process is alive."""
    return Health()


@router.get("/readyz")
async def readyz(request: Request) -> Health:
    """Whether the store answers, has the tables of this version, and its flags could be loaded."""
    services = services_of(request)
    try:
        async with asyncio.timeout(READY_SECONDS):
            revision = await services.flags.revision()
            await services.rollouts.audit_log(limit=1)
    except TimeoutError as error:
        raise Unavailable(f"the database did not answer within {READY_SECONDS:g} s") from error
    services.hub.edition()
    return Health(revision=revision)


@router.get("/metrics", response_class=Response, responses=_METRICS)
async def metrics(request: Request) -> Response:
    """What this process counted, for Prometheus."""
    services = services_of(request)
    text = services.metrics.text(services.hub.subscribers, services.hub.revision)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.get("/v1/audit")
async def audit(
    request: Request,
    subject: Annotated[str | None, Query(description="Only entries about this flag")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Audit:
    """Who did what, the newest first: changes of flags, commands, and what was refused."""
    return Audit(entries=tuple(await services_of(request).rollouts.audit_log(subject, limit)))


@router.get("/docs", include_in_schema=False)
async def docs() -> Response:
    """The documentation of this API, as a page that needs no network."""
    return Response(_page(), media_type="text/html", headers={"Content-Security-Policy": _PAGE_POLICY})


@router.get("/", include_in_schema=False)
async def root() -> Response:
    """To the documentation."""
    return RedirectResponse("/docs")


@cache
def _page() -> bytes:
    return (Path(__file__).parents[1] / "docs.html").read_bytes()
