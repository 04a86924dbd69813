"""Budgets: processes lease money, give it back, and people see what became of it. Amounts are millionths."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request

from api.lending import budget_of, tell
from api.schemas import Budgets, BudgetView, LeaseOut, SettledOut, Settlements
from api.services import services_of
from turnout.domain.budget import Account, Day, LeaseRequest, day_of
from turnout.ports import FlagRecord, Spending

router = APIRouter(prefix="/v1/budgets", tags=["budgets"])


@router.get("")
async def list_budgets(request: Request) -> Budgets:
    """All budgets and what they have come to today."""
    services = services_of(request)
    now = services.clock()
    found = [
        (record, variant, day_of(budget.timezone, now))
        for record in await services.flags.list()
        for variant, budget in record.flag.budgets.items()
    ]
    asked = [
        Spending(flag=record.flag.key, variant=variant, account=Account(day=day.date)) for record, variant, day in found
    ]
    known = await services.budgets.spending(asked)
    pairs = zip(found, known, strict=True)
    return Budgets(budgets=tuple(_view(record, variant, day, one.account) for (record, variant, day), one in pairs))


@router.post("/{flag}/{variant}/lease")
async def lease(request: Request, flag: str, variant: str, body: LeaseRequest) -> LeaseOut:
    """Lease money for calls of a variant. The same id again gives the same lease; what is left over comes back by
    settling it, and counts as spent until then.
    """
    services = services_of(request)
    record, budget = await budget_of(services, flag, variant)
    now = services.clock()
    given = await services.budgets.lease(flag, variant, budget, body, now)
    tell(services, record, variant, budget, given.account, given.lease.amount)
    return LeaseOut(
        id=given.lease.id,
        amount=given.lease.amount,
        seconds=max(0.0, (given.lease.expires - now).total_seconds()),
        currency=budget.currency,
        left=given.account.left(budget),
    )


@router.post("/{flag}/{variant}/settle")
async def settle(request: Request, flag: str, variant: str, body: Settlements) -> SettledOut:
    """Give leases back. Idempotent by lease; a lease that has run out can still be settled."""
    services = services_of(request)
    record, budget = await budget_of(services, flag, variant)
    done = await services.budgets.settle(flag, variant, budget, body.settlements, services.clock())
    tell(services, record, variant, budget, done.account, budget.daily)
    return SettledOut(
        settled=done.settled, repeated=done.repeated, unknown=done.unknown, left=done.account.left(budget)
    )


def _view(record: FlagRecord, variant: str, day: Day, account: Account) -> BudgetView:
    budget = record.flag.budgets[variant]
    return BudgetView(
        flag=record.flag.key,
        variant=variant,
        currency=budget.currency,
        timezone=budget.timezone,
        day=account.day,
        ends=day.ends,
        daily=budget.daily,
        spent=account.spent,
        leased=account.leased,
        left=account.left(budget),
        alert_at=budget.alert_at,
        alerted=account.alerted,
        exhausted=account.exhausted,
    )
