"""What people are told of a rollout: which decision is news, in which words, and how urgent it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from pydantic import AwareDatetime

from turnout.domain.channels import Event
from turnout.domain.model import Frozen
from turnout.domain.plan import Plan
from turnout.domain.rollout import Decision, DecisionKind, State
from turnout.domain.verdicts import Check, Verdict

Severity = Literal["info", "warning", "critical"]
"""``warning`` may need a person; ``critical`` is a candidate or a rollout that has failed."""

EVENT_OF: Final[dict[DecisionKind, Event]] = {
    "scheduled": "scheduled",
    "started": "started",
    "advanced": "advanced",
    "overridden": "advanced",
    "moved_back": "moved_back",
    "restarted": "resumed",
    "adjusted": "adjusted",
    "adjusted_by_override": "adjusted",
    "held": "held",
    "recovered": "recovered",
    "paused": "paused",
    "resumed": "resumed",
    "waiting_window": "waiting_window",
    "awaiting_approval": "approval_needed",
    "approval_overdue": "approval_needed",
    "approved": "approved",
}
"""The news that a decision is, whatever its state."""

TOLD_AT_THE_END: Final[frozenset[DecisionKind]] = frozenset({"withdrawn", "adopted", "settled", "returned"})
"""Decisions that are told with the end they lead to: only then have the resolvers got them."""

SILENT: Final[frozenset[DecisionKind]] = frozenset({"refused"})
"""Decisions that are no news: whoever gave the command has the answer."""

_ENDS: Final[dict[State, Event]] = {
    State.COMPLETED: "completed",
    State.ROLLED_BACK: "rolled_back",
    State.ABORTED: "aborted",
    State.FAILED: "failed",
}

_AT_STAGE: Final[dict[Event, str]] = {
    "advanced": "advanced to {}",
    "moved_back": "went back to {}",
    "adjusted": "changed a share at {}",
    "held": "holds at {}",
    "source_trouble": "holds at {}, a metric source does not answer",
    "recovered": "goes on at {}",
    "waiting_window": "waits for its window at {}",
    "approval_needed": "waits for a person at {}",
}

_SEVERITY: Final[dict[Event, Severity]] = {
    "moved_back": "warning",
    "held": "warning",
    "source_trouble": "warning",
    "paused": "warning",
    "approval_needed": "warning",
    "aborted": "warning",
    "rolled_back": "critical",
    "failed": "critical",
}


class News(Frozen):
    """What a notice is made of: the ``event`` that a decision is, and the rollout it is of.

    ``cause`` is the decision that the end in ``decision`` follows from. ``stages`` are the names of the plan's stages.
    """

    event: Event
    decision: Decision
    cause: Decision | None = None
    strategy: str
    stable: str
    candidate: str
    stages: tuple[str, ...]


class Notice(Frozen):
    """One piece of news, ready to be sent; the same decision always gives the same notice.

    ``key`` is ``<rollout>:<seq>``: whoever gets a key again has been told already. ``title`` is a line, ``text`` says
    what happened and why, ``checks`` are the gates and guardrails it rests on with their estimates and intervals, and
    ``advice`` is what a person can do, where it takes one. ``stage`` counts from 0, ``share`` is the candidate's, 0..1.

    News of a budget or a breaker is of no rollout: ``candidate`` is its variant, ``state`` None, ``rollout_id`` empty.
    """

    key: str
    event: Event | Literal["test"]
    severity: Severity
    at: AwareDatetime
    flag: str
    rollout_id: str
    seq: int
    strategy: str
    stable: str
    candidate: str
    state: State | None = None
    stage: int
    stages: tuple[str, ...]
    share: float
    title: str
    text: str
    advice: str = ""
    actor: str = "turnout"
    reason: str = ""
    verdict: Verdict | None = None
    checks: tuple[Check, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """The notice in lines for a person: the text, a line for each check, the advice."""
        checks = (f"{check.verdict.replace('_', ' ')}: {check.text}" for check in self.checks if check.text)
        return tuple(filter(None, (self.text, *checks, self.advice)))


def event_of(decision: Decision) -> Event | None:
    """The event that ``decision`` is; None for one that is not told by itself."""
    if decision.kind == "ended":
        return _ENDS.get(decision.state)
    if decision.kind == "held" and decision.verdict is Verdict.SOURCE_ERROR:
        return "source_trouble"
    return EVENT_OF.get(decision.kind)


def news_of(plan: Plan, decision: Decision, before: Decision | None) -> News | None:
    """What is to be told of ``decision``, if it is news; ``before`` is the rollout's last decision before it."""
    event = event_of(decision)
    if event is None:
        return None
    follows = decision.kind == "ended" and before is not None and before.kind in TOLD_AT_THE_END
    return News(
        event=event,
        decision=decision,
        cause=before if follows else None,
        strategy=plan.strategy,
        stable=plan.stable,
        candidate=plan.candidate,
        stages=tuple(stage.name for stage in plan.stages),
    )


