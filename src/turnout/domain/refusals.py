"""When a command to a rollout is refused, with what would work. Pure."""

from __future__ import annotations

from collections.abc import Collection

from turnout.domain import adjusting
from turnout.domain.ahead import move_windows, upcoming
from turnout.domain.freezes import FREEZE_OVERRIDE, Closed
from turnout.domain.plan import Plan
from turnout.domain.rollout import Command, CommandKind, RolloutState, State
from turnout.domain.windows import Window


def refusal(plan: Plan, state: RolloutState, command: Command, closed: Closed | None = None) -> str | None:
    """Why ``command`` cannot be taken now, with what would work; None when it can.

    ``closed`` is why traffic may not move forward now, for a command that moves it.
    """
    if state.state.ended:
        return f"the rollout has ended ({state.state})"
    if state.ending is not None:
        return f"the rollout is ending ({state.ending})"
    match command.kind:
        case "pause" if state.state is State.PAUSED:
            return "the rollout is paused already; use resume, promote, rollback or abort"
        case "resume" if state.state is not State.PAUSED:
            return f"the rollout is not paused, it is {state.state}"
        case "approve":
            return _approve_refusal(plan, state, command)
        case "promote":
            return _promote_refusal(plan, state, command, closed)
        case "adjust":
            return _adjust_refusal(plan, state, command, closed)
        case _:
            return None


def windows_for(plan: Plan, state: RolloutState, order: Command) -> tuple[Window, ...] | None:
    """The windows within which ``order`` moves traffic forward; None when it does not."""
    if order.id in state.seen or refusal(plan, state, order) is not None:
        return None
    if order.kind == "adjust":
        return plan.stages[state.stage].windows if _grows(plan, state, order) else None
    if order.kind != "promote":
        return None
    stage = upcoming(plan, state)
    if state.since is not None and stage is not None and stage.approval is not None and not state.approved:
        return None
    return move_windows(plan, state)


def _manual(plan: Plan, state: RolloutState) -> bool:
    stage = upcoming(plan, state)
    return stage is not None and stage.manual and stage.approval is None


def _promote_refusal(plan: Plan, state: RolloutState, command: Command, closed: Closed | None) -> str | None:
    if state.state is State.AWAITING_APPROVAL and not _manual(plan, state):
        return "the rollout awaits an approval, which promote cannot replace; use approve"
    if state.state is State.SCHEDULED and state.last is None:
        return "the rollout has not begun yet"
    return None if closed is None else override_refusal(closed, "promote", command.roles, command.reason)


def _approve_refusal(plan: Plan, state: RolloutState, command: Command) -> str | None:
    stage = upcoming(plan, state)
    if state.state is not State.AWAITING_APPROVAL or stage is None:
        return f"no approval is due; the rollout is {state.state}"
    if stage.approval is None:
        return "no approval is due; the rollout waits for promote"
    if command.actor == state.started_by:
        return f"{command.actor} started this rollout and cannot approve it; somebody else has to"
    if stage.approval.by is not None and stage.approval.by not in command.roles:
        return f"approving takes the role {stage.approval.by}, which {command.actor} does not have"
    return None


def _adjust_refusal(plan: Plan, state: RolloutState, command: Command, closed: Closed | None) -> str | None:
    wanted = command.adjustment
    if state.since is None:
        return "the rollout has not begun yet"
    if wanted is None:
        return "adjust needs a part and a weight"
    stage = adjusting.staged(plan, state.stage, state.adjusted)
    why_not = adjusting.why_not(plan, stage, state.passed, wanted, command.roles, command.reason)
    if why_not is not None or not _grows(plan, state, command):
        return why_not
    if state.state is State.PAUSED and not wanted.override:
        return "the rollout is paused, and a share may shrink, but not grow; resume first"
    return None if closed is None else override_refusal(closed, "adjust", command.roles, command.reason)


def _grows(plan: Plan, state: RolloutState, command: Command) -> bool:
    stage = adjusting.staged(plan, state.stage, state.adjusted)
    return command.adjustment is not None and adjusting.grows(plan, stage, command.adjustment)


def override_refusal(closed: Closed, kind: CommandKind, roles: Collection[str], reason: str) -> str | None:
    """Why traffic may not move forward now although a command asks for it; None when that may be overridden."""
    shut = f"traffic may not move forward now ({closed.why}); it {closed.opens}"
    if FREEZE_OVERRIDE not in roles:
        return f"{shut}, and somebody with the role {FREEZE_OVERRIDE} may {kind} before, with a reason"
    return None if reason else f"{shut}; to override that, give a reason"
