"""The rules of a rollout: a pure function from state and event to the next state and the decisions made.

The workflow only orders effects around it. Nothing here knows a clock: every event brings its time.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from turnout.domain import adjusting
from turnout.domain.ahead import approval_due, needs_a_person, upcoming, windows_ahead
from turnout.domain.durations import format_duration
from turnout.domain.freezes import Closed
from turnout.domain.moves import (
    Cause,
    Step,
    became,
    complete,
    enter,
    note,
    publish,
    traffic_of,
    withdraw,
)
from turnout.domain.plan import Plan, Recourse, Stage
from turnout.domain.refusals import refusal
from turnout.domain.rollout import (
    ZERO,
    Clock,
    Command,
    DecisionKind,
    Observation,
    Pause,
    RolloutState,
    State,
    WatchRequest,
    watched_guardrails,
)
from turnout.domain.verdicts import Verdict

REMEMBERED_COMMANDS = 200
_STANDING = frozenset({State.PAUSED, State.AWAITING_APPROVAL})
_CLOCKLESS = _STANDING | {State.WAITING_WINDOW}

BREAKER: Final = "breaker"
"""The actor of commands that a shared breaker gives."""


def begin(plan: Plan, state: RolloutState, at: datetime, closed: Closed | None = None) -> Step:
    """Enter the first stage; or wait, for the time it was scheduled at, or while ``closed`` forbids it."""
    if plan.start_at is not None and at < plan.start_at:
        text = f"scheduled by {state.started_by}: begins {plan.start_at:%a %Y-%m-%d %H:%M %Z}"
        return note(plan, state, "scheduled", Cause(at, text, actor=state.started_by))
    if closed is not None:
        return _wait(plan, state, closed, Cause(at, "about to begin"))
    text = f"started by {state.started_by}: {_journey(plan)}"
    return enter(plan, state, 0, "started", Cause(at, text, actor=state.started_by))


def _journey(plan: Plan) -> str:
    return f"{plan.strategy} from {plan.stable} to {plan.candidate}"


def observe(plan: Plan, state: RolloutState, seen: Observation) -> Step:
    """Act on what watching the stage came to."""
    if state.state.ended or state.ending is not None:
        return Step(state)
    cause = Cause(seen.at, seen.text, verdict=seen.verdict, evidence=seen.evidence)
    if state.state not in _CLOCKLESS:
        state = state.model_copy(update={"clock": seen.clock})
    if seen.kind == "guardrail":
        return _recourse(plan, state, "pause" if seen.recourse == "pause" else "rollback", cause)
    return Step(state) if state.state in _STANDING else _found(plan, state, seen, cause)


def _found(plan: Plan, state: RolloutState, seen: Observation, cause: Cause) -> Step:
    match seen.kind:
        case "judged" if seen.verdict is Verdict.PASS:
            return _passed(plan, _proven(plan, state.model_copy(update={"winner": seen.winner})), cause)
        case "judged" if seen.verdict is Verdict.FAIL:
            return _failed(plan, state, cause)
        case "blocked":
            return became(plan, state, State.HOLDING, "held", cause, blocked=seen.verdict)
        case "recovered":
            return became(plan, state, State.RUNNING, "recovered", cause, blocked=None)
        case "overdue":
            return _overdue(plan, state, seen, cause)
        case "waiting" if seen.closed is not None:
            return _wait(plan, state, seen.closed, cause)
        case _:
            return Step(state)


def due(plan: Plan, state: RolloutState, at: datetime, closed: Closed | None) -> Step:
    """Act on the time of `due_at`; ``closed`` says why traffic may not move forward now."""
    if state.state is State.SCHEDULED:
        return begin(plan, state, at, closed)
    stage = upcoming(plan, state)
    approval = stage.approval if stage is not None else None
    state = state.model_copy(update={"approval_due": None})
    if approval is None or approval.timeout is None:
        return Step(state)
    cause = Cause(at, f"nobody has approved within {format_duration(approval.timeout)}")
    match approval.on_timeout:
        case "rollback":
            return withdraw(plan, state, State.ROLLED_BACK, cause)
        case "pause":
            return _pause(plan, state, cause)
        case "hold":
            return note(plan, state, "approval_overdue", replace(cause, text=f"{cause.text}; waits on"))


def command(plan: Plan, state: RolloutState, order: Command, at: datetime, closed: Closed | None = None) -> Step:
    """Act on ``order`` once: a repeated id changes nothing, a refused one is recorded as refused.

    ``closed`` is why traffic may not move forward now, for an order that moves it; see `windows_for`.
    """
    if order.id in state.seen:
        return Step(state)
    why_not = refusal(plan, state, order, closed)
    state = _remember(state, order, refused=why_not is not None)
    said = f": {order.reason}" if order.reason else ""
    cause = Cause(at, f"{order.kind} by {order.actor}{said}", order.actor, order.reason, command_id=order.id)
    if why_not is not None:
        return note(plan, state, "refused", replace(cause, text=f"{cause.text} – refused, {why_not}"))
    match order.kind:
        case "pause":
            # While a breaker kept users from the candidate, those of stable went on counting: the stage begins anew.
            anew = order.actor == BREAKER
            return _pause(plan, state, replace(cause, text=f"paused by {order.actor}{said}"), restart=anew)
        case "resume":
            return _resume(plan, state, replace(cause, text=f"resumed by {order.actor}{said}"))
        case "approve":
            return _approve(plan, state, replace(cause, text=f"approved by {order.actor}{said}"))
        case "promote":
            text = f"promoted by {order.actor}{said}" + (f"; overrides that it is {closed.why}" if closed else "")
            return _promote(plan, state, replace(cause, text=text, overrode=closed))
        case "adjust":
            return _adjust(plan, state, order, replace(cause, overrode=closed))
        case "abort":
            return withdraw(plan, state, State.ABORTED, replace(cause, text=f"aborted by {order.actor}{said}"))
        case "rollback":
            return withdraw(plan, state, State.ROLLED_BACK, replace(cause, text=f"rolled back by {order.actor}{said}"))


def finish(plan: Plan, state: RolloutState, at: datetime, delivery: str) -> Step:
    """End a rollout whose last traffic change has reached the resolvers; ``delivery`` says how far it got."""
    end = state.ending or State.FAILED
    state = state.model_copy(update={"state": end, "ending": None, "pause": None, "blocked": None, "closed": None})
    then = "; a rollout that ships the winner follows" if follow_up(plan, state) is not None else ""
    return note(plan, state, "ended", Cause(at, f"{str(end).replace('_', ' ')}; {delivery}{then}"))


def follow_up(plan: Plan, state: RolloutState) -> dict[str, JsonValue] | None:
    """The spec of the rollout that begins by itself after this one: of a test that has a winner, if it ships one."""
    ships = state.state is State.COMPLETED and state.winner not in (None, plan.stable)
    return {**plan.follow_up, "candidate": state.winner} if ships and plan.follow_up is not None else None


def broken(plan: Plan, state: RolloutState, at: datetime, why: str) -> Step:
    """Take everybody back because the stage can be watched no more, through no fault of the candidate."""
    return withdraw(plan, state, State.FAILED, Cause(at, f"watching failed for good: {why}"))


def fenced(plan: Plan, state: RolloutState, at: datetime, why: str) -> Step:
    """Fail a rollout that no longer owns its flag's traffic: somebody else published a newer generation."""
    state = state.model_copy(update={"state": State.FAILED, "ending": None, "pause": None})
    return note(plan, state, "ended", Cause(at, f"failed: {why}"))


