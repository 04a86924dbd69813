"""Windows: which hours are open, and when the next one begins, also where the clocks change."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from turnout.domain.windows import DAYS, Window, Windows, days_text, is_open, next_open, open_until

MINUTE = timedelta(minutes=1)
FIELD: TypeAdapter[tuple[Window, ...]] = TypeAdapter(Windows)


def utc(text: str) -> datetime:
    """``text`` as a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def berlin(hours: str, days: str = "mon-sun") -> Window:
    """A window in Berlin."""
    return Window.model_validate({"days": days, "hours": hours, "timezone": "Europe/Berlin"})


@pytest.mark.parametrize(
    ("written", "days"),
    [
        ("mon-thu", "mon-thu"),
        (["mon", "wed"], "mon, wed"),
        ("Monday, Wednesday-Friday", "mon, wed-fri"),
        (["sat", "mon-tue"], "mon-tue, sat"),
        ("fri-mon", "mon, fri-sun"),
        ("sun", "sun"),
    ],
)
def test_days_as_people_write_them(written: object, days: str) -> None:
    """Ranges, lists, full names, and ranges over the weekend; kept in the order of the week."""
    window = Window.model_validate({"days": written})
    assert days_text(window.days) == days
    assert Window.model_validate_json(window.model_dump_json()) == window


@pytest.mark.parametrize("days", ["", "mo", "mon-", "-mon", "mon..thu", [], [1], 5, "weekdays", "mon-tue-wed"])
def test_what_are_no_days(days: object) -> None:
    """Anything else is refused with what to write."""
    with pytest.raises(ValidationError, match="write mon-thu, or"):
        Window.model_validate({"days": days})


@pytest.mark.parametrize("hours", ["9:00-17:00", "09:00", "09:00-25:00", "24:00-09:00", "09:60-10:00", "9-17"])
def test_what_are_no_hours(hours: str) -> None:
    """Two times of day with a dash."""
    with pytest.raises(ValidationError, match="09:00-17:00"):
        Window(hours=hours)


def test_hours_that_are_empty_are_refused() -> None:
    """A window from nine to nine could mean never or always."""
    with pytest.raises(ValidationError, match="00:00-24:00"):
        Window(hours="09:00-09:00")


def test_one_window_is_a_list_of_one() -> None:
    """A spec may say one window or several."""
    one = FIELD.validate_python({"days": "mon", "hours": "09:00 - 17:00"})
    assert one == FIELD.validate_python([{"days": ["mon"], "hours": "09:00-17:00"}])
    assert one[0].text == "mon 09:00-17:00 UTC"


def test_unknown_zones_are_named() -> None:
    """With the nearest known name where there is one."""
    for zone, remedy in (("Europe/Berln", "did you mean Europe/Berlin?"), ("12345", "write one such as Europe/Berlin")):
        with pytest.raises(ValidationError, match=re.escape(f"is no time zone (got {zone!r}); {remedy}")):
            FIELD.validate_python({"timezone": zone})
    assert Window(timezone="Europe/Berln").timezone == "Europe/Berln"  # in a plan it was known when it was compiled


OPENINGS = [
    # summer begins in Berlin on 2026-03-29 at 01:00 UTC: 02:00 becomes 03:00
    ("09:00-17:00", "mon-fri", "2026-03-27 17:00", "2026-03-30 07:00"),
    ("09:00-17:00", "mon-sun", "2026-03-28 18:00", "2026-03-29 07:00"),
    ("02:30-04:00", "mon-sun", "2026-03-28 12:00", "2026-03-29 01:00"),
    ("02:10-02:50", "mon-sun", "2026-03-28 12:00", "2026-03-30 00:10"),
    ("02:10-02:50", "sun", "2026-03-28 12:00", "2026-04-05 00:10"),
    ("22:00-04:00", "sat", "2026-03-28 12:00", "2026-03-28 21:00"),
    ("22:00-04:00", "sat", "2026-03-29 01:59", "2026-03-29 01:59"),
    ("22:00-04:00", "sat", "2026-03-29 02:00", "2026-04-04 20:00"),
    # it ends on 2026-10-25 at 01:00 UTC: 03:00 becomes 02:00
    ("09:00-17:00", "mon-sun", "2026-10-24 16:00", "2026-10-25 08:00"),
    ("02:30-04:00", "mon-sun", "2026-10-24 12:00", "2026-10-25 00:30"),
    ("02:00-02:30", "mon-sun", "2026-10-25 00:30", "2026-10-25 01:00"),
    ("01:00-02:30", "mon-sun", "2026-10-25 00:40", "2026-10-25 01:00"),
    ("02:30-03:00", "mon-sun", "2026-10-25 01:10", "2026-10-25 01:30"),
    ("22:00-04:00", "sat", "2026-10-25 02:59", "2026-10-25 02:59"),
    # an ordinary week
    ("09:00-17:00", "mon-thu", "2026-06-04 14:59:59", "2026-06-04 14:59:59"),
    ("09:00-17:00", "mon-thu", "2026-06-04 15:00", "2026-06-08 07:00"),
    ("00:00-24:00", "sat-sun", "2026-06-04 15:00", "2026-06-05 22:00"),
    ("22:00-00:00", "mon", "2026-06-01 22:00", "2026-06-08 20:00"),
]


