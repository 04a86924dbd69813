"""What a plan's stages will need and what they catch, for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from turnout.cli.render.words import count, gives, number, span, table
from turnout.domain.experiments import Experiment
from turnout.domain.metrics import metric_of
from turnout.domain.plan import Gate, Plan

if TYPE_CHECKING:
    # The statistics are no part of the command line's own installation.
    from turnout.analysis.foresight import Foreseen, StageOutlook

HOW = "with the traffic to expect (expect: in the file, or --rate) it also tells what gates need and what they catch"

_STEPS = ((timedelta(hours=72), timedelta(hours=1)), (timedelta(minutes=10), timedelta(minutes=1)))
"""From which length on a recommended hold is rounded up, and to what."""


def outlook_view(plan: Plan, stages: Sequence[StageOutlook]) -> RenderableType:
    """A table of what every check needs and catches, how to read it, and the warnings."""
    grid = table("stage", "check", "passes after", "users", "catches, or worse", "twice that", right=("users",))
    for alike in _merged(plan, stages):
        for place, one in enumerate(alike[0].foreseen):
            grid.add_row(_stages(plan, alike) if place == 0 else "", _label(one), *_cells(one))
    told = warnings(plan, stages)
    return Group(
        Text(),
        Text("What to expect of the checks, most of the time:"),
        grid,
        *(Text(line) for line in _example(plan, stages)),
        *([Text(), *(Text(line, style="yellow") for line in told)] if told else []),
    )


def warnings(plan: Plan, stages: Sequence[StageOutlook]) -> list[str]:
    """A sentence for every reason why a stage cannot decide, with the length that would do where one does."""
    return [line for outlook in stages for line in _warnings(plan, outlook)]


def outlook_data(plan: Plan, stages: Sequence[StageOutlook]) -> list[dict[str, object]]:
    """The same for programs, a list of stages.

    Per stage ``index`` (from 0), ``share`` (0..1), ``hold_seconds``, ``enough``, ``needed_seconds`` (None when no hold
    does) and ``warnings``, sentences; per check ``role`` (gate or guardrail), ``gate``, ``outcomes`` and ``users`` of
    the candidate and ``passes_after_seconds``, at which a candidate as expected typically passes (None: never, and for
    a guardrail, which need not pass), ``catches``, the value (or difference, or ratio) that is typically found within
    the hold, ``twice_after_seconds``, when one twice as far beyond the limit is found, and ``unknown``, why nothing can
    be foreseen.
    """
    return [
        {
            "index": outlook.index,
            "share": plan.share(outlook.index),
            "hold_seconds": outlook.stage.hold.total_seconds(),
            "enough": not outlook.short,
            "needed_seconds": _seconds(outlook.needed),
            "warnings": list(_warnings(plan, outlook)),
            "checks": [_data(one) for one in outlook.foreseen],
        }
        for outlook in stages
    ]


def _data(one: Foreseen) -> dict[str, object]:
    found, passes = one.prospect, one.role == "gate"
    return {
        "role": one.role,
        "gate": one.gate.label,
        "outcomes": found.outcomes if passes else None,
        "users": found.users if passes else None,
        "passes_after_seconds": _seconds(found.after) if passes else None,
        "catches": found.smallest,
        "twice_after_seconds": _seconds(found.twice),
        "unknown": found.unknown,
    }


def _merged(plan: Plan, stages: Sequence[StageOutlook]) -> list[list[StageOutlook]]:
    """Neighbouring stages of which the same is foreseen, together; those that check nothing are left out."""
    groups: list[list[StageOutlook]] = []
    for outlook in stages:
        if groups and groups[-1][0].foreseen == outlook.foreseen:
            groups[-1].append(outlook)
        elif outlook.foreseen:
            groups.append([outlook])
    return groups


def _stages(plan: Plan, alike: Sequence[StageOutlook]) -> str:
    first, last = alike[0].index, alike[-1].index
    return _named(plan, first) if first == last else f"{first + 1} to {last + 1}"


def _named(plan: Plan, index: int) -> str:
    return f"{index + 1} ({gives(plan.stages[index], plan.share(index))})"


def _label(one: Foreseen) -> str:
    return f"dry run: {one.gate.label}" if one.gate.dry_run else one.gate.label


def _cells(one: Foreseen) -> tuple[str, ...]:
    found = one.prospect
    if found.unknown:
        return "–", "–", found.unknown, "–"
    needs = ("watched", "–") if one.role == "guardrail" else (_after(found.after), _rounded(found.users))
    if one.gate.experiment is not None:
        return *needs, _effects(one.gate.experiment), "–"
    caught = "nothing in time" if found.smallest is None else _value(one.gate, found.smallest)
    return *needs, caught, "–" if found.twice is None else f"after {span(found.twice)}"


def _effects(trial: Experiment) -> str:
    """The effects that the sample of a test is made for."""
    told = [f"{one.metric} by {one.smallest_effect:g}" for one in trial.improving if one.smallest_effect is not None]
    return ", ".join(told) or "–"


def _after(time: timedelta | None) -> str:
    return "never" if time is None else span(time)


def _rounded(users: float | None) -> str:
    return "–" if users is None else f"{math.ceil(users):,}"


def _value(gate: Gate, value: float) -> str:
    """A value, a difference to stable or a ratio to it, as the gate's metric is written."""
    rate = metric_of(gate.metric).kind == "rate"
    if gate.versus is not None and (gate.ratio is not None or gate.quantile is not None):
        return f"{value:.3g}× stable's"
    if gate.versus is not None:
        where = "above" if value > 0 else "below"
        return f"{abs(value) * 100:.3g} points {where} stable" if rate else f"{_short(abs(value))} {where} stable"
    if gate.quantile is not None:
        return f"{value * 100:.3g} % above {number(gate.max)}"
    return f"{value * 100:.3g} %" if rate else _short(value)


