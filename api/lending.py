"""Lending money of budgets, and telling people when it runs low."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Final

from api.services import Services
from turnout.domain.budget import Account, Budget, Limits, alarms, runs_dry, within
from turnout.domain.errors import NotFound, Unavailable
from turnout.domain.guard_notices import BudgetEvent, BudgetNews, budget_notice
from turnout.ports import FlagRecord

logger = logging.getLogger("turnout.api")

_ACTOR: Final = "turnout"
_NEWS: Final[dict[BudgetEvent, str]] = {
    "budget_alert": "alerted",
    "budget_exceeded": "exhausted",
}


async def flag_with(services: Services, flag: str, variant: str) -> FlagRecord:
    """The flag that has this variant.

    Raises:
        NotFound: there is no such flag or variant.
    """
    record = await services.flags.get(flag)
    if variant not in record.flag.variants:
        raise NotFound(f"flag {flag} has no variant {variant}; it has {', '.join(record.flag.variants)}")
    return record


def budget_within(record: FlagRecord, variant: str, limits: Limits) -> Budget:
    """What calls of ``variant`` are paid from where the environment allows so much.

    Raises:
        NotFound: neither the flag nor the environment has a budget.
    """
    budget = within(record.flag.budgets.get(variant), limits)
    if budget is None:
        flag = record.flag.key
        raise NotFound(f"variant {variant} of flag {flag} has no budget; write budgets: {{{variant}: {{daily: 25}}}}")
    return budget


def tell(services: Services, record: FlagRecord, variant: str, budget: Budget, account: Account, granted: int) -> None:
    """Tell of what is news of ``account``, after ``granted`` was leased; nobody waits for it.

    What could not be told is tried again with the next request.
    """
    due: list[BudgetEvent] = []
    if alarms(budget, account):
        due.append("budget_alert")
    if runs_dry(budget, account, granted):
        due.append("budget_exceeded")
    for event in due:
        key = f"{record.flag.key}:{variant}:{account.day}:{event}"
        if key not in services.telling:
            telling = asyncio.create_task(_tell(services, record, variant, budget, account, event))
            services.telling[key] = telling
            telling.add_done_callback(partial(_told, services.telling, key))


def _told(telling: dict[str, asyncio.Task[None]], key: str, _: asyncio.Task[None]) -> None:
    telling.pop(key, None)


async def _tell(
    services: Services,
    record: FlagRecord,
    variant: str,
    budget: Budget,
    account: Account,
    event: BudgetEvent,
) -> None:
    now = services.clock()
    key, stable = record.flag.key, record.traffic.stable
    notice = budget_notice(event, BudgetNews(key, variant, stable, budget, account), now)
    channels = [channel for channel in record.flag.notify if channel.wants(event)]
    try:
        if channels:
            await services.engine.tell(notice, channels)
        said = account.model_copy(update={"alerted": False, "exhausted": False} | {_NEWS[event]: True})
        await services.budgets.told(key, variant, said, _ACTOR, now)
    except Unavailable as error:
        logger.warning("%s is not told yet: %s", notice.title, error)
    except Exception:
        logger.exception("%s is not told", notice.title)