def unrouted(plan: Plan, state: RolloutState, at: datetime, why: str) -> Step:
    """Hold a stage whose traffic the router has not taken; watching the stage goes on trying.

    An end goes on, too: it is reported only once the router has it.
    """
    cause = Cause(at, f"the router has not taken the change, which is tried again: {why}", verdict=Verdict.SOURCE_ERROR)
    if state.ending is not None or state.state in _STANDING:
        return note(plan, state, "held", cause)
    return became(plan, state, State.HOLDING, "held", cause, blocked=Verdict.SOURCE_ERROR)


def watch_request(plan: Plan, state: RolloutState) -> WatchRequest | None:
    """What to watch now; None when there is nothing to watch."""
    since = state.since or (state.last.at if state.last and state.state is State.WAITING_WINDOW else None)
    if since is None or state.state.ended or state.ending is not None:
        return None
    stage = adjusting.staged(plan, state.stage, state.adjusted)
    watched: dict[str, object] = {"guardrails": watched_guardrails(stage, state.state)}
    if state.since is None:
        watched = {"gates": (), "guardrails": (), "hold": ZERO}  # nobody has the candidate yet
    if state.approved:
        # Approval comes last: whatever was left of the hold, promote has waived it, and the gates are asked at once.
        watched["hold"] = min(stage.hold, state.clock.counted)
    return WatchRequest(
        rollout_id=state.rollout_id,
        flag=plan.flag,
        stable=plan.stable,
        candidate=plan.candidate,
        index=state.stage,
        stage=stage.model_copy(update=watched),
        generation=state.generation,
        since=since,
        clock=state.clock,
        counting=state.state not in _CLOCKLESS,
        blocked=state.blocked,
        windows=None if state.state in _STANDING else windows_ahead(plan, state),
        closed=state.closed,
    )


