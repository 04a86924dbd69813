"""What channels share: named secrets, posting, and blocking work that must not block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final

import httpx

from turnout.adapters.exchange import Request, send
from turnout.domain.durations import format_duration
from turnout.domain.errors import Unavailable
from turnout.domain.routing import is_reference, variable_of

PATIENCE: Final = timedelta(seconds=10)
"""How long one exchange with a channel may take."""

# Channels that hang must not take the threads that everything else of the process uses, such as for looking up names.
_THREADS: Final = ThreadPoolExecutor(max_workers=4, thread_name_prefix="turnout-notices")


def value_of(reference: str, environ: Mapping[str, str], field: str) -> str:
    """What the variable that ``reference`` (``$NAME``) names holds.

    Raises:
        Unavailable: it is not set here; it may be at another worker, or later.
    """
    name = variable_of(reference)
    value = environ.get(name)
    if not value:
        raise Unavailable(f"{field} needs the environment variable {name}, which is not set where it is sent")
    return value


def address_of(written: str, environ: Mapping[str, str], field: str, check: Callable[[str], str]) -> str:
    """``written``, or what the variable holds that it names, if ``check`` finds it an address.

    Raises:
        Unavailable: the variable is not set here, or holds no address; the message does not show it.
    """
    if not is_reference(written):
        return written
    try:
        return check(value_of(written, environ, field))
    except ValueError as error:
        raise Unavailable(f"{field}: what the environment variable {variable_of(written)} holds {error}") from None


async def post(http: httpx.AsyncClient, request: Request) -> None:
    """Send ``request``; any answer but 2xx is a failure, for what is refused today may be put right tomorrow.

    Raises:
        Unavailable: it was not taken.
    """
    answer = await send(http, request)
    if not httpx.codes.is_success(answer.status):
        raise Unavailable(f"{request.name} does not take the notice: status {answer.status}, {answer.excerpt}")


async def in_thread(who: str, work: Callable[[], None], give_up: Callable[[], None] = lambda: None) -> None:
    """Do blocking ``work`` beside everything else; after `PATIENCE` ``give_up`` has to make it end.

    Raises:
        Unavailable: it took too long.
        Exception: what ``work`` raises.
    """
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            await asyncio.get_running_loop().run_in_executor(_THREADS, work)
    except TimeoutError as error:
        raise Unavailable(f"{who} was not done within {format_duration(PATIENCE)}") from error
    finally:
        give_up()
