"""Budgets in stores: what is leased, what returns, and that all of it together never exceeds the day's budget."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.integration.stores.builders import FLAG, NOW, a_flag, a_rollout, later
from turnout.domain.budget import Account, Budget, LeaseRequest, Settlement
from turnout.domain.errors import RolloutOpen
from turnout.ports import Spending, Stores

BUDGET = Budget.model_validate({"daily": 1, "lease": "0.25", "timezone": "UTC"})
TODAY = NOW.date()


async def leased(stores: Stores, id: str, wanted: int | None = None, at: datetime = NOW) -> int:
    """How much is leased under ``id``, in millionths."""
    given = await stores.budgets.lease("f", "new", BUDGET, LeaseRequest(id=id, wanted=wanted), at)
    return given.lease.amount


async def account_of(stores: Stores, day: date = TODAY) -> Account:
    """The account of a day."""
    asked = Spending(flag="f", variant="new", account=Account(day=day))
    return (await stores.budgets.spending([asked]))[0].account


async def test_leases_never_exceed_the_budget(stores: Stores) -> None:
    """Ten that ask at once get what there is, four quarters; the same id gets the same lease."""
    amounts = await asyncio.gather(*(leased(stores, f"l{number}") for number in range(10)))
    assert sorted(amounts) == [0] * 6 + [250_000] * 4
    again = [await leased(stores, f"l{number}") for number in range(10)]
    assert again == amounts
    assert (await account_of(stores)).leased == 1_000_000


async def test_what_was_not_spent_returns(stores: Stores) -> None:
    """A settled lease leaves what was spent of it; settling again, or a lease nobody knows, changes nothing."""
    await leased(stores, "a")
    settlements = [Settlement(id="a", spent=100_000), Settlement(id="?", spent=5)]
    first = await stores.budgets.settle("f", "new", BUDGET, settlements, NOW)
    again = await stores.budgets.settle("f", "new", BUDGET, settlements, NOW)
    assert (first.settled, first.repeated, first.unknown) == (1, 0, 1)
    assert (again.settled, again.repeated, again.unknown) == (0, 1, 1)
    assert again.account == Account(day=TODAY, spent=100_000, leased=0)
    assert await leased(stores, "a") == 0


async def test_a_lease_counts_until_it_comes_back(stores: Stores) -> None:
    """One that ran out unsettled counts as spent, as nobody knows better; when it comes back late, its rest returns."""
    await leased(stores, "lost")
    long_after = NOW + timedelta(hours=2)
    assert [await leased(stores, f"l{n}", at=long_after) for n in range(4)] == [250_000, 250_000, 250_000, 0]
    await stores.budgets.settle("f", "new", BUDGET, [Settlement(id="lost", spent=50_000)], long_after)
    assert await leased(stores, "more", at=long_after) == 200_000


async def test_days_are_apart(stores: Stores) -> None:
    """A new day begins with nothing spent; yesterday's lease returns to yesterday, and a lease ends with its day."""
    late = datetime.combine(TODAY, datetime.max.time(), UTC) - timedelta(seconds=10)
    given = await stores.budgets.lease("f", "new", BUDGET, LeaseRequest(id="a"), late)
    assert given.lease.expires - late <= timedelta(seconds=11)
    tomorrow = late + timedelta(minutes=1)
    assert await leased(stores, "b", at=tomorrow) == 250_000
    settled = await stores.budgets.settle("f", "new", BUDGET, [Settlement(id="a", spent=1)], tomorrow)
    assert settled.account == Account(day=tomorrow.date(), leased=250_000)
    assert await account_of(stores) == Account(day=TODAY, spent=1)


async def test_a_dear_call_gets_all_it_needs_or_nothing(stores: Stores) -> None:
    """A call that takes more than the largest lease gets so much, as long as there is so much."""

    async def needing(id: str, needed: int) -> int:
        request = LeaseRequest(id=id, needed=needed)
        return (await stores.budgets.lease("f", "new", BUDGET, request, NOW)).lease.amount

    assert [await needing("a", 600_000), await needing("b", 600_000), await needing("c", 400_000)] == [
        600_000,
        0,
        400_000,
    ]


async def test_what_the_environment_allows_is_kept_with_the_day(stores: Stores) -> None:
    """Of whoever asked last, also when nothing was left for them; accounts of other days are not among them."""

    async def ask(id: str, daily: int | None, variant: str = "new") -> None:
        request = LeaseRequest(id=id, daily=daily, alert_at=0.5)
        await stores.budgets.lease("f", variant, BUDGET.model_copy(update={"daily": daily or 0}), request, NOW)

    await ask("a", 0)
    await ask("b", 7)
    await ask("c", None, "other")
    (found,) = await stores.budgets.limited(TODAY)
    assert (found.flag, found.variant) == ("f", "new")
    assert found.account == Account(day=TODAY, leased=7, daily=7, alert_at=0.5)
    assert await stores.budgets.limited(TODAY + timedelta(days=1)) == []
    await ask("d", 0)
    assert (await account_of(stores)).daily == 0
    await ask("e", None)
    assert list(await stores.budgets.limited(TODAY)) == []


async def test_what_people_were_told_is_kept(stores: Stores) -> None:
    """Once in the account, and once in the audit log."""
    told = Account(day=TODAY, alerted=True)
    for _ in range(2):
        await stores.budgets.told("f", "new", told, "turnout", later(1))
    assert await account_of(stores) == told
    entries = await stores.rollouts.audit_log("f/new")
    assert [entry.action for entry in entries] == ["budget.alert"]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
async def test_the_day_resets_in_its_zone(stores: Stores, zone: str) -> None:
    """Also on the day on which clocks change: what is spent before midnight there is of the day before."""
    budget = BUDGET.model_copy(update={"timezone": zone})
    spring = datetime(2026, 3, 29 if zone == "Europe/Berlin" else 8, 12, tzinfo=UTC)
    days: list[date] = []
    for hour in range(48):
        request = LeaseRequest(id=f"h{hour}", wanted=1)
        given = await stores.budgets.lease("f", "new", budget, request, spring - timedelta(hours=24 - hour))
        days.append(given.account.day)
    assert max(days.count(day) for day in set(days)) == 23


async def test_a_budget_may_change_while_a_rollout_is_open(stores: Stores) -> None:
    """It gives nobody another variant; what does is refused as ever."""
    await stores.flags.apply([a_flag()], "ann", NOW)
    await stores.rollouts.open(a_rollout())
    guarded = a_flag(budgets={"new": {"daily": 5}}, breakers={"new": {"probes": 9}}, notify=[{"stdout": True}])
    (change,) = await stores.flags.apply([guarded], "bob", later(1))
    assert change.action == "updated"
    assert (await stores.flags.get(FLAG)).flag == guarded
    with pytest.raises(RolloutOpen):
        await stores.flags.apply([guarded.model_copy(update={"serve": "new"})], "bob", later(2))
