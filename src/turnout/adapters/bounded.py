"""HTTP on behalf of a rollout, bounded in time and in size: what goes wrong becomes one error, the caller's choice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx

from turnout.domain.durations import format_duration
from turnout.domain.errors import TurnoutError

Failed = Callable[[str], TurnoutError]
"""Makes the error from its message."""


@asynccontextmanager
async def answering(who: str, limit: timedelta, failed: Failed) -> AsyncGenerator[None]:
    """Within it ``who`` has to answer completely within ``limit``; anything else raises what ``failed`` makes."""
    try:
        async with asyncio.timeout(limit.total_seconds()):
            yield
    except (TimeoutError, httpx.TimeoutException) as error:
        raise failed(f"{who} did not answer within {format_duration(limit)}") from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise failed(f"{who} gave no complete answer ({type(error).__name__}: {error})") from error


async def whole(parts: AsyncIterator[bytes], most: int, too_large: TurnoutError) -> bytes:
    """All of ``parts``; raises ``too_large`` beyond ``most`` bytes, before the rest is read."""
    read, size = list[bytes](), 0
    async for part in parts:
        size += len(part)
        if size > most:
            raise too_large
        read.append(part)
    return b"".join(read)
