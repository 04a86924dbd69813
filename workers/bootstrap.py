"""The composition root of the worker: which technology stands behind which port."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import httpx
from temporalio.client import Client
from temporalio.worker import Worker

from activities.calendar import Calendar
from activities.journal import StoreJournal
from activities.lookout import StageLookout
from activities.notices import ChannelHerald
from activities.routing import SteeredRouting
from turnout.adapters.notifiers import notifier_of
from turnout.adapters.routers import router_of
from turnout.adapters.settings import Settings
from turnout.adapters.sources import sources
from turnout.adapters.sources.panel import Panel
from turnout.adapters.sql import open_stores
from turnout.adapters.steering import Steering
from workers.worker import build_worker


@asynccontextmanager
async def worker_of(client: Client, settings: Settings, environ: Mapping[str, str]) -> AsyncGenerator[Worker]:
    """The worker as settings describe it; closes what it opened."""
    # Channels that hang have connections of their own: metric sources must not wait for one.
    async with (
        open_stores(settings.database_url) as stores,
        httpx.AsyncClient() as http,
        httpx.AsyncClient() as telling,
    ):
        steering = Steering(lambda config: router_of(config, http, environ))
        panel = Panel(sources(stores.outcomes, http, environ, steering))
        calendar = Calendar(stores.freezes)
        journal = StoreJournal(stores.flags, stores.rollouts, calendar)
        herald = ChannelHerald(stores.rollouts, lambda channel: notifier_of(channel, telling, environ))
        lookout = StageLookout(panel, stores.rollouts, calendar)
        yield build_worker(client, journal, lookout, herald, SteeredRouting(steering))
