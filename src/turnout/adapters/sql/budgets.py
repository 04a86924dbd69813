"""Budgets in SQL: an account a day, locked by whoever leases from it or settles, and the leases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from turnout.adapters import budget_rules as rules
from turnout.adapters.budget_rules import HeldLease
from turnout.adapters.sql import tables
from turnout.adapters.sql.engine import Database
from turnout.adapters.sql.queries import append_audit
from turnout.adapters.sql.upserts import keep_first
from turnout.domain.budget import Account, Budget, Lease, LeaseRequest, Settlement, day_of
from turnout.ports.budgets import Granted, Settled, Spending

_ACCOUNTS, _LEASES = tables.budget_accounts, tables.budget_leases


class SqlBudgetStore:
    """A `turnout.ports.budgets.BudgetStore` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lease(self, flag: str, variant: str, budget: Budget, request: LeaseRequest, at: datetime) -> Granted:
        """See `BudgetStore.lease`."""
        async with self._database.writing() as connection:
            of = _Of(connection, flag, variant)
            account = await of.locked(day_of(budget.timezone, at).date)
            held = await of.lease(request.id)
            if held is not None:
                return rules.repeated(held, account)
            given, after = rules.granted(budget, account, request, at)
            if given.lease.amount:
                await of.keep(given.lease)
            if after != account:
                await of.save(after)
        return given

    async def settle(
        self, flag: str, variant: str, budget: Budget, settlements: Sequence[Settlement], at: datetime
    ) -> Settled:
        """See `BudgetStore.settle`."""
        counts: Counter[str] = Counter()
        async with self._database.writing() as connection:
            of = _Of(connection, flag, variant)
            # Today's is locked first by everybody, so that no two wait for each other.
            await of.locked(day_of(budget.timezone, at).date)
            for settlement in settlements:
                counts[await of.settle(settlement)] += 1
            account = await of.locked(day_of(budget.timezone, at).date)
        return Settled(counts["settled"], counts["repeated"], counts["unknown"], account)

    async def told(self, flag: str, variant: str, account: Account, actor: str, at: datetime) -> None:
        """See `BudgetStore.told`."""
        async with self._database.writing() as connection:
            of = _Of(connection, flag, variant)
            before = await of.locked(account.day)
            said = {"alerted": before.alerted or account.alerted, "exhausted": before.exhausted or account.exhausted}
            after = before.model_copy(update=said)
            await of.save(after)
            for entry in rules.news_entries(flag, variant, before, after, actor, at):
                await append_audit(connection, entry)

    async def spending(self, days: Sequence[Spending]) -> Sequence[Spending]:
        """See `BudgetStore.spending`."""
        async with self._database.reading() as connection:
            return [
                one.model_copy(update={"account": await _Of(connection, one.flag, one.variant).read(one.account.day)})
                for one in days
            ]

    async def limited(self, day: date) -> Sequence[Spending]:
        """See `BudgetStore.limited`."""
        query = select(_ACCOUNTS).where((_ACCOUNTS.c.day == day) & _ACCOUNTS.c.daily.is_not(None))
        async with self._database.reading() as connection:
            rows = await connection.execute(query.order_by(_ACCOUNTS.c.flag, _ACCOUNTS.c.variant))
            return [Spending(flag=row.flag, variant=row.variant, account=_account(row)) for row in rows]


def _account(row: Row[Any]) -> Account:
    return Account.model_validate({name: getattr(row, name) for name in Account.model_fields})


class _Of:
    """The account and the leases of one variant, in one transaction."""

    def __init__(self, connection: AsyncConnection, flag: str, variant: str) -> None:
        self._connection = connection
        self._key = {"flag": flag, "variant": variant}
        self._mine = (_ACCOUNTS.c.flag == flag) & (_ACCOUNTS.c.variant == variant)
        self._ours = (_LEASES.c.flag == flag) & (_LEASES.c.variant == variant)

    async def locked(self, day: date) -> Account:
        """The account of ``day``, which nobody else can change until the transaction ends."""
        new = self._key | {"day": day, "spent": 0, "leased": 0, "alerted": False, "exhausted": False}
        made = await self._connection.execute(keep_first(self._connection.dialect.name, _ACCOUNTS), new)
        if made.rowcount > 0:
            await self._connection.execute(delete(_LEASES).where(self._ours & (_LEASES.c.day < rules.forgotten(day))))
        return await self.read(day, lock=True)

    async def read(self, day: date, *, lock: bool = False) -> Account:
        query = select(_ACCOUNTS).where(self._mine & (_ACCOUNTS.c.day == day))
        row = (await self._connection.execute(query.with_for_update() if lock else query)).first()
        return Account(day=day) if row is None else _account(row)

    async def save(self, account: Account) -> None:
        values = account.model_dump(exclude={"day"})
        await self._connection.execute(
            update(_ACCOUNTS).where(self._mine & (_ACCOUNTS.c.day == account.day)).values(values)
        )

    async def lease(self, id: str) -> HeldLease | None:
        row = (await self._connection.execute(select(_LEASES).where(self._ours & (_LEASES.c.id == id)))).first()
        if row is None:
            return None
        return HeldLease(Lease(id=id, amount=row.amount, day=row.day, expires=row.expires), row.spent is not None)

    async def keep(self, lease: Lease) -> None:
        await self._connection.execute(insert(_LEASES), self._key | lease.model_dump())

    async def settle(self, settlement: Settlement) -> str:
        """Take one lease back; ``settled``, ``repeated`` or ``unknown``."""
        held = await self.lease(settlement.id)
        if held is None:
            return "unknown"
        account = await self.locked(held.lease.day)
        # Whoever else settles this lease has to hold the account too: what was read before counts for nothing.
        mine = self._ours & (_LEASES.c.id == settlement.id) & _LEASES.c.spent.is_(None)
        taken = await self._connection.execute(update(_LEASES).where(mine).values(spent=settlement.spent))
        if not taken.rowcount:
            return "repeated"
        await self.save(rules.returned(account, held.lease, settlement))
        return "settled"
