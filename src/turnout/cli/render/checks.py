"""Gates and guardrails: what was measured, how sure that is, and the limit it is held against."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from turnout.cli.render.words import VERDICT_STYLES, count, number, spaced, table, verdict_text
from turnout.domain.verdicts import Check


def checks_table(checks: Sequence[Check], drawn: int = 0) -> Table:
    """One row a check; ``drawn`` is the width in characters of the picture of its interval, 0 for none."""
    picture = ("",) if drawn else ()
    right = ("value", "limit", "samples")
    grid = table("", "check", "verdict", "value", *picture, "interval", "limit", "samples", right=right)
    for check in checks:
        cells: list[str | Text] = [check.role, check.gate, verdict_text(check.verdict), number(check.value)]
        if drawn:
            cells.append(Text(drawing(check, drawn), style=VERDICT_STYLES[check.verdict], no_wrap=True))
        grid.add_row(*cells, interval(check), number(check.threshold), samples(check))
    return grid


def check_told(check: Check) -> str:
    """A check in the words of whoever judged it; in numbers when there are none."""
    if not check.text:
        return check_line(check)
    return f"{check.role} {check.gate}: {spaced(check.verdict)}, {check.text}"


def check_line(check: Check) -> str:
    """A check in numbers: ``gate success_rate ≥ 0.95: pass, 0.981 (0.972 … 0.988), limit 0.95, 357 of 171 users``."""
    parts = [f"{check.role} {check.gate}: {spaced(check.verdict)}"]
    if check.value is not None:
        parts.append(number(check.value) + (f" ({interval(check)})" if interval(check) != "–" else ""))
    if check.baseline is not None:
        parts.append(f"stable {number(check.baseline)}")
    if check.threshold is not None:
        parts.append(f"limit {number(check.threshold)}")
    if check.samples:
        parts.append(samples(check))
    return ", ".join(parts)


def interval(check: Check) -> str:
    """``0.972 … 0.988``; one side only where the other is open."""
    if check.low is None and check.high is None:
        return "–"
    if check.low is None:
        return f"≤ {number(check.high)}"
    return f"≥ {number(check.low)}" if check.high is None else f"{number(check.low)} … {number(check.high)}"


def samples(check: Check) -> str:
    """How many outcomes of how many users the check rests on."""
    if not check.samples:
        return "–"
    return f"{check.samples:,}" + (f" of {count(check.units, 'user')}" if check.units else "")


def drawing(check: Check, width: int) -> str:
    """The interval ``├──●──┤`` and the limit ``┃`` on one scale of ``width`` characters; blank without a value.

    The value stands above everything, the limit above the interval.
    """
    known = [x for x in (check.low, check.value, check.high, check.threshold) if x is not None]
    if check.value is None or width < 3:
        return " " * width
    least, span = min(known), max(known) - min(known) or 1.0
    least, span = least - span * 0.05, span * 1.1

    def column(value: float) -> int:
        return min(width - 1, max(0, int((value - least) / span * width)))

    cells = ["·"] * width
    if check.low is not None and check.high is not None:
        low, high = column(check.low), column(check.high)
        cells[low : high + 1] = "─" * (high - low + 1)
        cells[low], cells[high] = "├", "┤"
    if check.threshold is not None:
        cells[column(check.threshold)] = "┃"
    cells[column(check.value)] = "●"
    return "".join(cells)
