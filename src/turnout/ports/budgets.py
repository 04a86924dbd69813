"""The port that keeps what budgets have come to. All amounts are whole millionths of the budget's currency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from turnout.domain.budget import Account, Budget, Lease, LeaseRequest, Settlement
from turnout.domain.model import Frozen


class Spending(Frozen):
    """The ``account`` of one variant's budget, of the day that it is about."""

    flag: str
    variant: str
    account: Account


@dataclass(frozen=True, slots=True)
class Granted:
    """A lease, of nothing when nothing is left, and the account after it."""

    lease: Lease
    account: Account


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of settlements: how many were taken, were taken before, and are of no lease; today's account."""

    settled: int
    repeated: int
    unknown: int
    account: Account


class BudgetStore(Protocol):
    """Keeps leases and what was spent, day by day."""

    async def lease(self, flag: str, variant: str, budget: Budget, request: LeaseRequest, at: datetime) -> Granted:
        """Lease some of ``budget`` at the time ``at``, and keep the limits that it was asked with.

        The same id again gives the same lease, of nothing if it was settled meanwhile.
        """
        ...

    async def settle(
        self, flag: str, variant: str, budget: Budget, settlements: Sequence[Settlement], at: datetime
    ) -> Settled:
        """Take leases back, in one transaction. What was not spent returns to the day it was leased from."""
        ...

    async def told(self, flag: str, variant: str, account: Account, actor: str, at: datetime) -> None:
        """Note, in the audit log too, of what ``account``'s ``alerted`` and ``exhausted`` say people were told."""
        ...

    async def spending(self, days: Sequence[Spending]) -> Sequence[Spending]:
        """The accounts of the flags, variants and days in ``days`` as they stand now, in the same order."""
        ...

    async def limited(self, day: date) -> Sequence[Spending]:
        """The accounts of ``day`` that were asked of last by a process whose environment gives a daily budget."""
        ...
