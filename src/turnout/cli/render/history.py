"""The story of a rollout: what it did, when, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from turnout.cli.render.checks import check_line
from turnout.cli.render.words import STATE_STYLES, VERDICT_STYLES, minute, moment, percent, spaced, span
from turnout.cli.views import RolloutView, Told
from turnout.domain.rollout import Decision


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


def deed(decision: Decision, view: RolloutView) -> str:
    """What the rollout did, in a few words."""
    of = f" of {len(view.plan.stages)}" if view.plan is not None else ""
    stage = f"stage {decision.stage + 1}{of} ({percent(decision.share)} {view.candidate})"
    match decision.kind:
        case "started":
            return f"Began {stage}"
        case "advanced":
            return f"Moved on to {stage}"
        case "overridden":
            return f"Moved on to {stage} without the gates"
        case "moved_back":
            return f"Went back to {stage}"
        case "restarted":
            return f"Began {stage} anew"
        case "withdrawn":
            return f"Took everybody back to {view.stable}"
        case "adopted":
            return f"Gave everybody {view.candidate}"
        case "awaiting_approval":
            return "Waits for a person"
        case "held":
            return f"Holds at {percent(decision.share)}"
        case other:
            return spaced(other).capitalize()
