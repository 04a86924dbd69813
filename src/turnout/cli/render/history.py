"""The story of a rollout: what it did, when, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from turnout.cli.render.checks import check_line
from turnout.cli.render.words import STATE_STYLES, VERDICT_STYLES, among, minute, moment, percent, spaced, span
from turnout.cli.views import RolloutView, Told
from turnout.domain.bucketing import TOTAL
from turnout.domain.rollout import Decision, DecisionKind


def history_view(view: RolloutView, story: Sequence[Told]) -> RenderableType:
    """The whole story, oldest first, with the time between the decisions."""
    parts: list[RenderableType] = [Text(heading(view), style="bold")]
    before: Decision | None = None
    for item in story:
        if before is not None and (gap := item.decision.at - before.at).total_seconds() >= 1:
            parts.append(Text(f"    ({span(gap)} later)", style="dim"))
        parts.append(decision_text(item.decision, view))
        parts += [Text(f"        {check_line(check)}", style=VERDICT_STYLES[check.verdict]) for check in item.checks]
        before = item.decision
    if not story:
        parts.append(Text("nothing has happened yet"))
    return Group(*parts)


def heading(view: RolloutView) -> str:
    """Which rollout it was."""
    began = f" on {minute(view.started_at)}" if view.started_at else ""
    ended = f" on {minute(view.ended_at)}" if view.ended_at else ""
    return (
        f"{view.flag}: {spaced(view.strategy)} from {view.stable} to {view.candidate}, "
        f"started by {view.started_by}{began}, {spaced(view.state)}{ended}"
    )


def decision_text(decision: Decision, view: RolloutView) -> Text:
    """One decision as a sentence with its time."""
    text = Text(f"{moment(decision.at)}  ")
    return text.append(told(decision, view), style=STATE_STYLES[decision.state])


def told(decision: Decision, view: RolloutView) -> str:
    """What the rollout did and why, each word once."""
    did = deed(decision, view)
    if decision.kind == "ended" or decision.text.lower().startswith(did.lower()):
        return decision.text[:1].upper() + decision.text[1:]
    return f"{did}: {decision.text}"


_DEEDS: Final[dict[DecisionKind, str]] = {
    "started": "Began {stage}",
    "advanced": "Moved on to {stage}",
    "overridden": "Moved on to {stage} without the gates",
    "moved_back": "Went back to {stage}",
    "restarted": "Began {stage} anew",
    "adjusted": "Changed a share in {stage}",
    "adjusted_by_override": "Changed a share by override in {stage}",
    "withdrawn": "Took everybody back to {stable}",
    "adopted": "Gave everybody {candidate}",
    "settled": "Left the traffic as it is",
    "returned": "Ended with everybody on {stable}",
    "awaiting_approval": "Waits for a person",
    "approval_overdue": "Was not approved in time",
    "waiting_window": "Waits for its window",
    "scheduled": "Scheduled",
    "held": "Holds at {share}",
}


def deed(decision: Decision, view: RolloutView) -> str:
    """What the rollout did, in a few words."""
    stages = view.plan.stages if view.plan is not None else ()
    of, whom = (f" of {len(stages)}", among(stages[decision.stage])) if stages else ("", "")
    share = percent(decision.share)
    given = f"{share} {view.candidate}"
    if decision.shadow is not None:
        given = f"{view.candidate} in shadow for {percent(decision.shadow.sample / TOTAL)}"
    return _DEEDS.get(decision.kind, spaced(decision.kind).capitalize()).format(
        stage=f"stage {decision.stage + 1}{of} ({given}{whom})",
        share=share,
        stable=view.stable,
        candidate=view.candidate,
    )
