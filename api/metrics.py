"""What the API counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from turnout.ports import Receipt
from turnout.resolver import Resolution


class Metrics:
    """The counters of one API process. Labels have few values: routes, not paths, and flags that exist."""

    def __init__(self) -> None:
        self._registry: Final = CollectorRegistry()
        self._requests: Final = Counter(
            "turnout_http_requests", "Requests answered", ["method", "route", "status"], registry=self._registry
        )
        self._evaluations: Final = Counter(
            "turnout_evaluations", "OFREP evaluations", ["flag", "variant"], registry=self._registry
        )
        self._outcomes: Final = Counter("turnout_outcomes", "Outcomes reported", ["result"], registry=self._registry)
        self._rejected: Final = Counter(
            "turnout_rejected_values", "Values outside their declared bounds", ["metric"], registry=self._registry
        )
        self._subscribers: Final = Gauge(
            "turnout_feed_subscribers", "Resolvers connected to the snapshot stream", registry=self._registry
        )
        self._revision: Final = Gauge(
            "turnout_published_revision", "Revision of the snapshot served", registry=self._registry
        )

    def request(self, method: str, route: str, status: int) -> None:
        """Count one answered request."""
        self._requests.labels(method, route, str(status)).inc()

    def evaluations(self, resolutions: Iterable[Resolution]) -> None:
        """Count evaluations of flags that exist; a disabled one has no variant."""
        for resolution in resolutions:
            if resolution.error_code is None:
                self._evaluations.labels(resolution.key, resolution.variant or "").inc()

    def outcomes(self, receipt: Receipt) -> None:
        """Count a batch of outcomes."""
        self._outcomes.labels("accepted").inc(receipt.accepted)
        self._outcomes.labels("duplicate").inc(receipt.duplicates)
        self._outcomes.labels("unknown").inc(receipt.unknown)
        for metric, count in receipt.rejected.items():
            self._rejected.labels(metric).inc(count)

    def text(self, subscribers: int, revision: int) -> bytes:
        """Everything in Prometheus's text format; the feed's numbers are those of now."""
        self._subscribers.set(subscribers)
        self._revision.set(revision)
        return generate_latest(self._registry)


class Counted:
    """ASGI middleware that counts answers by the route's template."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and count its answer when it begins."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answered = False

        async def counting(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start" and not answered:
                answered = True
                self._metrics.request(scope["method"], _route(scope), message["status"])
            await send(message)

        try:
            await self._app(scope, receive, counting)
        except Exception:
            if not answered:
                self._metrics.request(scope["method"], _route(scope), 500)
            raise


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "unmatched")
