"""What people are told of budgets and breakers, which belong to a variant and to no rollout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import AwareDatetime

from turnout.domain.breaking import SharedBreaker
from turnout.domain.budget import Account, Budget, money
from turnout.domain.durations import format_duration
from turnout.domain.notices import Notice, Severity

BudgetEvent = Literal["budget_alert", "budget_exceeded"]
GuardEvent = Literal["budget_alert", "budget_exceeded", "breaker_opened", "breaker_closed"]


@dataclass(frozen=True, slots=True)
class BudgetNews:
    """What news of a budget is about; calls go to ``stable`` when no money is left."""

    flag: str
    variant: str
    stable: str
    budget: Budget
    account: Account


@dataclass(frozen=True, slots=True)
class Words:
    """What a notice says."""

    severity: Severity
    title: str
    text: str
    advice: str = ""


def budget_notice(event: BudgetEvent, news: BudgetNews, at: AwareDatetime) -> Notice:
    """The notice of a threshold reached, or of nothing left; one a day each."""
    budget, account = news.budget, news.account
    of_all = f"of {money(budget.daily)} {budget.currency} for {account.day} ({budget.timezone})"
    spent = f"{money(account.spent)} spent and {money(account.leased)} leased {of_all}"
    advice = "turnout budgets shows all of them"
    if event == "budget_exceeded":
        text = f"{spent}; calls go to {news.stable} when no money is left"
        words = Words("critical", f"the budget of {news.variant} is used up", text, advice)
    else:
        title = f"{account.spent / budget.daily:.0%} of the budget of {news.variant} is spent"
        words = Words("warning", title, spent, advice)
    key = f"budget:{news.flag}:{news.variant}:{account.day}:{event}"
    return guard_notice(event, key, (news.flag, news.variant, news.stable), words, at)


def guard_notice(event: GuardEvent, key: str, about: tuple[str, str, str], words: Words, at: AwareDatetime) -> Notice:
    """A notice ``about`` a flag, its variant and the stable one."""
    flag, variant, stable = about
    return Notice(
        key=key,
        event=event,
        severity=words.severity,
        at=at,
        flag=flag,
        rollout_id="",
        seq=0,
        strategy="",
        stable=stable,
        candidate=variant,
        stage=0,
        stages=(),
        share=0.0,
        title=f"{flag}: {words.title}",
        text=words.text,
        advice=words.advice,
    )


def breaker_notice(about: tuple[str, str, str], before: SharedBreaker | None, after: SharedBreaker) -> Notice | None:
    """The notice of a breaker that opened or closed; one that only goes on being open is no news."""
    flag, variant, stable = about
    if after.circuit == "open" and (before is None or before.circuit == "closed"):
        again = f", for the {_ordinal(after.trips)} time in a row" if after.trips > 1 else ""
        stays = format_duration(after.until - after.at) if after.until else "a while"
        text = f"{after.why}{again}; everybody gets {stable} for {stays}, then a share of the users probes {variant}"
        advice = f"turnout breakers close {flag} {variant} closes it before"
        words = Words("critical", f"the {after.kind} breaker of {variant} is open", text, advice)
        event: GuardEvent = "breaker_opened"
    elif after.circuit == "closed" and before is not None and before.circuit != "closed":
        words = Words("info", f"the {after.kind} breaker of {variant} is closed", after.why or "closed by hand")
        event = "breaker_closed"
    else:
        return None
    key = f"breaker:{flag}:{variant}:{after.at.isoformat()}:{after.seq}"
    return guard_notice(event, key, about, words, after.at)


def _ordinal(number: int) -> str:
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
