"""Asks services for their health over HTTP."""

from __future__ import annotations

import asyncio

import httpx

from turnout.domain.durations import format_duration
from turnout.domain.health import HealthProbe, ProbeAnswer, Probed, judge

LARGEST_BODY = 64_000
"""Bytes of an answer that are read and judged; the rest is left unread."""


class HttpProber:
    """A `turnout.ports.Prober` by GET. Every probe opens a connection of its own: an open one says little of a server
    that no longer accepts new ones."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def probe(self, probe: HealthProbe) -> Probed:
        """Ask once and judge; whatever goes wrong is a bad answer with a reason."""
        try:
            async with asyncio.timeout(probe.timeout.total_seconds()):
                answer = await self._get(probe)
        except (TimeoutError, httpx.TimeoutException):
            answer = ProbeAnswer(failure=f"no answer within {format_duration(probe.timeout)}")
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            answer = ProbeAnswer(failure=f"no complete answer ({type(error).__name__}: {error})")
        return judge(probe.expect, answer)

    async def _get(self, probe: HealthProbe) -> ProbeAnswer:
        headers = {"connection": "close", "accept-encoding": "identity"}
        seconds = probe.timeout.total_seconds()
        async with self._http.stream(
            "GET", probe.url, headers=headers, follow_redirects=False, timeout=seconds
        ) as response:
            body = b""
            async for part in response.aiter_raw():
                body += part
                if len(body) > LARGEST_BODY:
                    break
            return ProbeAnswer(response.status_code, body[:LARGEST_BODY])
