"""Commands to a rollout: checked against the store, given to the engine, and written to the audit log."""

from __future__ import annotations

import logging
from typing import Final, Literal
from uuid import uuid4

from api.auth import Caller
from api.engine import Pending, Reply
from api.schemas import CommandIn, CommandOut
from api.services import Services
from turnout.domain.adjusting import SHARE_OVERRIDE, Adjustment
from turnout.domain.errors import CommandRefused, Conflict, NotFound, TurnoutError, Unavailable
from turnout.domain.freezes import FREEZE_OVERRIDE
from turnout.domain.plan import Plan
from turnout.domain.rollout import CommandKind
from turnout.ports import AuditEntry, RolloutRecord
from workflows.messages import CommandRequest

logger = logging.getLogger("turnout.api")

_FORWARD: Final = frozenset({"resume", "promote", "approve"})


async def send_command(
    services: Services,
    flag: str,
    kind: CommandKind,
    order: CommandIn,
    caller: Caller,
    adjustment: Adjustment | None = None,
) -> tuple[Reply, str]:
    """Have ``order`` acted on, or kept; what became of it, and the command's id.

    Raises NotFound without a rollout, Conflict when it has ended, CommandRefused, Unavailable.
    """
    request = CommandRequest(id=order.id or str(uuid4()), actor=caller.name, reason=order.reason, adjustment=adjustment)
    override = (SHARE_OVERRIDE,) if adjustment is not None else ()
    try:
        record = await _open_record(services, flag)
        if kind in _FORWARD and (refusal := await stopped(services, flag)) is not None:
            raise CommandRefused(refusal)
        request = request.model_copy(update={"roles": roles_of(caller, record.plan if record else None, *override)})
        reply = await _given(services, flag, kind, request)
    except Conflict as error:
        await audit(services, flag, kind, request, "refused", str(error))
        raise
    await audit(services, flag, kind, request, "done", reply.text)
    return reply, request.id


async def _given(services: Services, flag: str, kind: CommandKind, request: CommandRequest) -> Reply:
    try:
        return await services.engine.command(flag, kind, request)
    except NotFound as error:
        # The store has it open, so that it has just ended, or the engine has lost it.
        raise Conflict(f"the rollout of {flag} takes no commands any more: {error}") from error


def answer(reply: Reply, command_id: str) -> CommandOut:
    """What the caller is told."""
    result = reply.result
    return CommandOut(
        id=command_id,
        applied=None if result is None else result.applied,
        durable=True,
        state=None if result is None else result.state,
        text=reply.text,
    )


def roles_of(caller: Caller, plan: Plan | None, *also: str) -> tuple[str, ...]:
    """The roles a command carries; without tokens, ``also`` these and what the plan's approvals and dates ask for."""
    if not caller.trusted or plan is None:
        return tuple(sorted(caller.roles))
    approving = {stage.approval.by for stage in plan.stages if stage.approval and stage.approval.by}
    return tuple(sorted({*caller.roles, FREEZE_OVERRIDE, *approving, *also}))


async def stopped(services: Services, flag: str) -> str | None:
    """Why no rollout of ``flag`` may go on, if it is stopped: one that completed would stop nothing any more."""
    record = await services.flags.get(flag)
    if not record.stopped:
        return None
    said = f" ({record.stopped_reason})" if record.stopped_reason else ""
    return f"flag {flag} is stopped{said}; end that first with: turnout flags restore {flag} --reason …"


async def pause_for_stop(services: Services, rollout: RolloutRecord, caller: Caller, reason: str) -> str:
    """Leave a pause with the rollout of a flag that was just stopped; what became of it.

    Never raises: the stop itself is done.
    """
    said = f"emergency stop: {reason}" if reason else "emergency stop"
    request = CommandRequest(id=str(uuid4()), actor=caller.name, reason=said[:2000], roles=tuple(sorted(caller.roles)))
    try:
        await services.engine.signal(rollout.flag, "pause", request)
        await audit(services, rollout.flag, "pause", request, "done", f"sent with the stop of {rollout.flag}")
    except TurnoutError as error:
        logger.warning("rollout %s could not be paused: %s", rollout.id, error)
        return f"rollout {rollout.id} could not be told to pause ({error}); pause it when that is over"
    return f"rollout {rollout.id} was told to pause"


async def _open_record(services: Services, flag: str) -> RolloutRecord | None:
    """The record of the open rollout; None while no worker has begun it.

    Raises NotFound without any rollout, Conflict when the last one has ended.
    """
    try:
        last = await services.rollouts.latest(flag)
    except NotFound:
        if await pending(services, flag) is None:
            raise
        return None
    if not last.state.ended:
        return last
    if await pending(services, flag) is None:
        raise Conflict(f"the last rollout of {flag} has ended ({last.state}); start another one")
    return None


async def pending(services: Services, flag: str) -> Pending | None:
    """The open rollout that the engine knows of; none when it does not answer."""
    try:
        return await services.engine.pending(flag)
    except Unavailable:
        return None


async def audit(
    services: Services,
    flag: str,
    kind: CommandKind,
    request: CommandRequest,
    outcome: Literal["done", "refused"],
    text: str,
) -> None:
    """Write down what was asked, by whom and why, and what became of it."""
    reason = f" ({request.reason})" if request.reason not in text else ""
    entry = AuditEntry(
        at=services.clock(),
        actor=request.actor,
        action=f"rollout.{kind}",
        subject=flag,
        outcome=outcome,
        detail=f"{text}{reason}",
    )
    await services.rollouts.audit(entry)
