"""Flags: what is applied, what is published, and the emergency stop."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.auth import caller_of
from api.bodies import JsonBody, documented
from api.commanding import pause_for_stop
from api.schemas import Changes, Flags, Stop, StopResult
from api.services import Services, services_of
from turnout.domain.errors import InvalidInput, NotFound
from turnout.domain.flags import Flag, parse_flags
from turnout.domain.rollout import State
from turnout.ports import FlagRecord, RolloutRecord

router = APIRouter(prefix="/v1/flags", tags=["flags"])


@router.get("")
async def list_flags(request: Request) -> Flags:
    """All flags, by key."""
    return Flags(flags=tuple(await services_of(request).flags.list()))


@router.post("", openapi_extra=documented("FlagsBody"))
async def apply_flags(request: Request, body: JsonBody, dry_run: bool = False) -> Changes:
    """Create or update several flags, all or none; the body is what a flags.yaml holds.

    With ``dry_run=true`` nothing is changed, and the answer is what would be, refusals too.
    """
    services = services_of(request)
    flags = parse_flags(body)
    changes = await services.flags.apply(flags, caller_of(request).name, services.clock(), dry_run=dry_run)
    return Changes(changes=tuple(changes))


@router.get("/{key}")
async def get_flag(request: Request, key: str) -> FlagRecord:
    """One flag: what was applied, and what is published."""
    return await services_of(request).flags.get(key)


@router.put("/{key}", openapi_extra=documented("FlagBody"))
async def put_flag(request: Request, key: str, body: JsonBody) -> Changes:
    """Create or update one flag; the body is what stands below its key in a flags.yaml."""
    services = services_of(request)
    flags = _parse_one(key, body)
    changes = await services.flags.apply(flags, caller_of(request).name, services.clock())
    return Changes(changes=tuple(changes))


@router.delete("/{key}", status_code=204)
async def delete_flag(request: Request, key: str) -> Response:
    """Delete a flag without an open rollout; resolvers then give every caller its own default."""
    services = services_of(request)
    await services.flags.delete(key, caller_of(request).name, services.clock())
    return Response(status_code=204)


@router.post("/{key}/stop")
async def stop_flag(request: Request, key: str, body: Stop) -> StopResult:
    """Emergency stop: everybody gets the stable variant at once. An open rollout of the flag is paused."""
    services, caller = services_of(request), caller_of(request)
    record = await services.flags.stop(key, True, caller.name, body.reason, services.clock())
    rollout = await _open_rollout(services, key)
    told = "" if rollout is None else await pause_for_stop(services, rollout, caller, body.reason)
    return StopResult(flag=record, rollout=told)


@router.post("/{key}/restore")
async def restore_flag(request: Request, key: str, body: Stop) -> StopResult:
    """End an emergency stop. A rollout that it paused stays paused until somebody resumes it."""
    services, caller = services_of(request), caller_of(request)
    record = await services.flags.stop(key, False, caller.name, body.reason, services.clock())
    rollout = await _open_rollout(services, key)
    told = "" if rollout is None else f"rollout {rollout.id} is {rollout.state}"
    if rollout is not None and rollout.state is State.PAUSED:
        told = f"{told} until somebody resumes it: turnout resume {key} --reason …"
    return StopResult(flag=record, rollout=told)


def _parse_one(key: str, body: object) -> tuple[Flag, ...]:
    try:
        return parse_flags({"flags": {key: body}})
    except InvalidInput as error:
        # The body has no such path above its fields.
        above = f"flags.{key}"
        raise InvalidInput(
            replace(p, path=p.path.removeprefix(above).removeprefix(".")) for p in error.problems
        ) from None


async def _open_rollout(services: Services, key: str) -> RolloutRecord | None:
    try:
        latest = await services.rollouts.latest(key)
    except NotFound:
        return None
    return None if latest.state.ended else latest
