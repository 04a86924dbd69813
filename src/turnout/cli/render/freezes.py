"""Freezes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import RenderableType
from rich.text import Text

from turnout.cli.render.words import minute, table
from turnout.domain.freezes import Freeze


def freezes_table(freezes: Sequence[Freeze], now: datetime) -> RenderableType:
    """One row a freeze."""
    if not freezes:
        return Text("no freezes; traffic may move forward within the windows of each rollout")
    grid = table("id", "", "from", "to", "flags", "reason", "by")
    for freeze in freezes:
        grid.add_row(
            freeze.id,
            _when(freeze, now),
            minute(freeze.start),
            minute(freeze.end) if freeze.end is not None else "until removed",
            ", ".join(freeze.flags) or "all",
            freeze.reason,
            freeze.by,
        )
    return grid


def freeze_line(freeze: Freeze) -> str:
    """What a new freeze does."""
    until = f"to {minute(freeze.end)}" if freeze.end is not None else "until it is removed"
    what = ", ".join(freeze.flags) or "all flags"
    return f"{freeze.id}: {what} frozen from {minute(freeze.start)} {until}: {freeze.reason}"


def _when(freeze: Freeze, now: datetime) -> Text:
    if freeze.covers(now):
        return Text("now", style="cyan")
    return Text("over", style="dim") if freeze.start < now else Text("to come")