def settle(begun: Clock, seen: Observation, at: datetime) -> Clock:
    """The stage's clock at ``at``, when a watch that began at ``begun`` last reported ``seen``.

    A watch notices a pause a little late, and one that answered for a whole stage at once is ahead: what it
    counted after ``at`` is taken off again, never below where it began.
    """
    over = max(seen.at - at, ZERO)
    waited = max(seen.clock.waited - over, begun.waited)
    over = max(over - (seen.clock.waited - waited), ZERO)
    return Clock(counted=max(seen.clock.counted - over, begun.counted), waited=waited)


def _remember(state: RolloutState, order: Command, refused: bool) -> RolloutState:
    seen = (*state.seen, order.id)[-REMEMBERED_COMMANDS:]
    others = tuple(id_ for id_ in state.refused if id_ in seen)
    return state.model_copy(update={"seen": seen, "refused": (*others, order.id) if refused else others})


def _passed(plan: Plan, state: RolloutState, cause: Cause) -> Step:
    stage = upcoming(plan, state)
    if state.since is None:
        return begin(plan, state, cause.at)
    if stage is None:
        return complete(plan, state, cause)
    if not needs_a_person(state, stage):
        return enter(plan, state, state.stage + 1, "advanced", cause)
    return _await_person(plan, state, stage, cause)


def _await_person(plan: Plan, state: RolloutState, stage: Stage, cause: Cause) -> Step:
    need = "promote"
    if stage.approval is not None:
        need = f"approval by {stage.approval.by or 'somebody who did not start it'}"
    text = f"{cause.text}; waits for {need} before {stage.name}"
    state = state.model_copy(update={"approval_due": approval_due(stage, cause.at)})
    return became(plan, state, State.AWAITING_APPROVAL, "awaiting_approval", replace(cause, text=text), blocked=None)


def _wait(plan: Plan, state: RolloutState, closed: Closed, cause: Cause) -> Step:
    """Stand still until traffic may move forward."""
    text = f"{cause.text}; waits for its window: {closed.opens} (now it is {closed.why})"
    verdict = cause.verdict if cause.verdict is not Verdict.NO_DATA else None
    state = state.model_copy(update={"closed": closed})
    cause = replace(cause, text=text, verdict=verdict)
    return became(plan, state, State.WAITING_WINDOW, "waiting_window", cause, blocked=None)


def _failed(plan: Plan, state: RolloutState, cause: Cause) -> Step:
    stage = plan.stages[state.stage]
    state = state.model_copy(update={"passed": adjusting.disproven(stage, state.passed)})
    if stage.on_fail == "pause":
        return _pause(plan, state, cause, restart=True)
    if stage.on_fail == "rollback" or state.stage == 0:
        return withdraw(plan, state, State.ROLLED_BACK, cause)
    times = state.failures.get(state.stage, 0) + 1
    state = state.model_copy(update={"failures": {**state.failures, state.stage: times}})
    cause = replace(cause, text=f"{cause.text}; failure {times} of {stage.max_attempts} at {stage.name}")
    if times >= stage.max_attempts:
        return withdraw(plan, state, State.ROLLED_BACK, cause)
    return enter(plan, state, state.stage - 1, "moved_back", cause)


def _overdue(plan: Plan, state: RolloutState, seen: Observation, cause: Cause) -> Step:
    stage = plan.stages[state.stage]
    waited, deadline = format_duration(state.clock.waited), format_duration(stage.deadline)
    text = f"{cause.text}; undecided for {waited}, the deadline is {deadline}"
    if seen.recourse == "advance":
        return _passed(plan, state, replace(cause, text=f"advanced without proof: {text}"))
    return _recourse(plan, state, seen.recourse or "pause", replace(cause, text=text))