def evidence_of(news: News) -> str | None:
    """The id of the evidence that the decision rests on."""
    return (news.cause or news.decision).evidence


def notice_of(news: News, checks: Sequence[Check] = ()) -> Notice:
    """The notice of ``news`` with the ``checks`` of its evidence."""
    done, event = news.decision, news.event
    why = news.cause or done
    return Notice(
        key=f"{done.rollout_id}:{done.seq}",
        event=event,
        severity=_SEVERITY.get(event, "info"),
        at=done.at,
        flag=done.flag,
        rollout_id=done.rollout_id,
        seq=done.seq,
        strategy=news.strategy,
        stable=news.stable,
        candidate=news.candidate,
        state=done.state,
        stage=done.stage,
        stages=news.stages,
        share=done.share,
        title=f"{done.flag}: {_deed(news)}",
        text=done.text if why is done else f"{why.text} ({done.text})",
        advice=_advice(done.flag, event),
        actor=why.actor,
        reason=why.reason,
        verdict=why.verdict,
        checks=tuple(checks),
    )


def trial_notice(plan: Plan, at: AwareDatetime, key: str) -> Notice:
    """A notice that says that it is none, for trying the channels of ``plan``."""
    return Notice(
        key=key,
        event="test",
        severity="info",
        at=at,
        flag=plan.flag,
        rollout_id="test",
        seq=0,
        strategy=plan.strategy,
        stable=plan.stable,
        candidate=plan.candidate,
        state=State.SCHEDULED,
        stage=0,
        stages=tuple(stage.name for stage in plan.stages),
        share=0.0,
        title=f"{plan.flag}: test of this channel",
        text=f"Rollouts of {plan.flag} to {plan.candidate} can be told here. Nothing was started.",
    )


def _deed(news: News) -> str:
    done, event = news.decision, news.event
    if event in _ENDS.values():
        return _words(event) + _outcome(news)
    stage = f"stage {done.stage + 1} of {len(news.stages)} ({news.stages[done.stage]})"
    if event in ("scheduled", "started"):
        return f"{event} {news.strategy} from {news.stable} to {news.candidate}, {stage}"
    return _AT_STAGE.get(event, f"{_words(event)} at {{}}").format(stage)


def _outcome(news: News) -> str:
    """What an end means for the users, as far as the decision that led to it says."""
    match news.cause.kind if news.cause else None:
        case "adopted":
            return f", {news.candidate} is stable now"
        case "settled":
            return ", the traffic of its last stage stays"
        case "returned" | "withdrawn":
            return f", everybody is back on {news.stable}"
        case _:
            return ""


def _words(event: Event) -> str:
    return event.replace("_", " ")


def _advice(flag: str, event: Event) -> str:
    match event:
        case "paused":
            return f"turnout resume {flag}, turnout promote {flag}, or turnout rollback {flag}"
        case "approval_needed":
            return f"turnout status {flag} says what it waits for: turnout approve {flag}, or turnout promote {flag}"
        case "rolled_back" | "failed" | "moved_back":
            return f"turnout history {flag} has the whole story"
        case _:
            return ""
