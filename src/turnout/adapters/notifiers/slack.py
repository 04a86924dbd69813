"""Slack, and what takes Slack's messages: text with one attachment, which all of them show.

Slack knows no idempotency key: the message ends with it, for whoever sees one twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import httpx

from turnout.adapters.exchange import Request
from turnout.adapters.notifiers._common import PATIENCE, address_of, post
from turnout.domain.channels import Slack, check_hook
from turnout.domain.notices import Notice, Severity

_COLOURS: Final[dict[Severity, str]] = {"info": "#2eb67d", "warning": "#ecb22e", "critical": "#e01e5a"}
_LONGEST: Final = 7000
"""Characters of an attachment; Slack cuts longer ones."""


class SlackNotifier:
    """A `turnout.ports.Notifier` for an incoming webhook. ``environ`` holds its address."""

    def __init__(self, channel: Slack, http: httpx.AsyncClient, environ: Mapping[str, str]) -> None:
        self._channel = channel
        self._http = http
        self._environ = environ

    async def send(self, notice: Notice) -> None:
        """See `Notifier.send`."""
        url = address_of(self._channel.slack, self._environ, "notify.slack", check_hook)
        headers = {"content-type": "application/json", "idempotency-key": notice.key}
        body = json.dumps(message(notice)).encode()
        await post(self._http, Request("POST", url, PATIENCE, body, headers, self._channel.label))


def message(notice: Notice) -> dict[str, Any]:
    """``notice`` as a message."""
    lines = [notice.text, *(f"• {line}" for line in notice.sentences[1:])]
    told = _escaped("\n".join(lines)[:_LONGEST])
    attachment = {
        "color": _COLOURS[notice.severity],
        "fallback": _escaped(notice.text[:_LONGEST]),
        "text": told,
        "footer": f"turnout {notice.key}",
        "ts": int(notice.at.timestamp()),
    }
    return {"text": _escaped(notice.title), "attachments": [attachment]}


def _escaped(text: str) -> str:
    """``text`` without the three signs that Slack gives a meaning: no name can mention a channel or hide a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
