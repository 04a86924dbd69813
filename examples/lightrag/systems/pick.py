"""Which systems a service asks, by the variants of its flag."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import httpx

from examples.lightrag.settings import Settings

from . import Ask
from .lightrag import LightRag
from .local import local_systems
from .perplexity import Perplexity


@asynccontextmanager
async def opened(settings: Settings) -> AsyncGenerator[dict[str, Ask]]:
    """The systems that ``settings`` name, for the time of the context."""
    if settings.systems == "local":
        yield local_systems()
        return
    async with AsyncExitStack() as stack:
        # The guarded call has the time limit of the whole; what connects too slowly is given up before.
        one, other = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=settings.timeout_s))
            for url in (settings.perplexity_url, settings.lightrag_url)
        ]
        web = Perplexity(one, settings.perplexity_api_key.get_secret_value(), settings.perplexity_preset)
        graph = LightRag(other, settings.lightrag_api_key.get_secret_value(), settings.lightrag_price)
        yield {
            "perplexity": web.ask,
            "lightrag": partial(graph.ask, mode="hybrid"),
            "lightrag-mix": partial(graph.ask, mode="mix"),
        }
