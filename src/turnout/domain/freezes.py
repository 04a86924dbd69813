"""Freezes: spans in which no traffic moves forward, and when it may again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from turnout.domain.model import Frozen
from turnout.domain.windows import Window, next_open, open_until

FREEZE_OVERRIDE = "freeze_override"
"""The role that may move traffic forward while windows and freezes forbid it."""

FlagKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$", max_length=200)]


class FreezeSpec(Frozen):
    """A freeze as somebody asks for it: from ``start`` up to ``end`` (none: until it is removed).

    ``flags`` are those it is about; none at all means every flag.
    """

    start: AwareDatetime
    end: AwareDatetime | None = None
    reason: str = Field(min_length=1, max_length=2000)
    flags: tuple[FlagKey, ...] = Field(default=(), max_length=1000)

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> FreezeSpec:
        if self.end is not None and self.end <= self.start:
            raise ValueError("a freeze has to end after it begins; write a later end, or none to freeze until removed")
        return self


class Freeze(FreezeSpec):
    """A freeze that is kept; who asked for it, and when."""

    id: str
    by: str
    at: AwareDatetime

    @property
    def text(self) -> str:
        """From when to when, and of what, in words."""
        until = f"to {at_zone(self.end, UTC)} UTC" if self.end is not None else "until it is removed"
        return f"{', '.join(self.flags) or 'all flags'} from {at_zone(self.start, UTC)} UTC {until}"

    def covers(self, at: datetime) -> bool:
        """Whether ``at`` lies in it."""
        return self.start <= at and (self.end is None or at < self.end)

    def about(self, flag: str) -> bool:
        """Whether ``flag`` is among those it is about."""
        return not self.flags or flag in self.flags


class Closed(Frozen):
    """Why traffic may not move forward now: ``why`` in words, and from when it may again (None: nobody knows)."""

    opens_at: AwareDatetime | None
    why: str
    timezone: str = "UTC"

    @property
    def opens(self) -> str:
        """When it opens, by the clock of the window's zone: ``opens Mon 2026-06-01 09:00 Europe/Berlin``."""
        if self.opens_at is None:
            return "opens when the freeze is removed"
        return f"opens {at_zone(self.opens_at, ZoneInfo(self.timezone))} {self.timezone}"


class Opening(Frozen):
    """Whether traffic may move forward: ``closed`` says why not; else it may ``until`` then (None: no end in sight)."""

    closed: Closed | None = None
    until: AwareDatetime | None = None


def at_zone(at: datetime, zone: tzinfo) -> str:
    """``at`` by the clock of ``zone``, to the minute."""
    return f"{at.astimezone(zone):%a %Y-%m-%d %H:%M}"


def opens_at(windows: Sequence[Window], freezes: Iterable[Freeze], now: datetime) -> datetime | None:
    """The first instant from ``now`` on at which traffic may move forward: ``now`` itself if it may.

    None when a freeze without an end stands before it, or when no hour of the windows exists.
    """
    freezes, at = tuple(freezes), next_open(windows, now.astimezone(UTC))
    while at is not None:
        ends = [freeze.end for freeze in freezes if freeze.covers(at)]
        if not ends:
            return at
        at = None if None in ends else next_open(windows, max(end.astimezone(UTC) for end in ends if end is not None))
    return None


def opening(windows: Sequence[Window], freezes: Iterable[Freeze], flag: str, now: datetime) -> Opening:
    """Whether ``flag`` may move forward at ``now`` within ``windows`` and outside ``freezes``."""
    about = tuple(freeze for freeze in freezes if freeze.about(flag))
    at = opens_at(windows, about, now)
    if at == now:
        return Opening(until=_until(windows, about, now))
    zone = windows[0].timezone if windows else "UTC"
    frozen = next((freeze for freeze in about if freeze.covers(now)), None)
    why = f"frozen: {frozen.reason}" if frozen is not None else "outside " + " and ".join(w.text for w in windows)
    return Opening(closed=Closed(opens_at=at, why=why, timezone=zone))


def _until(windows: Sequence[Window], freezes: Sequence[Freeze], now: datetime) -> datetime | None:
    ends = [freeze.start for freeze in freezes if freeze.start > now]
    closes = open_until(windows, now) if windows else None
    return min([*ends, closes] if closes is not None else ends, default=None)
