"""Breakers that all processes share: when one opens, how long it stays open, who is let through to probe. Pure.

    closed ──a process's breaker opens──▶ open ──recovery──▶ half open ──good probes──▶ closed
                                           ▲                     │
                                           └─────a bad probe─────┘

While it is open everybody gets the stable variant in place of the blocked one; while it is half open, all but a share.
One that opens again within ``calm`` of closing stays open twice as long each time: one that flaps comes to rest.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field

from turnout.domain.bucketing import TOTAL
from turnout.domain.damping import open_for
from turnout.domain.durations import Duration
from turnout.domain.model import Frozen

Circuit = Literal["closed", "open", "half_open"]
BreakerKind = Literal["errors", "quality"]
"""What a breaker opens on: failures in a row, or a low mean of quality scores."""

Words = Annotated[str, Field(max_length=500)]
_PERCENT: Final = TOTAL // 100


class BreakerPolicy(Frozen):
    """How the shared breaker of one variant comes back.

    It stays open for ``recovery_timeout``. Then ``probe_share`` percent of its traffic are let through, until
    ``probes`` requests went well or one did not. Opening again within ``calm`` of closing doubles the time, up to
    ``longest``.
    """

    recovery_timeout: Duration = timedelta(seconds=30)
    probe_share: float = Field(default=5.0, gt=0, le=100)
    probes: int = Field(default=3, ge=1, le=1000)
    calm: Duration = timedelta(minutes=5)
    longest: Duration = timedelta(minutes=10)

    @property
    def probe_weight(self) -> int:
        """The share that is let through, in 1/100000 of the variant's traffic."""
        return max(1, round(self.probe_share * _PERCENT))


class BreakerReport(Frozen):
    """A breaker of ``reporter``, one process, opened or closed, and why."""

    circuit: Literal["open", "closed"]
    kind: BreakerKind = "errors"
    why: Words = ""
    reporter: Annotated[str, Field(max_length=200)] = ""


class SharedBreaker(Frozen):
    """Where the breaker of a variant is since ``at``; (``at``, ``seq``) grows with every change.

    While it is open, probes begin at ``until``. ``probe`` is the share of its traffic, in 1/100000, that the variant
    keeps. ``trips`` counts how often it opened without a calm time between.
    """

    circuit: Circuit
    at: AwareDatetime
    seq: int
    kind: BreakerKind = "errors"
    why: str = ""
    actor: str = ""
    until: AwareDatetime | None = None
    probe: int = Field(default=0, ge=0, le=TOTAL)
    trips: int = 0
    closed_at: AwareDatetime | None = None

    def newer(self, other: SharedBreaker | None) -> bool:
        """Whether this is a later word than ``other``."""
        return other is None or (self.at, self.seq) > (other.at, other.seq)


def opened(policy: BreakerPolicy, before: SharedBreaker | None, report: BreakerReport, at: datetime) -> SharedBreaker:
    """The breaker after ``report`` has opened it."""
    trips, closed_at = _trips(policy, before, at)
    stays = open_for(policy.recovery_timeout, policy.longest, trips)
    return SharedBreaker(
        circuit="open",
        at=at,
        seq=_next(before),
        kind=report.kind,
        why=report.why,
        actor=report.reporter,
        until=at + stays,
        trips=trips + 1,
        closed_at=closed_at,
    )


def probing(policy: BreakerPolicy, before: SharedBreaker, at: datetime) -> SharedBreaker:
    """The breaker after its recovery time."""
    update = {"circuit": "half_open", "at": at, "seq": _next(before), "until": None, "probe": policy.probe_weight}
    return before.model_copy(update=update)


def closed(before: SharedBreaker | None, at: datetime, why: str, actor: str) -> SharedBreaker:
    """The breaker after it was closed, by its probes or by a person."""
    return SharedBreaker(
        circuit="closed",
        at=at,
        seq=_next(before),
        kind=before.kind if before else "errors",
        why=why,
        actor=actor,
        trips=before.trips if before else 0,
        closed_at=at,
    )


def calm_at(policy: BreakerPolicy, breaker: SharedBreaker) -> datetime:
    """When a closed breaker has been closed for so long that its trips are forgotten."""
    return (breaker.closed_at or breaker.at) + policy.calm


def _trips(policy: BreakerPolicy, before: SharedBreaker | None, at: datetime) -> tuple[int, datetime | None]:
    if before is None or (before.circuit == "closed" and at >= calm_at(policy, before)):
        return 0, None
    return before.trips, before.closed_at


def _next(before: SharedBreaker | None) -> int:
    return before.seq + 1 if before else 1