def _short(value: float) -> str:
    """Three digits are more than a forecast is good for."""
    return f"{value:.3g}" if abs(value) < 1000 else number(round(value))


def _example(plan: Plan, stages: Sequence[StageOutlook]) -> Iterator[str]:
    """The first row that tells everything, as sentences."""
    for outlook in stages:
        for one in outlook.foreseen:
            found = one.prospect
            if (
                one.role == "gate"
                and not one.gate.dry_run
                and found.after
                and found.users
                and found.smallest is not None
                and found.twice
            ):
                yield ""
                yield (
                    f"Stage {_named(plan, outlook.index)}: {one.gate.label} passes after about "
                    f"{_rounded(found.outcomes)} outcomes of {count(math.ceil(found.users), 'user')} of the candidate "
                    f"({span(found.after)})."
                )
                yield (
                    f"It catches {_value(one.gate, found.smallest)}, or worse, within the hold of "
                    f"{span(outlook.stage.hold)}; twice as far beyond the limit after {span(found.twice)}."
                )
                return


def _warnings(plan: Plan, outlook: StageOutlook) -> Iterator[str]:
    stage = f"stage {_named(plan, outlook.index)}"
    never = [one for one in outlook.short if one.prospect.outcomes is None]
    few = [one for one in outlook.short if one.prospect.outcomes is not None and one.prospect.after is None]
    slow = [one for one in outlook.short if one.prospect.after is not None]
    if never:
        yield f"{stage} cannot decide {_labels(never)}: what is expected never passes; allow more, or correct expect:"
    if few:
        users = max(one.prospect.users or 0 for one in few)
        yield (
            f"{stage} cannot decide {_labels(few)}: it takes about {count(math.ceil(users), 'user')}, "
            "more than there are at this share; raise the share"
        )
    if slow:
        needed = max(one.prospect.after or timedelta() for one in slow)
        yield (
            f"{stage} is too short to decide {_labels(slow)}: it is held for {span(outlook.stage.hold)} and needs "
            f"about {span(needed)} at this traffic; hold it for at least {span(_ample(needed))}, or raise the share"
        )


def _labels(found: Sequence[Foreseen]) -> str:
    return " and ".join(one.gate.label for one in found)


def _ample(time: timedelta) -> timedelta:
    """``time`` rounded up to what a person would write."""
    step = next((step for least, step in _STEPS if time >= least), timedelta(seconds=1))
    return step * math.ceil(time / step)


def _seconds(time: timedelta | None) -> float | None:
    return None if time is None else time.total_seconds()
