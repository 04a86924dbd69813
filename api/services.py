"""What the routes work with, put together once per process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.requests import Request

from api.engine import Engine
from api.feed import Hub
from api.flagfile import FlagFile
from api.metrics import Metrics
from api.whereabouts import Whereabouts
from turnout.ports import BudgetStore, FlagStore, FreezeStore, OutcomeStore, RolloutStore


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Services:
    """The stores, the workflow engine, the feed and the counters.

    ``patience`` is how many seconds a start waits for a worker to begin the rollout. ``judging`` lets one judgement of
    the past at a time keep a processor busy. ``whereabouts`` knows where a request's user is. ``flag_file`` is kept
    applied. ``telling`` are the notices on their way to the engine, by key.
    """

    flags: FlagStore
    rollouts: RolloutStore
    outcomes: OutcomeStore
    freezes: FreezeStore
    budgets: BudgetStore
    engine: Engine
    hub: Hub
    metrics: Metrics
    clock: Callable[[], datetime] = utc_now
    patience: float = 5.0
    whereabouts: Whereabouts = field(default_factory=Whereabouts)
    flag_file: FlagFile | None = None
    judging: asyncio.Lock = field(default_factory=asyncio.Lock)
    telling: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])


def services_of(request: Request) -> Services:
    """The services of the application that serves ``request``."""
    services = request.app.state.services
    if not isinstance(services, Services):
        raise TypeError("the application was built without services")
    return services