def _recourse(plan: Plan, state: RolloutState, recourse: Recourse, cause: Cause) -> Step:
    if recourse == "rollback":
        return withdraw(plan, state, State.ROLLED_BACK, cause)
    if state.state is State.PAUSED:
        return Step(state)
    return _pause(plan, state, cause, restart=cause.verdict is Verdict.FAIL)


def _pause(plan: Plan, state: RolloutState, cause: Cause, restart: bool = False) -> Step:
    back_to = State.RUNNING if state.since is not None else State.SCHEDULED
    if state.state is State.AWAITING_APPROVAL and not restart:
        back_to = State.AWAITING_APPROVAL
    pause = Pause(at=cause.at, by=cause.actor, reason=cause.text, resume_to=back_to, restart=restart)
    state = state.model_copy(update={"pause": pause})
    return became(plan, state, State.PAUSED, "paused", cause, blocked=None)


def _resume(plan: Plan, state: RolloutState, cause: Cause) -> Step:
    pause = state.pause
    if pause is not None and pause.restart:
        return enter(plan, state, state.stage, "restarted", cause)
    clock = state.clock.model_copy(update={"waited": ZERO})
    stage = upcoming(plan, state)
    again = approval_due(stage, cause.at) if stage and pause and pause.resume_to is State.AWAITING_APPROVAL else None
    state = state.model_copy(update={"pause": None, "clock": clock, "approval_due": again})
    return became(plan, state, pause.resume_to if pause else State.RUNNING, "resumed", cause, blocked=None)


def _approve(plan: Plan, state: RolloutState, cause: Cause) -> Step:
    last = state.last
    # What was advanced without proof has waited for its deadline already; it need not wait as long again.
    unproven = last is not None and last.kind == "awaiting_approval" and last.verdict is Verdict.INCONCLUSIVE
    clock = state.clock if unproven else state.clock.model_copy(update={"waited": ZERO})
    state = state.model_copy(update={"approved": True, "clock": clock})
    cause = replace(cause, text=f"{cause.text}; health is checked once more")
    return became(plan, state, State.RUNNING, "approved", cause, blocked=None)


def _promote(plan: Plan, state: RolloutState, cause: Cause) -> Step:
    stage = upcoming(plan, state)
    if state.since is None:
        return enter(plan, state, 0, "started", replace(cause, text=f"{cause.text}: {_journey(plan)} begins now"))
    if stage is not None and stage.approval is not None and not state.approved:
        return _await_person(plan, state.model_copy(update={"pause": None}), stage, cause)
    if stage is not None and state.state is State.AWAITING_APPROVAL:
        return enter(plan, state, state.stage + 1, "overridden" if cause.overrode else "advanced", cause)
    cause = replace(cause, text=f"{cause.text}; gates not asked")
    if stage is None:
        return complete(plan, state, cause)
    return enter(plan, state, state.stage + 1, "overridden", cause)


def _adjust(plan: Plan, state: RolloutState, order: Command, cause: Cause) -> Step:
    """Publish another share of one part; the stage begins again, as its evidence is about another split."""
    wanted = order.adjustment or adjusting.Adjustment(part="", weight=0)
    stage = adjusting.staged(plan, state.stage, state.adjusted)
    over = adjusting.beyond(plan, stage, state.passed, wanted)
    text = adjusting.told(plan, stage, state.passed, wanted, order.actor, order.reason, cause.overrode)
    cause = replace(cause, text=text)
    update: dict[str, object] = {
        "state": State.RUNNING,
        "clock": Clock(),
        "since": cause.at,
        "blocked": None,
        "approved": False,
        "closed": None,
        "approval_due": None,
        "adjusted": {**state.adjusted, wanted.part: wanted.weight},
    }
    if state.pause is not None:
        again = {"restart": True, "resume_to": State.RUNNING}
        update |= {"state": State.PAUSED, "pause": state.pause.model_copy(update=again)}
    state = state.model_copy(update=update)
    kind: DecisionKind = "adjusted_by_override" if over else "adjusted"
    return publish(plan, state, kind, cause, traffic_of(plan, state))


def _proven(plan: Plan, state: RolloutState) -> RolloutState:
    stage = adjusting.staged(plan, state.stage, state.adjusted)
    return state.model_copy(update={"passed": adjusting.proven(plan, stage, state.passed)})
