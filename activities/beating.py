"""Heartbeats of an activity, so that its worker's death is noticed soon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from temporalio import activity

_EVERY: Final = 1.0


@asynccontextmanager
async def heartbeats(details: Callable[[], object] = lambda: None) -> AsyncGenerator[None]:
    """Beat every second while the block runs; each beat carries what ``details`` gives at that moment."""
    task = asyncio.create_task(_beat(details))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _beat(details: Callable[[], object]) -> None:
    while True:
        activity.heartbeat(details())
        await asyncio.sleep(_EVERY)
