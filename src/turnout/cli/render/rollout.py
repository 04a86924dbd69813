"""One rollout as it stands: where it is, what the evidence says, and what would happen next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from turnout.cli.render.checks import checks_table
from turnout.cli.render.following import completed, need, next_step
from turnout.cli.render.words import (
    BLOCKED,
    STATE_STYLES,
    among,
    bar,
    called,
    count,
    gives,
    minute,
    moment,
    percent,
    spaced,
    span,
    state_text,
    table,
)
from turnout.cli.views import RolloutView
from turnout.domain.breaking import SharedBreaker
from turnout.domain.bucketing import TOTAL
from turnout.domain.rollout import State
from turnout.domain.verdicts import Verdict
from turnout.ports import RolloutRecord

_CLOCKLESS = frozenset({State.SCHEDULED, State.PAUSED, State.AWAITING_APPROVAL, State.WAITING_WINDOW})


def status_view(view: RolloutView, now: datetime) -> RenderableType:
    """Everything about one rollout."""
    parts: list[RenderableType] = [title(view), sentence(view, now)]
    if not view.state.ended and view.plan is not None:
        parts.append(Text(progress(view)))
    if view.stopped:
        stop = f"emergency stop: everybody gets {view.stable}; turnout flags restore {view.flag} ends that"
        parts.append(Text(stop, "bold red"))
    parts += [Text(f"breaker: {_blocked(name, one, view.stable)}", "bold red") for name, one in view.breakers.items()]
    if view.checks:
        at = f" at {moment(view.checked_at)}" if view.checked_at else ""
        parts += [Text(), Text(f"checks{at}:"), checks_table(view.checks), Text()]
    if view.last is not None:
        parts.append(Text(f"last: {moment(view.last.at)}  {view.last.text}"))
    parts.append(Text(f"next: {next_step(view)}"))
    if not view.live and not view.state.ended:
        parts.append(Text("note: no worker answered; this is what the database knows", style="yellow"))
    return Group(*parts)


def _blocked(variant: str, breaker: SharedBreaker, stable: str) -> str:
    """Whom a breaker that is not closed keeps from ``variant``, until when, and why."""
    if breaker.circuit == "half_open":
        whom = f"all but probes, {percent(breaker.probe / TOTAL)} of its share, get {stable} in place of {variant}"
    else:
        until = f" until {moment(breaker.until)}" if breaker.until is not None else ""
        whom = f"everybody gets {stable} in place of {variant}{until}"
    return f"{whom}; since {moment(breaker.at)}: {breaker.why}"


def title(view: RolloutView) -> Text:
    """Which rollout it is, and its state."""
    what = called(view.strategy, view.plan.name if view.plan is not None else None)
    text = Text.assemble((view.flag, "bold"), f"  {what}, {view.stable} → {view.candidate}  ")
    return text.append_text(state_text(view.state))


def sentence(view: RolloutView, now: datetime) -> Text:
    """The state in one sentence."""
    if view.state.ended:
        ended = view.ended_at or now
        took = f" after {span(ended - view.started_at)}" if view.started_at else ""
        words = f"{spaced(view.state).capitalize()}{took}, on {minute(ended)}; {_end(view)}; {_began(view)}."
    elif view.plan is None:
        words = f"{view.summary or 'No worker has begun it yet'}; {_began(view)}."
    else:
        users = f"{percent(view.share)} of the users{among(view.plan.stages[view.stage])}"
        where = f"Stage {view.stage + 1} of {len(view.plan.stages)}: {users} get {view.candidate}{_beside(view)}"
        words = f"{where}. {_standing(view)}; {_began(view)}."
    return Text(words, style=STATE_STYLES[view.state])


def _beside(view: RolloutView) -> str:
    stage = view.here
    return "" if stage is None or stage.shadow is None else f", which answers {gives(stage, view.share)}"


def _began(view: RolloutView) -> str:
    return f"started by {view.started_by}" + (f" on {minute(view.started_at)}" if view.started_at else "")


def _end(view: RolloutView) -> str:
    match view.state:
        case State.COMPLETED:
            return completed(view)
        case State.FAILED:
            return view.summary or "the rollout could not go on"
        case _:
            return f"all users get {view.stable}"


def _standing(view: RolloutView) -> str:
    match view.state:
        case State.HOLDING:
            why = _signal(view) or (BLOCKED.get(view.blocked) if view.blocked is not None else None)
            return f"It holds because {why}" if why else "It holds"
        case State.PAUSED if view.pause is not None:
            return f"Since {minute(view.pause.at)} it is {_once(view.pause.reason, 'paused')}"
        case State.AWAITING_APPROVAL:
            return f"It waits for {need(view.upcoming)}{_until_due(view)}"
        case State.WAITING_WINDOW:
            return f"It waits for its window: {_opens(view)}"
        case State.SCHEDULED if view.plan is not None and view.plan.start_at is not None:
            return f"It begins on {minute(view.plan.start_at)}"
        case other:
            return f"It is {spaced(other)}"


def _until_due(view: RolloutView) -> str:
    return f" until {minute(view.approval_due)}" if view.approval_due is not None else ""


def _opens(view: RolloutView) -> str:
    """When traffic may move, and why it may not now; without the rollout's own word, what it decided last."""
    if view.closed is None:
        return view.last.text if view.last is not None else "when it opens is not known"
    return f"{view.closed.opens} (now it is {view.closed.why})"


