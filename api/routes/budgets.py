"""Budgets: processes lease money, give it back, and people see what became of it. Amounts are millionths."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from starlette.requests import Request

from api.lending import budget_within, flag_with, tell
from api.schemas import Budgets, BudgetView, LeaseOut, SettledOut, Settlements
from api.services import services_of
from turnout.domain.budget import USUAL, Account, LeaseRequest, day_of, within
from turnout.ports import FlagRecord, Spending

router = APIRouter(prefix="/v1/budgets", tags=["budgets"])


@router.get("")
async def list_budgets(request: Request) -> Budgets:
    """All budgets and what they have come to today: those of flags, and those that processes take from their
    environment.
    """
    services = services_of(request)
    now = services.clock()
    records = {record.flag.key: record for record in await services.flags.list()}
    asked = [
        Spending(flag=flag, variant=variant, account=Account(day=day_of(budget.timezone, now).date))
        for flag, record in records.items()
        for variant, budget in record.flag.budgets.items()
    ]
    others = [
        one
        for one in await services.budgets.limited(day_of(USUAL.timezone, now).date)
        if one.flag in records
        and one.variant in records[one.flag].flag.variants
        and one.variant not in records[one.flag].flag.budgets
    ]
    known = sorted([*await services.budgets.spending(asked), *others], key=lambda one: one.flag)
    return Budgets(budgets=tuple(_view(records[one.flag], one, now) for one in known))


@router.post("/{flag}/{variant}/lease")
async def lease(request: Request, flag: str, variant: str, body: LeaseRequest) -> LeaseOut:
    """Lease money for calls of a variant. The same id again gives the same lease; what is left over comes back by
    settling it, and counts as spent until then. `daily` and `alert_at` are what the environment of the asker allows:
    they lower the budget of the flag, or are the budget where it has none.
    """
    services = services_of(request)
    record = await flag_with(services, flag, variant)
    budget = budget_within(record, variant, body)
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
    record = await flag_with(services, flag, variant)
    own = record.flag.budgets.get(variant)
    done = await services.budgets.settle(flag, variant, own or USUAL, body.settlements, services.clock())
    budget = within(own, done.account)
    if budget is not None:
        tell(services, record, variant, budget, done.account, budget.daily)
    left = 0 if budget is None else done.account.left(budget)
    return SettledOut(settled=done.settled, repeated=done.repeated, unknown=done.unknown, left=left)


def _view(record: FlagRecord, known: Spending, now: datetime) -> BudgetView:
    own, account = record.flag.budgets.get(known.variant), known.account
    budget = budget_within(record, known.variant, account)
    return BudgetView(
        flag=known.flag,
        variant=known.variant,
        currency=budget.currency,
        timezone=budget.timezone,
        day=account.day,
        ends=day_of(budget.timezone, now).ends,
        daily=budget.daily,
        spent=account.spent,
        leased=account.leased,
        left=account.left(budget),
        alert_at=budget.alert_at,
        alerted=account.alerted,
        exhausted=account.exhausted,
        source="flag" if budget == own else "environment",
    )
