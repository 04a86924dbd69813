"""Daily budgets that hold across processes: what a day is, and how much may be leased. Pure.

Money is counted in whole millionths of the currency, so that sums are exact. A process leases a small amount, spends
from it without asking anybody, and settles afterwards: what it spent stays spent, the rest returns. A lease that was
never settled counts as spent when it has run out, because nobody can know better; so the sum spent never exceeds the
budget.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, PlainSerializer

from turnout.domain.durations import Duration
from turnout.domain.model import Frozen

MILLION: Final = 1_000_000
_MOST: Final = 10**15


def micros(amount: object) -> int:
    """``amount`` of money (a number, or a text such as ``"12.50"``) in millionths, rounded up.

    Raises:
        ValueError: it is no amount between 0 and a thousand million.
    """
    try:
        exact = Decimal(str(amount)) if not isinstance(amount, bool) else Decimal("NaN")
    except InvalidOperation:
        exact = Decimal("NaN")
    if not exact.is_finite() or not 0 <= exact <= _MOST // MILLION:
        raise ValueError(f"{amount!r} is no amount of money; write a number such as 25 or 12.50")
    return int((exact * MILLION).to_integral_value(ROUND_CEILING))


def _plain(micros: int) -> int | float:
    """Millionths as the number that `micros` reads back to the same."""
    whole, rest = divmod(micros, MILLION)
    return micros / MILLION if rest else whole


def money(micros: int) -> str:
    """Millionths as an amount, without zeros that say nothing beyond the second decimal."""
    whole, rest = divmod(abs(micros), MILLION)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micros < 0 else ''}{whole:,}.{decimals}"


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone; write a name such as Europe/Berlin or UTC") from error
    return name


Micros = Annotated[int, BeforeValidator(micros), PlainSerializer(_plain, return_type=int | float)]
"""An amount as a person writes it, held in millionths, written as a number of the currency."""
Zone = Annotated[str, AfterValidator(_zone)]


class Budget(Frozen):
    """What one variant of a flag may cost a day, in its ``timezone``.

    Calls report their cost in ``currency``, a name that nothing is computed with. ``alert_at`` is the part of it, 0 to
    1, at which a warning goes out. Processes lease at most ``lease`` at a time (a hundredth of the day's budget when
    not given), for ``lease_time``.
    """

    daily: Micros = Field(gt=0)
    currency: str = Field(default="USD", min_length=1, max_length=20)
    alert_at: float = Field(default=0.8, gt=0, le=1)
    timezone: Zone = "UTC"
    lease: Micros | None = Field(default=None, gt=0)
    lease_time: Duration = timedelta(seconds=60)

    @property
    def largest_lease(self) -> int:
        """The most that is leased at once, in millionths."""
        return min(self.daily, self.lease or max(1, self.daily // 100))


class Limits(Frozen):
    """What the environment of a process allows it: so much a day, in millionths, told of at ``alert_at``, 0 to 1.

    None where it says nothing.
    """

    daily: int | None = Field(default=None, ge=0, le=_MOST)
    alert_at: float | None = Field(default=None, ge=0, le=1)


NO_LIMITS: Final = Limits()
"""Those of an environment that says nothing."""

USUAL: Final = Budget.model_validate({"daily": 1})
"""Whose currency, day and leases a budget has that only the environment of processes gives."""


def within(budget: Budget | None, limits: Limits) -> Budget | None:
    """What a process with these ``limits`` is paid from: the lower of them and the variant's own ``budget``.

    Without a budget the limits are it, in dollars by the day of UTC; None where neither allows an amount. Currencies
    are not converted.
    """
    said = limits.model_dump(include=set(Limits.model_fields), exclude_none=True)
    if budget is None:
        return USUAL.model_copy(update=said) if "daily" in said else None
    return budget.model_copy(update={name: min(limit, getattr(budget, name)) for name, limit in said.items()})


@dataclass(frozen=True, slots=True)
class Day:
    """One day of a budget: its date where the budget is, and the moments (UTC) at which it begins and ends."""

    date: date
    begins: datetime
    ends: datetime


def day_of(zone: str, now: datetime) -> Day:
    """The day that ``now`` falls into in ``zone``: 23 or 25 hours long where clocks change."""
    here = ZoneInfo(zone)
    today = now.astimezone(here).date()
    begins, ends = (datetime.combine(day, time(), here).astimezone(UTC) for day in (today, today + timedelta(days=1)))
    return Day(today, begins, ends)


class Account(Limits):
    """What a day's budget has come to, in millionths: ``spent`` for good, ``leased`` and not settled.

    ``alerted`` and ``exhausted`` say that people were told of the threshold, and that nothing was left. The limits are
    those of the process that asked for a lease last.
    """

    day: date
    spent: int = 0
    leased: int = 0
    alerted: bool = False
    exhausted: bool = False

    def left(self, budget: Budget) -> int:
        """What may still be leased."""
        return max(0, budget.daily - self.spent - self.leased)

    def on(self, day: date) -> Account:
        """The account of ``day``: a new one when another day has begun."""
        return self if day == self.day else Account(day=day)


class Lease(Frozen):
    """``amount`` (millionths) that one process may spend until ``expires``, of the budget of ``day``."""

    id: str
    amount: int
    day: date
    expires: AwareDatetime


class LeaseRequest(Limits):
    """Asks for ``wanted`` millionths under an ``id`` of the asker's; without an amount, for the largest lease.

    A single call of the asker's takes ``needed``. The limits are those of its environment.
    """

    id: str = Field(min_length=1, max_length=100)
    wanted: int | None = Field(default=None, ge=0)
    needed: int = Field(default=0, ge=0)


class Settlement(Frozen):
    """Gives lease ``id`` back, of which ``spent`` millionths were spent."""

    id: str = Field(min_length=1, max_length=100)
    spent: int = Field(ge=0, le=_MOST)


def grant(budget: Budget, account: Account, wanted: int, needed: int = 0) -> int:
    """How much to lease to somebody who wants ``wanted``: at most the largest lease, at most what is left.

    One call of theirs takes ``needed``: it may be more than the largest lease, and less than it is of no use.
    """
    left = account.left(budget)
    return 0 if needed > left else min(max(wanted, needed, 0), max(budget.largest_lease, needed), left)


def expiry(budget: Budget, now: datetime) -> datetime:
    """Until when a lease of ``now`` may be spent: never beyond its day."""
    return min(now + budget.lease_time, day_of(budget.timezone, now).ends)


def leased(account: Account, amount: int, limits: Limits = NO_LIMITS) -> Account:
    """``account`` after ``amount`` was leased to a process with these ``limits``."""
    told = {"daily": limits.daily, "alert_at": limits.alert_at}
    return account.model_copy(update={"leased": account.leased + amount} | told)


def settled(account: Account, lease: Lease, spent: int) -> Account:
    """``account`` after ``lease`` came back with ``spent`` of it spent; a lease of an earlier day changes nothing.

    More than the lease may come back as spent, when a call turned out dearer than it was estimated.
    """
    if lease.day != account.day:
        return account
    update = {"leased": max(0, account.leased - lease.amount), "spent": account.spent + max(0, spent)}
    return account.model_copy(update=update)


def alarms(budget: Budget, account: Account) -> bool:
    """Whether the warning is due: the threshold is reached by what is spent, and nobody was warned today."""
    reached = account.spent >= budget.daily * budget.alert_at
    return reached and account.spent > 0 and budget.daily > 0 and not account.alerted


def runs_dry(budget: Budget, account: Account, granted: int) -> bool:
    """Whether the news is due that somebody got nothing, since all is spent or leased; it is told once a day."""
    return not account.exhausted and not granted and account.left(budget) < budget.largest_lease
