"""The store of budgets in memory, for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime

from turnout.adapters import budget_rules as rules
from turnout.adapters.budget_rules import HeldLease
from turnout.domain.budget import Account, Budget, LeaseRequest, Settlement, day_of
from turnout.ports.budgets import Granted, Settled, Spending
from turnout.ports.stores import AuditEntry

Key = tuple[str, str, date]


class MemoryBudgetStore:
    """A `turnout.ports.budgets.BudgetStore` in memory; ``audit`` takes what belongs into the audit log."""

    def __init__(self, audit: Callable[[AuditEntry], None]) -> None:
        self._audit = audit
        self._accounts: dict[Key, Account] = {}
        self._leases: dict[tuple[str, str, str], HeldLease] = {}

    async def lease(self, flag: str, variant: str, budget: Budget, request: LeaseRequest, at: datetime) -> Granted:
        """See `BudgetStore.lease`."""
        account = self._account(flag, variant, day_of(budget.timezone, at).date)
        held = self._leases.get((flag, variant, request.id))
        if held is not None:
            return rules.repeated(held, account)
        given, after = rules.granted(budget, account, request, at)
        if given.lease.amount:
            self._leases[flag, variant, request.id] = HeldLease(given.lease)
        self._accounts[flag, variant, account.day] = after
        return given

    async def settle(
        self, flag: str, variant: str, budget: Budget, settlements: Sequence[Settlement], at: datetime
    ) -> Settled:
        """See `BudgetStore.settle`."""
        counts = {"settled": 0, "repeated": 0, "unknown": 0}
        for settlement in settlements:
            held = self._leases.get((flag, variant, settlement.id))
            counts["unknown" if held is None else "repeated" if held.settled else "settled"] += 1
            if held is None or held.settled:
                continue
            self._leases[flag, variant, settlement.id] = HeldLease(held.lease, settled=True)
            account = self._account(flag, variant, held.lease.day)
            self._accounts[flag, variant, account.day] = rules.returned(account, held.lease, settlement)
        return Settled(**counts, account=self._account(flag, variant, day_of(budget.timezone, at).date))

    async def told(self, flag: str, variant: str, account: Account, actor: str, at: datetime) -> None:
        """See `BudgetStore.told`."""
        before = self._account(flag, variant, account.day)
        update = {
            "alerted": before.alerted or account.alerted,
            "exhausted": before.exhausted or account.exhausted,
        }
        after = before.model_copy(update=update)
        self._accounts[flag, variant, account.day] = after
        for entry in rules.news_entries(flag, variant, before, after, actor, at):
            self._audit(entry)

    async def spending(self, days: Sequence[Spending]) -> Sequence[Spending]:
        """See `BudgetStore.spending`."""
        return [
            one.model_copy(update={"account": self._account(one.flag, one.variant, one.account.day)}) for one in days
        ]

    async def limited(self, day: date) -> Sequence[Spending]:
        """See `BudgetStore.limited`."""
        return [
            Spending(flag=flag, variant=variant, account=account)
            for (flag, variant, on), account in sorted(self._accounts.items())
            if on == day and account.daily is not None
        ]

    def _account(self, flag: str, variant: str, day: date) -> Account:
        return self._accounts.get((flag, variant, day), Account(day=day))
