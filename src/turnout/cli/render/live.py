"""A rollout while it is watched on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from turnout.cli.render.checks import checks_drawn
from turnout.cli.render.following import need, next_step
from turnout.cli.render.history import decision_text
from turnout.cli.render.rollout import sentence, title
from turnout.cli.render.words import bar, gives, span, table
from turnout.cli.views import RolloutView, Told
from turnout.domain.rollout import State

SHOWN_DECISIONS = 5
_BAR, _DRAWING = 24, 20


def live_view(view: RolloutView, told: Sequence[Told], trouble: str, now: datetime) -> RenderableType:
    """The stages, every check with its interval drawn against the limit, and the latest decisions.

    ``trouble`` says why what is shown may be old; empty when all is well.
    """
    parts: list[RenderableType] = [title(view), sentence(view, now), Text()]
    if view.plan is not None:
        parts += [stages_table(view), Text()]
    if view.checks:
        parts += [checks_drawn(view.checks, _DRAWING), Text()]
    parts += [decision_text(item.decision, view) for item in told[-SHOWN_DECISIONS:]]
    parts.append(Text(f"next: {next_step(view)}"))
    if trouble:
        parts.append(Text(f"not connected, trying again: {trouble}", style="bold yellow"))
    if not view.state.ended:
        parts.append(Text("Ctrl-C stops watching; the rollout goes on", style="dim"))
    return Group(*parts)


def stages_table(view: RolloutView) -> Table:
    """One row a stage: what share it gives, how far it is, and what it waits for."""
    grid = table("", "stage", "share", "", "", right=("share",))
    for index, stage in enumerate(view.plan.stages if view.plan is not None else ()):
        mark, done = _mark(view, index)
        words = f"{span(stage.hold)}" if index != view.stage else f"{span(view.left)} left of {span(stage.hold)}"
        waits = f"  after {need(stage)}" if stage.approval is not None or stage.manual else ""
        share = gives(stage, view.plan.share(index)) if view.plan is not None else ""
        style = "bold" if index == view.stage and not view.state.ended else "dim"
        grid.add_row(mark, str(index + 1), share, bar(done, _BAR), words + waits, style=style)
    return grid


def _mark(view: RolloutView, index: int) -> tuple[str, float]:
    """How a stage stands: its sign, and how much of it is done."""
    if view.state is State.COMPLETED or index < view.stage:
        return "✓", 1.0
    if index > view.stage:
        return " ", 0.0
    return ("✗" if view.state.ended else "▶"), view.done


def ticked(view: RolloutView, passed: timedelta) -> RolloutView:
    """``view`` as it will be when ``passed`` more was watched and nothing else happened."""
    if view.state is not State.RUNNING:
        return view
    return view.model_copy(update={"counted": min(view.counted + passed, view.hold)})
