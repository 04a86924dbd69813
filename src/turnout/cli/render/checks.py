"""Gates and guardrails: what was measured, how sure that is, and the limit it is held against."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from turnout.cli.render.words import VERDICT_STYLES, count, number, spaced, table, verdict_text
from turnout.domain.metrics import metric_of
from turnout.domain.verdicts import Check, Verdict

_DRY = "dim"
_NOTEWORTHY = 1.05
"""A design effect below changes no digit that is shown."""

_QUANTILE = re.compile(r"p[\d.]+ of ")


def checks_table(checks: Sequence[Check]) -> Table:
    """One row a check, in numbers, with what it rests on."""
    grid = table("", "check", "verdict", "value", "interval", "limit", "evidence", right=("value", "limit"))
    for check in checks:
        numbers = (measured(check, check.value), interval(check), measured(check, check.threshold), evidence(check))
        style = _DRY if check.dry_run else ""
        grid.add_row(role(check), check.gate, verdict_text(check.verdict), *numbers, style=style)
    return grid


def checks_drawn(checks: Sequence[Check], width: int) -> Table:
    """One row a check, with a picture of its interval and limit of ``width`` characters in place of their numbers."""
    grid = table("", "check", "verdict", "value", "", "samples", right=("value", "samples"))
    grid.columns[4].no_wrap = True
    for check in checks:
        picture = Text(drawing(check, width), style=VERDICT_STYLES[check.verdict])
        outcomes = f"{check.samples:,}" if check.samples else "–"
        cells = (role(check), check.gate, verdict_text(check.verdict), measured(check, check.value))
        grid.add_row(*cells, picture, outcomes, style=_DRY if check.dry_run else "")
    return grid


def role(check: Check) -> str:
    """What the check is; a dry run, which decides nothing, is called so."""
    return f"{check.role}, dry run" if check.dry_run else check.role


def check_told(check: Check) -> str:
    """A check in the words of whoever judged it; in numbers when there are none."""
    if not check.text:
        return check_line(check)
    return f"{role(check)} {check.gate}: {spaced(check.verdict)}, {check.text}"


def check_line(check: Check) -> str:
    """A check in numbers: ``gate success_rate ≥ 0.95: pass, 98.1 % (97.2 … 98.8 %), limit 95 %, …``."""
    parts = [f"{role(check)} {check.gate}: {spaced(check.verdict)}"]
    if check.value is not None:
        parts.append(measured(check, check.value) + (f" ({interval(check)})" if interval(check) != "–" else ""))
    if check.baseline is not None:
        parts.append(f"stable {measured(check, check.baseline)}")
    if check.threshold is not None:
        parts.append(f"limit {measured(check, check.threshold)}")
    return ", ".join([*parts, *_facts(check)])


def evidence(check: Check) -> str:
    """What the check rests on and what it lacks, short enough for a table; ``–`` for nothing."""
    return ", ".join((*_sample(check), *_lacks(check))) or "–"


def _facts(check: Check) -> Iterator[str]:
    yield from _sample(check)
    if check.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE) and check.p_fail is not None:
        yield f"p {p_value(check.p_fail)} for worse" + _held_against(check.alpha_fail)
    if check.verdict in (Verdict.PASS, Verdict.INCONCLUSIVE) and check.p_pass is not None:
        yield f"p {p_value(check.p_pass)} for good" + _held_against(check.alpha_pass)
    yield from _lacks(check)


def _sample(check: Check) -> Iterator[str]:
    if check.samples:
        yield samples(check)
    if check.design_effect is not None and check.design_effect >= _NOTEWORTHY:
        yield f"design effect {check.design_effect:.2g}"


def _lacks(check: Check) -> Iterator[str]:
    if check.breaches:
        yield f"{count(check.breaches, 'reading')} in a row beyond the limit"
    if check.latched:
        yield "final for this stage"
    if check.missing and check.verdict is not Verdict.PASS:
        yield f"lacks {check.missing}"


def p_value(p: float) -> str:
    """A p-value in two digits: ``0.031``, ``< 0.0001``."""
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def _held_against(alpha: float | None) -> str:
    return "" if alpha is None else f" (needs {p_value(alpha)})"


def measured(check: Check, value: float | None, unit: bool = True) -> str:
    """A number of ``check``: rates in percent; of a quantile the share of values above its limit, ``0.4 % above``."""
    above = _QUANTILE.match(check.gate) is not None and " versus " not in check.gate
    if value is not None and ", ratio " in check.gate:
        return f"{number(value)}×"
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
