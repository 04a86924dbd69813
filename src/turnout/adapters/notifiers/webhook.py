"""Any HTTP endpoint, told by signed POST requests.

The body is the notice as JSON. ``Idempotency-Key`` is its key, ``Turnout-Timestamp`` the time of this attempt (seconds
since 1970), ``Turnout-Signature`` as `turnout.adapters.signing` makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import httpx

from turnout.adapters.exchange import Request
from turnout.adapters.notifiers._common import PATIENCE, address_of, post, value_of
from turnout.adapters.signing import signed_headers
from turnout.domain.channels import Webhook, check_hook
from turnout.domain.notices import Notice


class WebhookNotifier:
    """A `turnout.ports.Notifier` for an endpoint. ``environ`` holds the secret."""

    def __init__(
        self,
        channel: Webhook,
        http: httpx.AsyncClient,
        environ: Mapping[str, str],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._channel = channel
        self._http = http
        self._environ = environ
        self._clock = clock

    async def send(self, notice: Notice) -> None:
        """See `Notifier.send`."""
        url = address_of(self._channel.webhook, self._environ, "notify.webhook", check_hook)
        secret = value_of(self._channel.secret, self._environ, "notify.secret")
        body = notice.model_dump_json().encode()
        headers = {
            "content-type": "application/json",
            "idempotency-key": notice.key,
            **signed_headers(secret, self._clock(), body),
        }
        await post(self._http, Request("POST", url, PATIENCE, body, headers, self._channel.label))
