"""What every store of budgets does with the records it has loaded. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from turnout.domain.budget import (
    Account,
    Budget,
    Lease,
    LeaseRequest,
    Settlement,
    expiry,
    grant,
    leased,
    money,
    runs_dry,
    settled,
)
from turnout.ports.budgets import Granted
from turnout.ports.stores import AuditEntry

KEPT_DAYS = 2
"""Leases of so many days before today can still be settled."""


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease as it is kept: whether it has come back."""

    lease: Lease
    settled: bool = False


def granted(budget: Budget, account: Account, request: LeaseRequest, at: datetime) -> tuple[Granted, Account]:
    """A new lease, and the account to keep; of nothing, no lease is kept, but what was asked with is."""
    wanted = budget.largest_lease if request.wanted is None else request.wanted
    amount = grant(budget, account, wanted, request.needed)
    lease = Lease(id=request.id, amount=amount, day=account.day, expires=expiry(budget, at))
    after = leased(account, amount, request)
    return Granted(lease, after), after


def repeated(held: HeldLease, account: Account) -> Granted:
    """The answer to a request for a lease that there is already."""
    return Granted(held.lease.model_copy(update={"amount": 0}) if held.settled else held.lease, account)


def returned(account: Account, lease: Lease, settlement: Settlement) -> Account:
    """The account of the lease's day after it has come back."""
    return settled(account, lease, settlement.spent)


def forgotten(today: date) -> date:
    """Leases of days before it are forgotten."""
    return today - timedelta(days=KEPT_DAYS)


def news_entries(
    flag: str, variant: str, before: Account, after: Account, actor: str, at: datetime
) -> Sequence[AuditEntry]:
    """The audit entries of what ``after`` says people were told and ``before`` does not."""
    told = {"budget.alert": (before.alerted, after.alerted), "budget.exceeded": (before.exhausted, after.exhausted)}
    detail = f"{money(after.spent)} spent and {money(after.leased)} leased on {after.day}"
    return [
        AuditEntry(at=at, actor=actor, action=action, subject=f"{flag}/{variant}", detail=detail)
        for action, (said, says) in told.items()
        if says and not said
    ]


def dry(budget: Budget, given: Granted) -> bool:
    """Whether ``given`` is the first sign today that nothing is left."""
    return runs_dry(budget, given.account, given.lease.amount)
