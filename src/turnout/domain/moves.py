"""What rules of a rollout are made of: a cause, the traffic it moves, and the step that records both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from turnout.domain import adjusting
from turnout.domain.bucketing import TOTAL
from turnout.domain.flags import Segment, Shadow
from turnout.domain.freezes import Closed
from turnout.domain.plan import Plan
from turnout.domain.rollout import Clock, Decision, DecisionKind, RolloutState, State
from turnout.domain.verdicts import Verdict

_FORWARD: frozenset[DecisionKind] = frozenset({"started", "advanced", "overridden"})


@dataclass(frozen=True, slots=True)
class Step:
    """What an event led to: the new state and the decisions to record, in order."""

    state: RolloutState
    decisions: tuple[Decision, ...] = ()


@dataclass(frozen=True, slots=True)
class Cause:
    """Who or what brought a decision about."""

    at: datetime
    text: str
    actor: str = "turnout"
    reason: str = ""
    verdict: Verdict | None = None
    evidence: str | None = None
    command_id: str | None = None
    overrode: Closed | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """Traffic to publish; ``share`` (0..1) is what it gives the candidate."""

    weights: dict[str, int]
    share: float
    segments: tuple[Segment, ...] = ()
    shadow: Shadow | None = None
    exposed: int = TOTAL
    test: bool = False
    new_stable: str | None = None


def enter(plan: Plan, state: RolloutState, index: int, kind: DecisionKind, cause: Cause) -> Step:
    """Begin stage ``index``: fresh clocks, its traffic."""
    state = state.model_copy(
        update={
            "state": State.RUNNING,
            "stage": index,
            "clock": Clock(),
            "since": cause.at,
            "blocked": None,
            "pause": None,
            "approved": False,
            "closed": None,
            "approval_due": None,
            "adjusted": adjusting.entered(plan, index, state.adjusted) if kind in _FORWARD else state.adjusted,
        }
    )
    return publish(plan, state, kind, cause, traffic_of(plan, state))


def withdraw(plan: Plan, state: RolloutState, end: State, cause: Cause) -> Step:
    """Take everybody back; the rollout ends as ``end`` once the resolvers have it."""
    return publish(plan, state.model_copy(update={"ending": end}), "withdrawn", cause, everybody_back(plan))


def complete(plan: Plan, state: RolloutState, cause: Cause) -> Step:
    """End the way the plan says."""
    state = state.model_copy(update={"ending": State.COMPLETED})
    match plan.end:
        case "adopt":
            everybody_over = Move({plan.candidate: TOTAL, plan.stable: 0}, 1.0, new_stable=plan.candidate)
            return publish(plan, state, "adopted", cause, everybody_over)
        case "stay":
            return publish(plan, state, "settled", cause, replace(traffic_of(plan, state), test=False))
        case "return":
            return publish(plan, state, "returned", cause, everybody_back(plan))


def traffic_of(plan: Plan, state: RolloutState) -> Move:
    """The traffic of the present stage, with the shares that were changed by hand."""
    stage = adjusting.staged(plan, state.stage, state.adjusted)
    share = stage.watched.get(plan.candidate, 0) / TOTAL
    return Move(stage.weights, share, stage.segments, stage.shadow, stage.exposed, stage.test)


def everybody_back(plan: Plan) -> Move:
    """Everybody on stable."""
    return Move({plan.candidate: 0, plan.stable: TOTAL}, 0.0)


def publish(
    plan: Plan,
    state: RolloutState,
    kind: DecisionKind,
    cause: Cause,
    move: Move,
) -> Step:
    """Record a decision that moves traffic, under the next generation."""
    state = state.model_copy(update={"generation": state.generation + 1, "share": move.share})
    return note(plan, state, kind, cause, move)


def became(
    plan: Plan, state: RolloutState, new: State, kind: DecisionKind, cause: Cause, *, blocked: Verdict | None
) -> Step:
    """Record a decision that changes the rollout's state and leaves the traffic as it is."""
    kept = {
        "pause": state.pause if new is State.PAUSED else None,
        "closed": state.closed if new is State.WAITING_WINDOW else None,
        "approval_due": state.approval_due if new is State.AWAITING_APPROVAL else None,
    }
    state = state.model_copy(update={"state": new, "blocked": blocked, **kept})
    return note(plan, state, kind, cause)


def note(
    plan: Plan,
    state: RolloutState,
    kind: DecisionKind,
    cause: Cause,
    move: Move | None = None,
) -> Step:
    """Record a decision."""
    decision = Decision(
        rollout_id=state.rollout_id,
        flag=plan.flag,
        seq=state.seq + 1,
        kind=kind,
        at=cause.at,
        state=state.state,
        stage=state.stage,
        share=state.share,
        text=cause.text,
        actor=cause.actor,
        reason=cause.reason,
        verdict=cause.verdict,
        evidence=cause.evidence,
        command_id=cause.command_id,
        overrode=cause.overrode,
        weights=move.weights if move else None,
        segments=move.segments if move else (),
        shadow=move.shadow if move else None,
        exposed=move.exposed if move else TOTAL,
        test=move.test if move else False,
        generation=state.generation,
        new_stable=move.new_stable if move else None,
        passed=state.passed if kind == "settled" else None,
    )
    # A refused command is in the log, but it is not what the rollout did last.
    last = state.last if kind == "refused" else decision
    return Step(state.model_copy(update={"seq": decision.seq, "last": last}), (decision,))