def _signal(view: RolloutView) -> str:
    """What a signal that keeps the rollout waiting says; empty for none."""
    failing = (check for check in view.checks if check.role == "signal" and not check.dry_run)
    return next((f"a signal fails: {check.gate}" for check in failing if check.verdict is Verdict.FAIL), "")


def _once(reason: str, word: str) -> str:
    """``reason`` as the end of a sentence that says ``word`` exactly once."""
    return reason if reason.startswith(word) else f"{word}: {reason}"


def progress(view: RolloutView) -> str:
    """How much of the hold was watched, as a bar and in words."""
    rest = f"{span(view.left)} left" if view.left else "the hold is over"
    still = ", the clock stands still" if view.state in _CLOCKLESS else ""
    watched = f"{span(min(view.counted, view.hold))} of {span(view.hold)} watched"
    return f"{bar(view.done, 30)} {int(view.done * 100)} %  {watched}, {rest}{still}"


def rollouts_table(records: Sequence[RolloutRecord]) -> Table | Text:
    """One row a rollout."""
    if not records:
        return Text("no rollouts; begin one with `turnout start FILE`")
    grid = table("flag", "strategy", "from", "to", "state", "stage", "share", "started", "by", right=("share",))
    for record in records:
        stages = f"{record.stage + 1} of {len(record.plan.stages)}"
        grid.add_row(
            record.flag,
            called(record.strategy, record.plan.name),
            record.stable,
            record.candidate,
            state_text(record.state).append(_from(record)),
            stages,
            percent(record.share),
            minute(record.started_at),
            record.started_by,
        )
    return grid


def _from(record: RolloutRecord) -> str:
    waits = record.state is State.SCHEDULED and record.plan.start_at is not None
    return f" for {minute(record.plan.start_at)}" if waits and record.plan.start_at is not None else ""


def started_text(view: RolloutView) -> Text:
    """What starting a rollout says."""
    what = called(view.strategy, view.plan.name if view.plan is not None else None)
    text = f"started {what} of {view.flag} to {view.candidate}: "
    if view.plan is not None:
        first = gives(view.plan.stages[0], view.plan.share(0))
        text += f"{count(len(view.plan.stages), 'stage')}, the first gives it {first}; "
        if view.state is State.SCHEDULED and view.plan.start_at is not None:
            text += f"it begins on {minute(view.plan.start_at)}; "
    return Text(f"{text}follow it with: turnout watch {view.flag}")
