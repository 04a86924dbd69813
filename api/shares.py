"""Changing one part's share: by a command to the open rollout, or in what a completed one has left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from api.auth import Caller
from api.commanding import answer, audit, roles_of, send_command
from api.schemas import CommandOut, ShareIn
from api.services import Services
from turnout.domain import adjusting
from turnout.domain.adjusting import SHARE_OVERRIDE, Adjustment
from turnout.domain.bucketing import TOTAL
from turnout.domain.errors import CommandRefused, Conflict, NotFound
from turnout.domain.flags import Traffic
from turnout.domain.freezes import Closed, opening
from turnout.domain.plan import Stage
from turnout.domain.refusals import override_refusal
from turnout.domain.rollout import Decision, State
from turnout.ports import RolloutRecord
from workflows.messages import CommandRequest


async def set_share(services: Services, flag: str, part: str, order: ShareIn, caller: Caller) -> CommandOut:
    """Give ``part`` the share that is asked for; what became of it.

    Raises NotFound without a rollout, CommandRefused with what would work, Conflict when the traffic is no longer the
    rollout's, StaleGeneration when somebody else was faster, Unavailable.
    """
    wanted = Adjustment(part=part, weight=round(order.percentage * TOTAL / 100), override=order.override)
    record = await _completed(services, flag)
    if record is None:
        reply, command_id = await send_command(services, flag, "adjust", order, caller, wanted)
        return answer(reply, command_id)
    request = CommandRequest(
        id=order.id or str(uuid4()),
        actor=caller.name,
        reason=order.reason,
        roles=roles_of(caller, record.plan, SHARE_OVERRIDE),
        adjustment=wanted,
    )
    try:
        text = await _amended(services, record, request, wanted)
    except Conflict as error:
        await audit(services, flag, "adjust", request, "refused", str(error))
        raise
    await audit(services, flag, "adjust", request, "done", text)
    return CommandOut(id=request.id, applied=True, durable=True, state=record.state, text=text)


async def _completed(services: Services, flag: str) -> RolloutRecord | None:
    """The last rollout, if it has completed and left shares behind; None where a command has to say what is wrong."""
    try:
        record = await services.rollouts.latest(flag)
    except NotFound:
        return None
    left_shares = record.state is State.COMPLETED and record.plan.end == "stay"
    return record if left_shares else None


@dataclass(frozen=True, slots=True)
class _Left:
    """What a completed rollout has left: the traffic as it is now, and the weights up to which gates have passed."""

    record: RolloutRecord
    traffic: Traffic
    passed: Mapping[str, int]

    @property
    def stage(self) -> Stage:
        """The last stage with the shares of now."""
        now = {"weights": self.traffic.weights, "segments": self.traffic.segments}
        return self.record.plan.stages[-1].model_copy(update=now)

    def decision(self, request: CommandRequest, wanted: Adjustment, at: datetime, closed: Closed | None) -> Decision:
        """The change, to be recorded after the rollout's last decision; ``closed`` is what it overrides."""
        plan, record = self.record.plan, self.record
        shares = {**adjusting.weights_of(plan, self.stage), wanted.part: wanted.weight}
        after = adjusting.staged(plan, len(plan.stages) - 1, shares)
        over = adjusting.beyond(plan, self.stage, self.passed, wanted)
        text = adjusting.told(plan, self.stage, self.passed, wanted, request.actor, request.reason, closed)
        return Decision(
            rollout_id=record.id,
            flag=record.flag,
            seq=1,
            kind="adjusted_by_override" if over else "adjusted",
            at=at,
            state=record.state,
            stage=record.stage,
            share=after.watched.get(plan.candidate, 0) / TOTAL,
            text=text,
            actor=request.actor,
            reason=request.reason,
            command_id=request.id,
            weights=after.weights,
            segments=after.segments,
            generation=self.traffic.generation + 1,
            overrode=closed,
            passed=dict(self.passed),
        )


async def _amended(services: Services, record: RolloutRecord, request: CommandRequest, wanted: Adjustment) -> str:
    """Change what ``record`` has left, once a command id; what was done."""
    decisions = await services.rollouts.decisions(record.id)
    done = next((one.text for one in decisions if one.command_id == request.id), None)
    if done is not None:
        return done
    traffic = (await services.flags.get(record.flag)).traffic
    if traffic.rollout_id != record.id:
        raise Conflict(f"the traffic of {record.flag} is no longer what rollout {record.id} left: nothing can be set")
    passed = next((one.passed for one in reversed(decisions) if one.passed is not None), dict[str, int]())
    left = _Left(record, traffic, passed)
    now = services.clock()
    closed = await _closed(services, left, wanted, now)
    why_not = adjusting.why_not(record.plan, left.stage, passed, wanted, request.roles, request.reason)
    if why_not is None and closed is not None:
        why_not = override_refusal(closed, "adjust", request.roles, request.reason)
    if why_not is not None:
        raise CommandRefused(why_not)
    decision = left.decision(request, wanted, now, closed)
    await services.rollouts.amend(decision)
    return decision.text


async def _closed(services: Services, left: _Left, wanted: Adjustment, now: datetime) -> Closed | None:
    """Why a share may not grow now; None if it may, or if it shrinks."""
    if not adjusting.grows(left.record.plan, left.stage, wanted):
        return None
    freezes = await services.freezes.list(after=now)
    return opening(left.stage.windows, freezes, left.record.flag, now).closed