@pytest.mark.parametrize(("hours", "days", "now", "opens"), OPENINGS)
def test_when_a_window_opens(hours: str, days: str, now: str, opens: str) -> None:
    """The first instant at which the clock on Berlin's walls is in it, also on the days on which that is changed."""
    assert next_open((berlin(hours, days),), utc(now)) == utc(opens)


CLOSINGS = [
    ("09:00-17:00", "mon-thu", "2026-06-04 10:00", "2026-06-04 15:00"),
    ("22:00-04:00", "sat", "2026-03-28 22:00", "2026-03-29 02:00"),
    ("01:00-02:30", "sun", "2026-03-29 00:10", "2026-03-29 01:00"),
    ("01:00-02:30", "sun", "2026-10-25 00:10", "2026-10-25 00:30"),
    ("00:00-24:00", "sat-sun", "2026-06-06 10:00", "2026-06-07 22:00"),
]


@pytest.mark.parametrize(("hours", "days", "now", "closes"), CLOSINGS)
def test_when_a_window_closes(hours: str, days: str, now: str, closes: str) -> None:
    """The first instant at which that clock has left it."""
    assert open_until((berlin(hours, days),), utc(now)) == utc(closes)


def test_the_first_of_several_counts() -> None:
    """Traffic may move while any window is open, and one that goes on where another ends is no end."""
    mornings, afternoons = berlin("09:00-12:00"), berlin("12:00-17:00")
    tokyo = Window(hours="09:00-17:00", timezone="Asia/Tokyo")
    assert next_open((mornings, tokyo), utc("2026-06-01 16:00")) == utc("2026-06-02 00:00")
    assert open_until((mornings, afternoons), utc("2026-06-01 08:00")) == utc("2026-06-01 15:00")


def test_no_window_is_always_open() -> None:
    """Without windows any time will do; one that is open all week does not close."""
    now = utc("2026-06-01 16:00")
    assert next_open((), now) == now
    assert open_until((Window(),), now) is None


def test_other_offsets() -> None:
    """Half hours, and a zone that changes by half an hour (Lord Howe, on 2026-04-04 at 15:00 UTC)."""
    kolkata = Window(hours="09:00-17:00", timezone="Asia/Kolkata")
    assert next_open((kolkata,), utc("2026-06-01 12:00")) == utc("2026-06-02 03:30")
    howe = Window(hours="01:45-02:00", timezone="Australia/Lord_Howe")
    assert next_open((howe,), utc("2026-04-04 15:00")) == utc("2026-04-04 15:15")


clock_times = st.integers(0, 24 * 60 - 1).map(lambda m: f"{m // 60:02}:{m % 60:02}")


def a_window(days: set[str], begin: str, end: str, zone: str) -> Window:
    """A window of these days and hours."""
    return Window(days=tuple(d for d in DAYS if d in days), hours=f"{begin}-{end}", timezone=zone)


def near(at: str, minutes: int) -> datetime:
    """So long after ``at``, or before."""
    return utc(at) + timedelta(minutes=minutes)


some_windows = st.builds(
    a_window,
    st.sets(st.sampled_from(DAYS), min_size=1),
    clock_times,
    st.just("24:00") | clock_times,
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
)
near_changes = st.builds(
    near,
    st.sampled_from(
        ["2026-03-29 01:00", "2026-10-25 01:00", "2026-03-08 07:00", "2026-11-01 06:00", "2026-04-04 15:00"]
    ),
    st.integers(-24 * 60, 24 * 60),
)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_nothing_opens_earlier(data: st.DataObject) -> None:
    """The next opening is open, and no minute before it is: the clock on the wall is asked for every one."""
    try:
        window = data.draw(some_windows)
    except ValidationError:
        return  # begins and ends at the same time
    now = data.draw(near_changes)
    opens = next_open((window,), now)
    assert opens is not None
    assert on_the_wall(window, opens)
    minutes = int((opens - now) / MINUTE)
    looks = {*range(0, minutes, 7), *range(minutes - 200, minutes)}
    assert not any(on_the_wall(window, now + step * MINUTE) for step in looks if step >= 0)


def on_the_wall(window: Window, at: datetime) -> bool:
    """Another way to ask whether a window is open: is one of its days' hours on the clock's face?"""
    local = at.astimezone(ZoneInfo(window.timezone)).replace(tzinfo=None)
    begin, end = window.hours.split("-")
    face = f"{local:%H:%M}"
    day, eve = local.strftime("%a").lower(), (local - timedelta(days=1)).strftime("%a").lower()
    if begin < end:
        found = day in window.days and begin <= face < end
    else:
        found = (day in window.days and begin <= face) or (eve in window.days and face < end)
    assert found == is_open(window, at)
    return found
