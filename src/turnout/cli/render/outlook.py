"""What a plan's stages will need and what they catch, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from turnout.cli.render.words import number, percent, span, table
from turnout.domain.metrics import metric_of
from turnout.domain.plan import Gate, Plan

if TYPE_CHECKING:
    # The statistics are no part of the command line's own installation.
    from turnout.analysis.foresight import Foreseen, StageOutlook

HOW = "with the traffic to expect (expect: in the file, or --rate) it also tells what gates need and what they catch"


def outlook_view(plan: Plan, stages: Sequence[StageOutlook]) -> RenderableType:
    """A table of what every gate needs and catches, the warnings, and how to read it."""
    grid = table("stage", "check", "passes after", "users", "catches", "twice that after", right=("users",))
    for outlook in stages:
        for place, one in enumerate(outlook.foreseen):
            stage = f"{outlook.index + 1} ({percent(plan.share(outlook.index))})" if place == 0 else ""
            grid.add_row(stage, one.gate.label, *_cells(one))
    notes = [Text(warning, style="yellow") for warning in warnings(plan, stages)]
    title = Text("What to expect of the gates, most of the time:")
    return Group(Text(), title, grid, *([Text(), *notes] if notes else []))


def warnings(plan: Plan, stages: Sequence[StageOutlook]) -> list[str]:
    """A sentence for every stage that is too short to decide, with the length that would do."""
    return [_warning(plan, outlook) for outlook in stages if outlook.short]


def outlook_data(stages: Sequence[StageOutlook]) -> list[dict[str, object]]:
    """The same for programs, a list of stages.

    Per stage ``index`` (from 0), ``hold_seconds``, ``enough`` and ``needed_seconds`` (None when no hold does); per
    check ``role``, ``gate``, ``outcomes`` and ``users`` of the candidate and ``passes_after_seconds``, at which a
    candidate as expected typically passes, ``catches``, the value (or difference, or ratio) that is typically found
    within the hold, ``twice_after_seconds``, and ``unknown``, why nothing can be foreseen.
    """
    return [
        {
            "index": outlook.index,
            "hold_seconds": outlook.stage.hold.total_seconds(),
            "enough": not outlook.short,
            "needed_seconds": _seconds(outlook.needed),
            "checks": [_data(one) for one in outlook.foreseen],
        }
        for outlook in stages
    ]


def _data(one: Foreseen) -> dict[str, object]:
    found = one.prospect
    return {
        "role": one.role,
        "gate": one.gate.label,
        "outcomes": found.outcomes,
        "users": found.users,
        "passes_after_seconds": _seconds(found.after),
        "catches": found.smallest,
        "twice_after_seconds": _seconds(found.twice),
        "unknown": found.unknown,
    }


def _cells(one: Foreseen) -> tuple[str, ...]:
    found = one.prospect
    if found.unknown:
        return "–", "–", found.unknown, ""
    needs = ("watched", "–") if one.role == "guardrail" else (_after(found.after), _rounded(found.users))
    caught = "nothing in time" if found.smallest is None else f"{_value(one.gate, found.smallest)} or worse"
    return *needs, caught, "–" if found.twice is None else span(found.twice)


def _after(time: timedelta | None) -> str:
    return "never" if time is None else span(time)


def _rounded(users: float | None) -> str:
    return "–" if users is None else f"{users:,.0f}"


def _value(gate: Gate, value: float) -> str:
    """A value, a difference or a ratio, as the gate's metric is written."""
    if gate.versus is not None and (gate.ratio is not None or gate.quantile is not None):
        return f"{value:.3g}×"
    if _rate(gate) or gate.quantile is not None:
        return f"{value * 100:.3g} %" if gate.quantile is None else f"{value * 100:.3g} % above"
    return number(value).replace("-", "−")


def _rate(gate: Gate) -> bool:
    return metric_of(gate.metric).kind == "rate"


def _warning(plan: Plan, outlook: StageOutlook) -> str:
    stage = f"stage {outlook.index + 1} ({percent(plan.share(outlook.index))})"
    gates = ", ".join(one.gate.label for one in outlook.short)
    if outlook.needed is None:
        return f"{stage} cannot decide {gates} at this traffic: raise the share, or relax the limit"
    hold, needed = span(outlook.stage.hold), span(outlook.needed)
    return f"{stage} is too short to decide {gates}: it is held for {hold} and needs about {needed} at this traffic"


def _seconds(time: timedelta | None) -> float | None:
    return None if time is None else time.total_seconds()
