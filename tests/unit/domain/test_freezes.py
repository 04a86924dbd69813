"""Freezes, alone and together with windows: when may traffic move?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from turnout.domain.freezes import Freeze, FreezeSpec, opening, opens_at
from turnout.domain.windows import Window

OFFICE = (Window.model_validate({"days": "mon-thu", "hours": "09:00-17:00", "timezone": "Europe/Berlin"}),)


def june(day: int, hour: int = 0) -> datetime:
    """A time in June 2026; the 1st is a Monday."""
    return datetime(2026, 6, day, hour, tzinfo=UTC)


def freeze(start: datetime, end: datetime | None = None, *flags: str) -> Freeze:
    """A freeze by carol."""
    return Freeze(id="f1", by="carol", at=june(1), start=start, end=end, reason="year-end", flags=flags)


def test_a_freeze_ends_when_it_says() -> None:
    """Its first instant is in it, its last is not."""
    one = [freeze(june(2), june(3))]
    assert opens_at((), one, june(1, 23)) == june(1, 23)
    assert opens_at((), one, june(2)) == june(3)
    assert opens_at((), one, june(3)) == june(3)


def test_windows_and_freezes_together() -> None:
    """What opens at the end of a freeze is the next window after it, and not one that another freeze covers."""
    freezes = [freeze(june(1), june(2, 3)), freeze(june(2, 6), june(2, 12)), freeze(june(2, 11), june(2, 16))]
    assert opens_at(OFFICE, freezes, june(1, 8)) == june(3, 7)
    assert opens_at(OFFICE, freezes[:1], june(1, 8)) == june(2, 7)
    assert opens_at((), freezes, june(1, 8)) == june(2, 3)


def test_a_freeze_without_an_end() -> None:
    """Nobody knows when it opens."""
    assert opens_at(OFFICE, [freeze(june(1))], june(1, 8)) is None
    found = opening((), [freeze(june(1))], "engine", june(1, 8)).closed
    assert found is not None
    assert (found.why, found.opens) == ("frozen: year-end", "opens when the freeze is removed")


def test_a_freeze_of_other_flags_does_not_count() -> None:
    """Named flags freeze, the others move."""
    one = [freeze(june(1), june(3), "checkout")]
    assert opening((), one, "engine", june(2)).closed is None
    assert opening((), one, "checkout", june(2)).closed is not None


def test_why_and_when_in_words() -> None:
    """The window's own zone tells when it opens."""
    found = opening(OFFICE, [], "engine", june(5, 12)).closed
    assert found is not None
    assert found.why == "outside mon-thu 09:00-17:00 Europe/Berlin"
    assert found.opens == "opens Mon 2026-06-08 09:00 Europe/Berlin"


def test_how_long_it_stays_open() -> None:
    """Until the window closes, or the next freeze begins; without either there is no end."""
    assert opening(OFFICE, [], "engine", june(1, 8)).until == june(1, 15)
    assert opening(OFFICE, [freeze(june(1, 12), june(2))], "engine", june(1, 8)).until == june(1, 12)
    assert opening((), [freeze(june(2), june(3))], "engine", june(1, 8)).until == june(2)
    assert opening((), [freeze(june(2), june(3), "checkout")], "engine", june(1, 8)).until is None


def test_a_freeze_that_ends_before_it_begins_is_refused() -> None:
    """With what to write."""
    with pytest.raises(ValidationError, match="write a later end"):
        FreezeSpec(start=june(2), end=june(2), reason="oops")
