"""What moves traffic outside of Turnout: one file a kind of router, one line here for each.

A new kind is a model in `turnout.domain.routing`, a file with its `TrafficRouter`, and a case in `router_of`.
"""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from turnout.adapters.routers.caddy import CaddyRouter
from turnout.adapters.routers.haproxy import HaproxyRouter
from turnout.adapters.routers.webhook import WebhookRouter
from turnout.domain import routing
from turnout.ports import TrafficRouter

__all__ = ["CaddyRouter", "HaproxyRouter", "WebhookRouter", "router_of"]


def router_of(config: routing.Router, http: httpx.AsyncClient, environ: Mapping[str, str]) -> TrafficRouter | None:
    """The router that ``config`` describes; None for ``kind: resolver``, where there is nothing outside to move.

    ``environ`` holds what a ``$NAME`` in ``config`` stands for. The caller keeps ``http`` open.
    """
    match config:
        case routing.Caddy():
            return CaddyRouter(config, http)
        case routing.Haproxy():
            return HaproxyRouter(config)
        case routing.Webhook():
            return WebhookRouter(config, http, environ)
        case routing.Resolver():
            return None
