"""When traffic may move forward: weekly windows by the clock on the wall of a time zone. Pure.

A window is open whenever that clock shows one of its hours on one of its days. An hour that a change to summer time
leaves out is in no window; one that occurs twice at its end counts both times.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, cast
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator

from turnout.domain.errors import Problem
from turnout.domain.model import Frozen
from turnout.domain.problems import Faults, suggestion

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAYS: Final = {name[:length]: index for index, name in enumerate(_NAMES) for length in (3, len(name))}
_NO_DAYS: Final = "is no list of days; write mon-thu, or [mon, wed]"
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\s*-\s*(?:([01]\d|2[0-3]):([0-5]\d)|24:00)")
_MIDNIGHT: Final = 24 * 60
_DAY: Final = timedelta(days=1)
_HORIZON: Final = 22
"""Days ahead in which every window opens: one that falls into a gap opens a week later, or at worst two."""
_LOOK: Final = timedelta(hours=6)
"""No zone changes its offset twice in so short a time."""


def parse_days(value: object) -> object:
    """``mon-thu``, ``mon, wed``, ``fri-mon`` (over the weekend) or a list of these, as the days in their order.

    Raises:
        ValueError: not days of the week.
    """
    if not isinstance(value, str | list | tuple):
        raise ValueError(_NO_DAYS)
    parts = value.split(",") if isinstance(value, str) else cast("Iterable[object]", value)
    found = {day for part in parts for day in _days_of(part)}
    if not found:
        raise ValueError(_NO_DAYS)
    return tuple(day for day in DAYS if day in found)


def _days_of(part: object) -> Iterator[Day]:
    ends = [_WEEKDAYS.get(name.strip()) for name in part.lower().split("-")] if isinstance(part, str) else []
    if not 1 <= len(ends) <= 2 or None in ends:
        raise ValueError(_NO_DAYS)
    begin, end = (day for day in (ends[0], ends[-1]) if day is not None)
    for step in range((end - begin) % 7 + 1):
        yield DAYS[(begin + step) % 7]


def _hours(text: str) -> str:
    found = _HOURS.fullmatch(text.strip())
    if found is None:
        raise ValueError('are no hours; write "09:00-17:00", or "22:00-04:00" over midnight')
    begin, end = _minutes(text.strip())
    if begin == end:
        raise ValueError('begin and end at the same time; write "00:00-24:00" for the whole day')
    return re.sub(r"\s", "", text)


def _minutes(hours: str) -> tuple[int, int]:
    """Begin and end in minutes since midnight."""
    begin, end = (clock.strip().split(":") for clock in hours.split("-"))
    return int(begin[0]) * 60 + int(begin[1]), int(end[0]) * 60 + int(end[1])


class Window(Frozen):
    """Hours of some days of the week, in one time zone; hours over midnight belong to the day they begin on."""

    days: Annotated[tuple[Day, ...], BeforeValidator(parse_days)] = DAYS
    hours: Annotated[str, AfterValidator(_hours)] = "00:00-24:00"
    timezone: str = "UTC"

    @property
    def text(self) -> str:
        """As people write it: ``mon-thu 09:00-17:00 Europe/Berlin``."""
        return f"{days_text(self.days)} {self.hours} {self.timezone}"


def one_or_many(value: object) -> object:
    """A single window as a list of one."""
    return (cast("object", value),) if isinstance(value, dict | Window) else value


def _known_zone(window: Window) -> Window:
    known = available_timezones()
    if window.timezone in known:
        return window
    near = suggestion(window.timezone, sorted(known))
    remedy = near if near.startswith("did you") else "write one such as Europe/Berlin or UTC"
    raise Faults([Problem("timezone", "is no time zone", remedy, repr(window.timezone))])


WindowSpec = Annotated[Window, AfterValidator(_known_zone)]
"""A window as a person writes it: its time zone is one that is known here."""

Windows = Annotated[tuple[WindowSpec, ...], BeforeValidator(one_or_many)]
"""One window or several; traffic may move while any of them is open. None at all: at any time."""


def days_text(days: Sequence[Day]) -> str:
    """Days in few words: ``mon-thu``, ``mon-wed, fri``."""
    runs = list[list[Day]]()
    for day in days:
        if runs and DAYS.index(day) == DAYS.index(runs[-1][-1]) + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def is_open(window: Window, at: datetime) -> bool:
    """Whether the clock on the wall of the window's zone is within it at ``at`` (aware)."""
    local = at.astimezone(ZoneInfo(window.timezone))
    begin, end = _minutes(window.hours)
    now = local.hour * 60 + local.minute
    today, yesterday = DAYS[local.weekday()], DAYS[local.weekday() - 1]
    if begin < end:
        return today in window.days and begin <= now < end
    return (today in window.days and now >= begin) or (yesterday in window.days and now < end)


def next_open(windows: Sequence[Window], now: datetime) -> datetime | None:
    """The first instant from ``now`` (in UTC) on at which one of ``windows`` is open; ``now`` itself without any.

    None if there is none within three weeks: its hours exist on no such day.
    """
    if not windows:
        return now
    found = (instant for window in windows if (instant := _opening(window, now)) is not None)
    return min(found, default=None)


def open_until(windows: Sequence[Window], now: datetime) -> datetime | None:
    """The first instant after ``now`` (in UTC) at which none of ``windows`` is open; None: none within three weeks."""
    edges = sorted({edge for window in windows for edge in _edges(window, now) if edge > now})
    return next((edge for edge in edges if not any(is_open(window, edge) for window in windows)), None)


def _opening(window: Window, now: datetime) -> datetime | None:
    if is_open(window, now):
        return now
    return next((edge for edge in sorted(_edges(window, now)) if edge >= now and is_open(window, edge)), None)


def _edges(window: Window, now: datetime) -> Iterator[datetime]:
    """Every instant around and after ``now`` at which the window may open or close."""
    zone = ZoneInfo(window.timezone)
    first = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None) - _DAY
    for day in range(_HORIZON + 1):
        midnight = first + day * _DAY
        for minutes in {*_minutes(window.hours), 0}:
            wall = midnight + timedelta(minutes=minutes)
            yield from (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    yield from _changes(zone, now)


def _changes(zone: ZoneInfo, since: datetime) -> Iterator[datetime]:
    """The instants at which the zone changes its offset."""
    for step in range(_HORIZON * (_DAY // _LOOK)):
        begin = since + step * _LOOK
        if begin.astimezone(zone).utcoffset() != (begin + _LOOK).astimezone(zone).utcoffset():
            yield _change(zone, begin, begin + _LOOK)


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The whole second at which the offset changes, by halving."""
    before, offset = before.replace(microsecond=0), before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)
