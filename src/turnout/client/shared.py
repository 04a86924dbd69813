"""What guarded calls may share with other processes. Each part is used if it is there; none may block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from turnout.client.assignment import Assignment
from turnout.guards.breaker import Change
from turnout.guards.wallet import Wallet

BreakerKind = Literal["errors", "quality"]


@dataclass(frozen=True, slots=True)
class Shared:
    """Functions that tie the guards of this process to those of others.

    ``blocked`` tells of an assignment whether another process's breaker keeps its variant from being called, and which
    kind of breaker that is. ``changed`` hears of every breaker of this process that opens or closes, by flag and
    variant. ``wallet`` has the leases that calls of a flag's variant are paid from, or None where no budget applies.
    """

    blocked: Callable[[Assignment], BreakerKind | None] | None = None
    changed: Callable[[str, str, BreakerKind, Change], None] | None = None
    wallet: Callable[[str, str], Wallet | None] | None = None
