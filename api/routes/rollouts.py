"""Rollouts: start, watch, command, and what they decided."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.auth import caller_of
from api.commanding import answer, send_command
from api.errors import FieldProblem
from api.following import events, position_of
from api.schemas import (
    CommandIn,
    CommandOut,
    Decisions,
    DecisionView,
    JudgeIn,
    Rollouts,
    RolloutView,
    Scheduled,
    ShareIn,
    SpecIn,
    Validation,
)
from api.services import Services, services_of
from api.shares import set_share
from api.sse import EventStream
from api.starting import planned, start_rollout
from api.status import view_of
from turnout.adapters.rejudging import rejudge
from turnout.adapters.reporting import report_of
from turnout.domain.errors import InvalidInput, NotFound, Problem
from turnout.domain.rejudged import Rejudgement
from turnout.domain.reporting import Report
from turnout.domain.rollout import CommandKind, Decision
from turnout.ports import RolloutRecord
from turnout.strategies import parse_spec

router = APIRouter(prefix="/v1/rollouts", tags=["rollouts"])

_EVENT_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"description": "Server-sent events", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
}


@router.post(
    "",
    status_code=201,
    operation_id="start_rollout",
    responses={202: {"model": Scheduled, "description": "Kept; no worker has begun it"}},
)
async def start(request: Request, body: SpecIn, response: Response) -> RolloutRecord | Scheduled:
    """Start a rollout. Every fault of the spec is reported at once; a flag has one open rollout at a time."""
    started = await start_rollout(services_of(request), body.spec, caller_of(request).name)
    if isinstance(started, Scheduled):
        response.status_code = 202
    response.headers["Location"] = f"/v1/rollouts/{started.flag}"
    return started


@router.post("/validate", operation_id="validate_rollout")
async def validate(request: Request, body: SpecIn) -> Validation:
    """Whether a rollout could start with this spec, every fault of it, and the plan it would follow."""
    try:
        _, plan = await planned(services_of(request), body.spec)
    except InvalidInput as error:
        return Validation(valid=False, problems=tuple(_shown(problem) for problem in error.problems))
    except NotFound as error:
        problem = Problem("flag", str(error), "apply the flag first", str(body.spec.get("flag", "")))
        return Validation(valid=False, problems=(_shown(problem),))
    return Validation(valid=True, plan=plan)


@router.get("")
async def list_rollouts(
    request: Request,
    every: Annotated[bool, Query(alias="all", description="Also those that have ended")] = False,
) -> Rollouts:
    """The open rollouts, the newest first; with ``all`` also those that have ended."""
    return Rollouts(rollouts=tuple(await services_of(request).rollouts.list(open_only=not every)))


@router.get("/{flag}", operation_id="rollout_status")
async def status(request: Request, flag: str) -> RolloutView:
    """Where the open rollout of a flag is, or how its last one ended."""
    return await view_of(services_of(request), flag)


@router.get("/{flag}/decisions", operation_id="rollout_decisions")
async def decisions(
    request: Request,
    flag: str,
    evidence: Annotated[bool, Query(description="Also the evidence of every decision")] = False,
    after: Annotated[int, Query(ge=0, le=2**31, description="Only decisions with a higher seq")] = 0,
    rollout: Annotated[str | None, Query(description="An earlier rollout of the flag, by its id")] = None,
) -> Decisions:
    """What the open rollout of a flag decided, or its last one, and why."""
    services = services_of(request)
    record = await _rollout(services, flag, rollout)
    found = await services.rollouts.decisions(record.id, after)
    views = [await _with_evidence(services, decision) if evidence else _view(decision) for decision in found]
    return Decisions(flag=flag, rollout_id=record.id, decisions=tuple(views))


@router.get("/{flag}/report", operation_id="rollout_report")
async def report(
    request: Request,
    flag: str,
    rollout: Annotated[str | None, Query(description="An earlier rollout of the flag, by its id")] = None,
) -> Report:
    """What the open rollout of a flag, or its last one, tested, found and did: effects, arms, shares over time."""
    services = services_of(request)
    record = await _rollout(services, flag, rollout)
    return await report_of(services.rollouts, services.outcomes, record, services.clock())


@router.post("/{flag}/judge", operation_id="judge_rollout")
async def judge(request: Request, flag: str, body: JudgeIn) -> Rejudgement:
    """What the gates of a spec would have decided, and when, on the outcomes of a past or open rollout of a flag."""
    services, spec = services_of(request), parse_spec(body.spec)
    record = await _rollout(services, flag, body.rollout)
    async with services.judging:
        return await rejudge(services.rollouts, services.outcomes, record, spec, services.clock())


@router.get("/{flag}/events", operation_id="rollout_events", response_class=Response, responses=_EVENT_STREAM)
async def follow(request: Request, flag: str, last_event_id: Annotated[str, Header()] = "") -> Response:
    """Decisions and checks as they happen, from the first or from after Last-Event-ID; ends when the rollout has."""
    services = services_of(request)
    await view_of(services, flag)
    return EventStream(events(services, flag, position_of(last_event_id)))


async def _command(request: Request, flag: str, kind: CommandKind, body: CommandIn) -> Response:
    reply, command_id = await send_command(services_of(request), flag, kind, body, caller_of(request))
    out = answer(reply, command_id)
    return JSONResponse(out.model_dump(mode="json"), 200 if out.applied else 202)


@router.post(
    "/{flag}/cohorts/{name}",
    operation_id="set_cohort",
    response_model=CommandOut,
    responses={202: {"model": CommandOut, "description": "Kept, and acted on when its turn comes"}},
)
async def set_cohort(request: Request, flag: str, name: str, body: ShareIn) -> Response:
    """Change the candidate's share in one cohort or region (``other``: users of none), also once the rollout completed.

    Less is always possible, more up to what gates have passed, and beyond that by the role share_override.
    """
    out = await set_share(services_of(request), flag, name, body, caller_of(request))
    return JSONResponse(out.model_dump(mode="json"), 200 if out.applied else 202)


def _add_command(kind: CommandKind, says: str) -> None:
    async def endpoint(request: Request, flag: str, body: CommandIn) -> Response:
        return await _command(request, flag, kind, body)

    router.add_api_route(
        f"/{{flag}}/{kind}",
        endpoint,
        methods=["POST"],
        name=kind,
        operation_id=f"{kind}_rollout",
        summary=kind.capitalize(),
        description=says,
        response_model=CommandOut,
        responses={202: {"model": CommandOut, "description": "Kept, and acted on when its turn comes"}},
    )


_COMMANDS: dict[CommandKind, str] = {
    "pause": "Stand still: the traffic stays, the clocks stop, the guardrails are watched on.",
    "resume": "Go on after a pause.",
    "promote": "Move to the next stage without asking the gates: a recorded override.",
    "approve": "Consent to the next stage; health is checked once more before it begins. Not by who started it.",
    "abort": "Give up: everybody back to stable. Answered once the resolvers have it.",
    "rollback": "Everybody back to stable, because the candidate is bad. Answered once the resolvers have it.",
}
for _kind, _says in _COMMANDS.items():
    _add_command(_kind, _says)


async def _rollout(services: Services, flag: str, rollout_id: str | None) -> RolloutRecord:
    if rollout_id is None:
        return await services.rollouts.latest(flag)
    record = await services.rollouts.get(rollout_id)
    if record.flag != flag:
        raise NotFound(f"rollout {rollout_id} is one of flag {record.flag}, not of {flag}")
    return record


async def _with_evidence(services: Services, decision: Decision) -> DecisionView:
    if decision.evidence is None:
        return _view(decision)
    try:
        found = await services.rollouts.evidence_of(decision.evidence)
    except NotFound:
        return _view(decision)
    return _view(decision).model_copy(update={"evidence_detail": found})


def _view(decision: Decision) -> DecisionView:
    return DecisionView.model_validate(decision.model_dump())


def _shown(problem: Problem) -> FieldProblem:
    return FieldProblem(
        path=problem.path, message=problem.message, remedy=problem.remedy, value=problem.value, line=problem.line
    )
