"""The plots of a report: effects with their intervals, shares over time, users over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from turnout.cli.render.report import shown
from turnout.cli.render.svg import Scale, drawing, element, line, path, text
from turnout.domain.experiments import ArmResult, MetricResult
from turnout.domain.reporting import Report

_WIDTH: Final = 720.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 130.0, 700.0, 16.0, 34.0
_ROW, _HEIGHT = 34.0, 220.0


def effects(result: MetricResult) -> str:
    """The effect of every arm with its interval, against no difference, the smallest effect or the margin.

    Empty where no effect is known.
    """
    arms = [one for one in result.arms if one.effect is not None]
    if not arms:
        return ""
    marks = _marks(result)
    values = [0.0, *marks.values(), *(value for one in arms for value in _extent(one))]
    room = (max(values) - min(values)) * 0.08 or 1.0
    scale = Scale(min(values) - room, max(values) + room, _LEFT, _RIGHT)
    height = _TOP + _ROW * len(arms) + _BOTTOM
    floor = height - _BOTTOM
    parts = [_axis(scale, floor, result), line(scale.at(0), _TOP, scale.at(0), floor, class_="zero")]
    for told, value in marks.items():
        parts.append(line(scale.at(value), _TOP, scale.at(value), floor, class_="mark"))
        parts.append(text(scale.at(value), _TOP - 4, told, class_="note", text_anchor="middle"))
    parts += [_effect(scale, one, _TOP + _ROW * (row + 0.5)) for row, one in enumerate(arms)]
    return drawing(_WIDTH, height, f"Effects on {result.metric} with their intervals", *parts)


def shares(found: Report) -> str:
    """The planned shares of all arms over time, stacked; empty while there was no traffic."""
    steps = [(change.at, change.weights) for change in found.changes if change.weights]
    if not steps:
        return ""
    end = max(found.ended_at or found.at, steps[-1][0])
    time = Scale(steps[0][0].timestamp(), end.timestamp(), _LEFT, _RIGHT)
    level = Scale(0, 100, _HEIGHT - _BOTTOM, _TOP)
    arms = _arms(found)
    parts, below = list[str](), [0.0] * len(steps)
    for number, arm in enumerate(arms):
        above = [low + weights.get(arm, 0) / 1000 for low, (_, weights) in zip(below, steps, strict=True)]
        upper, lower = (_stepped(steps, values, end, time, level) for values in (above, below))
        parts.append(path([*upper, *reversed(lower)], closed=True, class_=_area(number)))
        below = above
    parts += [text(_LEFT - 8, level.at(tick) + 4, f"{tick:g} %", text_anchor="end") for tick in (0, 50, 100)]
    return drawing(_WIDTH, _HEIGHT, "Shares of the arms over time", *parts, _times(time), _legend(arms))


def users(found: Report) -> str:
    """How many users each arm had seen by when; empty before the first one."""
    if not found.arrivals:
        return ""
    arms, sums = _arms(found), Counter[str]()
    lines: dict[str, list[tuple[float, float]]] = {arm: [] for arm in arms}
    for arrival in found.arrivals:
        sums.update(arrival.users)
        for arm in arms:
            lines[arm].append((arrival.at.timestamp(), float(sums[arm])))
    first, last = found.arrivals[0].at.timestamp(), found.arrivals[-1].at.timestamp()
    time = Scale(first, max(last, first + 60), _LEFT, _RIGHT)
    level = Scale(0, max(1, *sums.values()), _HEIGHT - _BOTTOM, _TOP)
    parts = [text(_LEFT - 8, level.at(tick) + 4, f"{tick:,.0f}", text_anchor="end") for tick in level.ticks(4)]
    parts += [line(_LEFT, level.at(tick), _RIGHT, level.at(tick), class_="grid") for tick in level.ticks(4)]
    for number, arm in enumerate(arms):
        points = [(time.at(at), level.at(value)) for at, value in lines[arm]]
        parts.append(path([(time.at(first), level.at(0)), *points], class_=f"line arm{number % 8}"))
    return drawing(_WIDTH, _HEIGHT, "Users of each arm over time", *parts, _times(time), _legend(arms))


def _marks(result: MetricResult) -> dict[str, float]:
    sign = 1 if result.better == "higher" else -1
    if result.goal == "not_worse":
        return {"margin": -sign * (result.margin or 0.0)}
    return {} if result.smallest_effect is None else {"smallest effect": sign * result.smallest_effect}


def _extent(one: ArmResult) -> list[float]:
    return [value for value in (one.low, one.effect, one.high) if value is not None]


def _effect(scale: Scale, one: ArmResult, y: float) -> str:
    low, high = (scale.low if one.low is None else one.low), (scale.high if one.high is None else one.high)
    verdict = f"verdict {one.verdict}"
    return (
        text(_LEFT - 12, y + 4, one.arm, text_anchor="end")
        + line(scale.at(low), y, scale.at(high), y, class_=f"interval {verdict}")
        + element("circle", cx=scale.at(one.effect or 0.0), cy=y, r=5, class_=f"estimate {verdict}")
    )


def _axis(scale: Scale, y: float, result: MetricResult) -> str:
    ticks = "".join(
        text(scale.at(tick), y + 18, shown(result, tick, difference=True), text_anchor="middle")
        + line(scale.at(tick), y, scale.at(tick), y + 4, class_="axis")
        for tick in scale.ticks()
    )
    return line(_LEFT, y, _RIGHT, y, class_="axis") + ticks


def _times(scale: Scale) -> str:
    """The first, middle and last time of an axis."""
    floor = _HEIGHT - _BOTTOM
    moments = [(scale.low, "start"), ((scale.low + scale.high) / 2, "middle"), (scale.high, "end")]
    drawn = [
        text(scale.at(at), floor + 16, datetime.fromtimestamp(at, UTC).strftime("%d %b %H:%M UTC"), text_anchor=anchor)
        for at, anchor in moments
    ]
    return line(_LEFT, floor, _RIGHT, floor, class_="axis") + "".join(drawn)


def _stepped(
    steps: Sequence[tuple[datetime, dict[str, int]]], values: Sequence[float], end: datetime, time: Scale, level: Scale
) -> list[tuple[float, float]]:
    ends = [at for at, _ in steps[1:]] + [end]
    return [
        (time.at(moment.timestamp()), level.at(value))
        for (begin, _), until, value in zip(steps, ends, values, strict=True)
        for moment in (begin, until)
    ]


def _arms(found: Report) -> list[str]:
    """All arms that ever had traffic, stable last so that its area lies on top."""
    named = dict.fromkeys(arm for change in found.changes for arm, weight in (change.weights or {}).items() if weight)
    return sorted(named, key=lambda arm: arm == found.stable)


def _area(number: int) -> str:
    return f"area arm{number % 8}"


def _legend(arms: Sequence[str]) -> str:
    drawn, y = list[str](), _TOP + 8
    for number, arm in enumerate(arms):
        drawn.append(element("rect", x=4.0, y=y - 9, width=10, height=10, class_=_area(number)))
        drawn.append(text(20.0, y, arm if len(arm) <= 12 else arm[:11] + "…", class_="note"))
        y += 18
    return "".join(drawn)
