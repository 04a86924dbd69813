"""Budgets: what a day is, what is leased, and that what is spent never exceeds it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from turnout.domain.budget import (
    NO_LIMITS,
    Account,
    Budget,
    Lease,
    Limits,
    alarms,
    day_of,
    grant,
    leased,
    micros,
    money,
    settled,
    within,
)
from turnout.guards.wallet import Wallet

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = date(2026, 5, 1)

moments = st.integers(1_577_836_800, 2_051_222_400).map(lambda second: datetime.fromtimestamp(second, UTC))


@pytest.mark.parametrize(
    ("amount", "millionths"),
    [(25, 25_000_000), ("12.50", 12_500_000), (0.1, 100_000), (Decimal("0.0000001"), 1), (0, 0), ("1e-7", 1)],
)
def test_money_is_exact_and_rounded_up(amount: object, millionths: int) -> None:
    """0.1 is a tenth, and what is less than a millionth costs one."""
    assert micros(amount) == millionths


@pytest.mark.parametrize("amount", [-1, "abc", float("nan"), float("inf"), True, None, "", 1e10])
def test_what_is_no_amount_is_refused(amount: object) -> None:
    """With the value and what to write instead."""
    with pytest.raises(ValueError, match="is no amount of money; write"):
        micros(amount)


@pytest.mark.parametrize(("amount", "text"), [(12_500_000, "12.50"), (1, "0.000001"), (-1_234_000_000, "-1,234.00")])
def test_money_reads_well(amount: int, text: str) -> None:
    """Two decimals, more only where they say something."""
    assert money(amount) == text


@pytest.mark.parametrize(
    ("zone", "now", "hours"),
    [
        ("Europe/Berlin", datetime(2026, 3, 29, 12, tzinfo=UTC), 23),
        ("Europe/Berlin", datetime(2026, 10, 25, 12, tzinfo=UTC), 25),
        ("America/New_York", datetime(2026, 3, 8, 12, tzinfo=UTC), 23),
        ("UTC", NOW, 24),
        ("America/Santiago", datetime(2026, 9, 6, 12, tzinfo=UTC), 23),
    ],
)
def test_a_day_is_as_long_as_its_clocks_say(zone: str, now: datetime, hours: int) -> None:
    """23 or 25 hours where clocks change, also where the hour that is skipped is midnight."""
    day = day_of(zone, now)
    assert day.begins <= now < day.ends
    assert day.ends - day.begins == timedelta(hours=hours)


@given(moments, st.sampled_from(["Europe/Berlin", "Asia/Kolkata", "UTC"]))
def test_days_meet_without_a_gap(moment: datetime, zone: str) -> None:
    """A day ends at the moment the next one begins."""
    day = day_of(zone, moment)
    following = day_of(zone, day.ends)
    assert following.begins == day.ends
    assert following.date == day.date + timedelta(days=1)
    assert day_of(zone, day.ends - timedelta(microseconds=1)) == day


@pytest.mark.parametrize(
    "fields",
    [
        {"daily": 0},
        {"daily": "x"},
        {"daily": 1, "timezone": "Mars/Base"},
        {"daily": 1, "alert_at": 0},
        {"daily": 1, "x": 1},
    ],
)
def test_a_budget_that_cannot_be_is_refused(fields: dict[str, object]) -> None:
    """Amounts, zones and thresholds are checked at the door."""
    with pytest.raises(ValidationError):
        Budget.model_validate(fields)


def test_nobody_gets_more_than_there_is() -> None:
    """A lease is bounded by its largest size and by what is left."""
    budget = Budget.model_validate({"daily": 10, "lease": 4})
    account = Account(day=DAY)
    assert grant(budget, account, micros(100)) == micros(4)
    account = leased(account, micros(4))
    account = leased(account, grant(budget, account, micros(4)))
    assert grant(budget, account, micros(4)) == micros(2)
    account = leased(account, micros(2))
    assert grant(budget, account, 1) == 0


def test_what_is_not_spent_returns() -> None:
    """A settled lease gives back its rest; one of yesterday changes nothing today."""
    budget = Budget.model_validate({"daily": 10})
    account = leased(Account(day=DAY), micros(4))
    lease = Lease(id="a", amount=micros(4), day=DAY, expires=NOW)
    account = settled(account, lease, micros(1))
    assert (account.spent, account.leased, account.left(budget)) == (micros(1), 0, micros(9))
    assert settled(account, lease.model_copy(update={"day": date(2026, 4, 30)}), micros(1)) == account
    assert account.on(date(2026, 5, 2)).left(budget) == micros(10)


def test_the_warning_comes_once() -> None:
    """At the threshold, by what was spent, unless it has gone out."""
    budget = Budget.model_validate({"daily": 10, "alert_at": 0.5})
    assert not alarms(budget, Account(day=DAY, spent=micros("4.999999"), leased=micros(5)))
    assert alarms(budget, Account(day=DAY, spent=micros(5)))
    assert not alarms(budget, Account(day=DAY, spent=micros(5), alerted=True))


def test_a_threshold_of_nothing_warns_of_the_first_money_spent() -> None:
    """And a budget of nothing never warns: there is nothing to spend."""
    budget = Budget(daily=10).model_copy(update={"alert_at": 0.0})
    assert [alarms(budget, Account(day=DAY, spent=spent)) for spent in (0, 1)] == [False, True]
    assert not alarms(budget.model_copy(update={"daily": 0}), Account(day=DAY, spent=1))


@given(st.integers(1, 10**9), st.none() | st.integers(0, 10**9), st.none() | st.floats(0, 1))
def test_the_environment_only_ever_lowers_a_budget(daily: int, limit: int | None, alert_at: float | None) -> None:
    """The lower amount and the lower threshold hold; currency, day and leases stay those of the flag."""
    own = Budget(daily=money(daily).replace(",", ""), currency="EUR", timezone="Asia/Kolkata", lease="0.5")
    held = within(own, Limits(daily=limit, alert_at=alert_at))
    assert held is not None
    assert held.daily == (daily if limit is None else min(daily, limit))
    assert held.alert_at == (own.alert_at if alert_at is None else min(own.alert_at, alert_at))
    assert held.model_copy(update={"daily": own.daily, "alert_at": own.alert_at}) == own
    assert within(own, NO_LIMITS) == own


def test_without_a_budget_of_the_flag_the_environment_gives_it() -> None:
    """In dollars, by the day of UTC; nothing pays nothing, and a threshold alone is no budget."""
    given = within(None, Limits(daily=micros(50), alert_at=0.95))
    assert given == Budget.model_validate({"daily": 50, "currency": "USD", "timezone": "UTC", "alert_at": 0.95})
    assert given.largest_lease == micros("0.5")
    nothing = within(None, Limits(daily=0))
    assert nothing is not None
    assert (grant(nothing, Account(day=DAY), micros(1)), nothing.alert_at) == (0, 0.8)
    assert within(None, Limits(alert_at=0.5)) is None


steps = st.lists(st.tuples(st.sampled_from(["lease", "call", "settle", "die"]), st.integers(0, 3), st.integers(1, 5)))


@given(steps)
def test_processes_together_never_spend_more_than_the_budget(steps: list[tuple[str, int, int]]) -> None:
    """Four processes lease, spend, settle and die in any order: the sum spent stays within the budget."""
    budget, account, names = Budget(daily="0.00002", lease="0.000007"), Account(day=DAY), count()  # type: ignore[arg-type]
    wallets, leases, spent = [Wallet(lambda: 0.0) for _ in range(4)], dict[str, Lease](), 0
    for kind, process, amount in steps:
        wallet = wallets[process]
        if kind == "lease" and (granted := grant(budget, account, amount)):
            account = leased(account, granted)
            lease = Lease(id=str(next(names)), amount=granted, day=DAY, expires=NOW)
            leases[lease.id] = lease
            wallet.add(lease.id, granted, 0.0, 60)
        elif kind == "call" and (reservation := wallet.reserve(amount)):
            cost = max(0, amount - 1)
            wallet.settle(reservation, cost)
            spent += cost
        elif kind == "settle":
            for settlement in wallet.collect(everything=True):
                account = settled(account, leases.pop(settlement.id), settlement.spent)
        elif kind == "die":
            wallets[process] = Wallet(lambda: 0.0)
    assert spent <= budget.daily
    assert account.spent <= spent
    assert account.spent + account.leased <= budget.daily


def test_a_lease_is_not_spent_after_its_time() -> None:
    """Measured from when it was asked for; what is over is handed in once, with what was spent."""
    now = [100.0]
    wallet = Wallet(lambda: now[0])
    wallet.add("a", 10, asked_at=95, seconds=10)
    reservation = wallet.reserve(4)
    assert reservation is not None
    assert wallet.left == 6
    wallet.settle(reservation, 3)
    now[0] = 105
    assert wallet.reserve(1) is None
    assert [(s.id, s.spent) for s in wallet.collect()] == [("a", 3)]
    assert wallet.collect() == ()


def test_calls_under_way_keep_a_lease_open() -> None:
    """It is handed in when the call has ended; when the process ends before, what was reserved counts as spent."""
    now = [0.0]
    wallet = Wallet(lambda: now[0])
    wallet.add("a", 10, 0, 10)
    reservation = wallet.reserve(4)
    now[0] = 20
    assert wallet.collect() == ()
    assert reservation is not None
    wallet.settle(reservation, 5)
    assert wallet.collect()[0].spent == 5
    wallet.add("b", 10, 20, 10)
    wallet.reserve(7)
    assert wallet.collect(everything=True)[0].spent == 7


def test_a_wallet_says_when_it_runs_low() -> None:
    """Once less than half of the last lease is left, and with the amount of whatever it refuses."""
    said: list[int] = []
    wallet = Wallet(lambda: 0.0, said.append)
    assert wallet.reserve(5) is None
    wallet.add("a", 100, 0.0, 60.0)
    assert wallet.reserve(50) is not None
    assert said == [5]
    assert wallet.reserve(1) is not None
    assert wallet.reserve(80) is None
    assert said == [5, 0, 80]
    assert wallet.uses == 4


def test_a_budget_is_written_as_it_was_read() -> None:
    """Exactly, in every form in which it is kept."""
    for daily in ("0.000001", "12.5", 25, "999999999.999999"):
        budget = Budget.model_validate({"daily": daily, "lease": "0.1"})
        assert Budget.model_validate_json(budget.model_dump_json()) == budget
        assert Budget.model_validate(budget.model_dump()) == budget
