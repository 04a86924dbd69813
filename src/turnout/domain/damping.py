"""How long a breaker stays open: twice as long each time it opens again too soon."""

from __future__ import annotations

from datetime import timedelta


def open_for(timeout: timedelta, longest: timedelta, trips: int) -> timedelta:
    """``timeout`` doubled for each of ``trips`` before, up to ``longest``, and never shorter than ``timeout``."""
    return max(timeout, min(timeout * (1 << min(trips, 30)), longest))
