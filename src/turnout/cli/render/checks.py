"""Gates and guardrails: what was measured, how sure that is, and the limit it is held against."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from turnout.cli.render.words import VERDICT_STYLES, count, number, spaced, table, verdict_text
from turnout.domain.metrics import metric_of
from turnout.domain.verdicts import Check

_QUANTILE = re.compile(r"p[\d.]+ of ")
_RIGHT = ("value", "limit", "samples")


def checks_table(checks: Sequence[Check]) -> Table:
    """One row a check, in numbers."""
    grid = table("", "check", "verdict", "value", "interval", "limit", "samples", right=_RIGHT)
    for check in checks:
        numbers = (measured(check, check.value), interval(check), measured(check, check.threshold), samples(check))
        grid.add_row(check.role, check.gate, verdict_text(check.verdict), *numbers)
    return grid


def checks_drawn(checks: Sequence[Check], width: int) -> Table:
    """One row a check, with a picture of its interval and limit of ``width`` characters in place of their numbers."""
    grid = table("", "check", "verdict", "value", "", "samples", right=_RIGHT)
    grid.columns[4].no_wrap = True
    for check in checks:
        picture = Text(drawing(check, width), style=VERDICT_STYLES[check.verdict])
        outcomes = f"{check.samples:,}" if check.samples else "–"
        cells = (check.role, check.gate, verdict_text(check.verdict), measured(check, check.value))
        grid.add_row(*cells, picture, outcomes)
    return grid


def check_told(check: Check) -> str:
    """A check in the words of whoever judged it; in numbers when there are none."""
    if not check.text:
        return check_line(check)
    return f"{check.role} {check.gate}: {spaced(check.verdict)}, {check.text}"


def check_line(check: Check) -> str:
    """A check in numbers: ``gate success_rate ≥ 0.95: pass, 98.1 % (97.2 … 98.8 %), limit 95 %, …``."""
    parts = [f"{check.role} {check.gate}: {spaced(check.verdict)}"]
    if check.value is not None:
        parts.append(measured(check, check.value) + (f" ({interval(check)})" if interval(check) != "–" else ""))
    if check.baseline is not None:
        parts.append(f"stable {measured(check, check.baseline)}")
    if check.threshold is not None:
        parts.append(f"limit {measured(check, check.threshold)}")
    if check.samples:
        parts.append(samples(check))
    return ", ".join(parts)


def measured(check: Check, value: float | None, unit: bool = True) -> str:
    """A number of ``check``: rates in percent; of a quantile the share of values above its limit, ``0.4 % above``."""
    above = _QUANTILE.match(check.gate) is not None
    if value is None or not (above or metric_of(check.metric).kind == "rate"):
        return number(value).replace("-", "−")
    text = f"{number(value * 100).replace('-', '−')}"
    return text if not unit else f"{text} % above" if above else f"{text} %"


def interval(check: Check) -> str:
    """``97.2 … 98.8 %``; one side only where the other is open."""
    if check.low is None and check.high is None:
        return "–"
    if check.low is None:
        return f"≤ {measured(check, check.high)}"
    if check.high is None:
        return f"≥ {measured(check, check.low)}"
    return f"{measured(check, check.low, unit=False)} … {measured(check, check.high)}"


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
