"""Numbers, times and states in words."""

from __future__ import annotations

from datetime import datetime, timedelta

from rich.style import Style
from rich.table import Table
from rich.text import Text

from turnout.domain.bucketing import TOTAL
from turnout.domain.durations import format_duration
from turnout.domain.plan import Stage
from turnout.domain.rollout import State
from turnout.domain.verdicts import Verdict

_SECOND = timedelta(seconds=1)

STATE_STYLES: dict[State, str] = {
    State.SCHEDULED: "cyan",
    State.RUNNING: "green",
    State.HOLDING: "yellow",
    State.PAUSED: "yellow",
    State.AWAITING_APPROVAL: "magenta",
    State.WAITING_WINDOW: "cyan",
    State.COMPLETED: "bold green",
    State.ROLLED_BACK: "bold red",
    State.ABORTED: "bold red",
    State.FAILED: "bold red",
}

VERDICT_STYLES: dict[Verdict, str] = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.NO_DATA: "yellow",
    Verdict.SOURCE_ERROR: "magenta",
}

BLOCKED: dict[Verdict, str] = {
    Verdict.INCONCLUSIVE: "the evidence does not decide yet",
    Verdict.NO_DATA: "there is too little data",
    Verdict.SOURCE_ERROR: "a metric source does not answer",
}
"""Why a rollout holds, as a clause."""


def spaced(name: str) -> str:
    """``awaiting_approval`` as people write it."""
    return name.replace("_", " ")


def called(strategy: str, name: str | None) -> str:
    """A strategy as people say it, and what they call the rollout: ``ab test “spring answers”``."""
    return spaced(strategy) if name is None else f"{spaced(strategy)} “{name}”"


def state_text(state: State) -> Text:
    """A state in its colour."""
    return Text(spaced(state), style=STATE_STYLES[state])


def verdict_text(verdict: Verdict) -> Text:
    """A verdict in its colour."""
    return Text(spaced(verdict), style=VERDICT_STYLES[verdict])


def percent(share: float) -> str:
    """A share of 0..1 in percent: ``0.125`` is ``12.5 %``."""
    return f"{round(share * 100, 3):g} %"


def gives(stage: Stage, share: float) -> str:
    """What a stage gives the candidate: ``5 %``, ``5 % in beta``, or the requests of ``20 % in shadow``."""
    return (
        percent(share) + among(stage) if stage.shadow is None else f"{percent(stage.shadow.sample / TOTAL)} in shadow"
    )


def among(stage: Stage) -> str:
    """Which users a share of ``stage`` is of, if not of all: `` in beta``."""
    if stage.focus is not None:
        return f" in {stage.focus}"
    return " elsewhere" if any(segment.apart for segment in stage.segments) else ""


def number(value: float | None) -> str:
    """A number to four digits, ``–`` when there is none."""
    if value is None:
        return "–"
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def count(amount: int, one: str) -> str:
    """``1 stage``, ``3 stages``."""
    return f"{amount:,} {one}" if amount == 1 else f"{amount:,} {one}s"


def moment(at: datetime) -> str:
    """A time with its date, in the local zone, to the second."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def minute(at: datetime) -> str:
    """A time with its weekday and date, in the local zone, to the minute."""
    return at.astimezone().strftime("%a %Y-%m-%d %H:%M")


def span(length: timedelta) -> str:
    """A duration in at most two units, to the second."""
    if timedelta() < length < _SECOND:
        return "less than 1s"
    return format_duration(_SECOND * round(length / _SECOND))


def bar(done: float, width: int) -> str:
    """Progress of 0..1 as a bar of ``width`` characters."""
    full = round(min(max(done, 0.0), 1.0) * width)
    return "█" * full + "░" * (width - full)


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A table without lines, whose columns named in ``right`` are aligned there."""
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=Style(bold=True))
    for column in columns:
        grid.add_column(column, justify="right" if column in right else "left", no_wrap=column in right)
    return grid
