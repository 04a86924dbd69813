"""Flags, and what applying them did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import unified_diff
from typing import Final

import yaml
from rich.console import Group, RenderableType
from rich.text import Text

from turnout.cli.render.words import minute, percent, table
from turnout.domain.bucketing import TOTAL
from turnout.domain.flags import Flag, Shadow
from turnout.ports import FlagChange, FlagRecord


def flags_table(records: Sequence[FlagRecord]) -> RenderableType:
    """One row a flag."""
    if not records:
        return Text("no flags; write some into a file and run `turnout flags apply -f FILE`")
    grid = table("flag", "serves", "stable", "rules", "generation", "changed", "by", right=("rules", "generation"))
    for record in records:
        grid.add_row(
            record.flag.key,
            serves(record),
            record.traffic.stable,
            str(len(record.flag.rules)),
            str(record.traffic.generation),
            minute(record.updated_at),
            record.updated_by,
        )
    return grid


def serves(record: FlagRecord) -> Text:
    """What users get to whom no rule applies."""
    if record.stopped:
        return Text(f"STOPPED: {record.traffic.stable} to everybody", style="bold red")
    if not record.flag.enabled:
        return Text("disabled: every caller's own default", style="yellow")
    served = Text(shares(record.traffic.weights) + _beside(record.traffic.shadow))
    for variant, probe in record.published.blocked.items():
        probes = f", but for probes ({percent(probe / TOTAL)} of its share)" if probe else ""
        served.append(f"; {variant} blocked by its breaker{probes}", style="bold red")
    return served


def _beside(shadow: Shadow | None) -> str:
    return f"; {shadow.variant} in shadow for {percent(shadow.sample / TOTAL)}" if shadow is not None else ""


def shares(weights: Mapping[str, int]) -> str:
    """``lightrag 5 %, perplexity 95 %``; a variant alone when it has everything."""
    served = {name: weight for name, weight in weights.items() if weight}
    if len(served) == 1:
        return next(iter(served))
    return ", ".join(f"{name} {percent(weight / 100_000)}" for name, weight in served.items())


def flag_view(record: FlagRecord) -> RenderableType:
    """One flag: what is published, and the definition as it would be written into a file."""
    lines = [Text(record.flag.key, style="bold"), Text("serves: ").append_text(serves(record))]
    if record.stopped_reason:
        lines.append(Text(f"stopped because: {record.stopped_reason}"))
    rollout = f", moved by rollout {record.traffic.rollout_id}" if record.traffic.rollout_id else ""
    lines += [
        Text(f"generation: {record.traffic.generation}{rollout}"),
        Text(f"changed: {minute(record.updated_at)} by {record.updated_by}"),
        Text(),
        Text(definition(record.flag).rstrip()),
    ]
    return Group(*lines)


def definition(flag: Flag) -> str:
    """The flag as a file for `turnout flags apply`."""
    written = flag.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    key = written.pop("key")
    return yaml.safe_dump({"flags": {key: written}}, sort_keys=False, allow_unicode=True)


def difference(before: Flag | None, after: Flag) -> str:
    """What changes from one definition to the other, as a unified diff; empty when nothing does."""
    old, new = (definition(flag).splitlines() if flag else [] for flag in (before, after))
    return "\n".join(unified_diff(old, new, fromfile="database", tofile="file", lineterm=""))


def rehearsal_view(changes: Sequence[FlagChange], diffs: Mapping[str, str]) -> RenderableType:
    """What applying would do: one line a flag, then its diff."""
    lines: list[Text] = []
    for change in changes:
        lines.append(Text(f"{change_line(change)} (dry run)"))
        lines += [Text(line, style=_COLOURS.get(line[:1], "")) for line in diffs.get(change.key, "").splitlines()]
    return Group(*lines)


_COLOURS: Final[Mapping[str, str]] = {"+": "green", "-": "red", "@": "cyan"}


def changes_view(changes: Sequence[FlagChange]) -> RenderableType:
    """One line a flag."""
    return Group(*(Text(change_line(change)) for change in changes))


def change_line(change: FlagChange) -> str:
    """What applying one flag did."""
    kept = " (a rollout has moved its traffic; the move is kept)" if change.kept else ""
    return f"{change.key}: {change.action}, serves {shares(change.traffic.weights)}{kept}"
