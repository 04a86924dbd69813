"""What lies ahead of a rollout: its next stage, who is asked, within which windows, and what happens by the clock.

Questions about a plan and a state. Pure.
"""

from __future__ import annotations

from datetime import datetime

from turnout.domain.plan import Plan, Stage
from turnout.domain.rollout import RolloutState, State
from turnout.domain.windows import Window


def upcoming(plan: Plan, state: RolloutState) -> Stage | None:
    """The stage after the present one; None after the last."""
    return plan.stages[state.stage + 1] if state.stage + 1 < len(plan.stages) else None


def needs_a_person(state: RolloutState, stage: Stage) -> bool:
    """Whether ``stage``, the upcoming one, waits for an approval or for promote."""
    return not state.approved and (stage.manual or stage.approval is not None)


def move_windows(plan: Plan, state: RolloutState) -> tuple[Window, ...] | None:
    """The windows of the next move forward: of the first stage, of the upcoming one, or of adopting the candidate.

    None when there is none: the rollout ends with the traffic as it is, or with nobody on the candidate.
    """
    after = upcoming(plan, state)
    if state.since is None:
        return plan.stages[0].windows
    if after is None:
        return plan.stages[state.stage].windows if plan.end == "adopt" else None
    return after.windows


def windows_ahead(plan: Plan, state: RolloutState) -> tuple[Window, ...] | None:
    """The windows within which the move must fall that a pass leads to; None when it leads to none."""
    after = upcoming(plan, state)
    if state.since is not None and after is not None and needs_a_person(state, after):
        return None
    return move_windows(plan, state)


def due_at(plan: Plan, state: RolloutState) -> datetime | None:
    """When something happens by the clock alone: a scheduled start, or the end of waiting for an approval."""
    match state.state:
        case State.SCHEDULED if state.last is not None:
            return max(plan.start_at or state.last.at, state.last.at)
        case State.AWAITING_APPROVAL:
            return state.approval_due
        case _:
            return None


def approval_due(stage: Stage, at: datetime) -> datetime | None:
    """When an approval of ``stage`` that is asked for at ``at`` times out; None: never."""
    timeout = stage.approval.timeout if stage.approval is not None else None
    return None if timeout is None else at + timeout
