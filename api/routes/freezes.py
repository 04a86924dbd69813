"""Freezes: spans in which no traffic moves forward."""

from __future__ import annotations

from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from api.auth import caller_of
from api.schemas import FreezeIn, Freezes
from api.services import services_of
from turnout.domain.freezes import Freeze

router = APIRouter(prefix="/v1/freezes", tags=["freezes"])


@router.get("")
async def list_freezes(
    request: Request,
    every: Annotated[bool, Query(alias="all", description="Also those that are over")] = False,
) -> Freezes:
    """The freezes there are and that are to come, by their begin; with ``all`` also those that are over."""
    services = services_of(request)
    found = await services.freezes.list(None if every else services.clock())
    return Freezes(freezes=tuple(found))


@router.post("", status_code=201)
async def add_freeze(request: Request, body: FreezeIn, response: Response) -> Freeze:
    """Freeze all flags, or those that are named: rollouts that are open count it, too. Moves back stay possible."""
    services = services_of(request)
    asked = body.model_dump(exclude={"id"})
    by, at = caller_of(request).name, services.clock()
    freeze = Freeze(**asked, id=body.id or uuid4().hex[:12], by=by, at=at)
    await services.freezes.add(freeze)
    response.headers["Location"] = f"/v1/freezes/{freeze.id}"
    return freeze


@router.delete("/{freeze_id}")
async def remove_freeze(
    request: Request,
    freeze_id: str,
    reason: Annotated[str, Query(max_length=2000, description="Why; kept in the audit log")] = "",
) -> Freeze:
    """Lift a freeze before its end; rollouts that wait for it go on once their gates have passed again."""
    services = services_of(request)
    return await services.freezes.remove(freeze_id, caller_of(request).name, reason, services.clock())
