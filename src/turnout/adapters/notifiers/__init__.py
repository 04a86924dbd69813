"""How people are told what a rollout does: one file a kind of channel, one line here for each.

A new kind is a model in `turnout.domain.channels`, a file with its `Notifier`, and a case in `notifier_of`.
"""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from turnout.adapters.notifiers.email import EmailNotifier
from turnout.adapters.notifiers.slack import SlackNotifier
from turnout.adapters.notifiers.stdout import StdoutNotifier
from turnout.adapters.notifiers.webhook import WebhookNotifier
from turnout.domain import channels
from turnout.ports import Notifier

__all__ = ["EmailNotifier", "SlackNotifier", "StdoutNotifier", "WebhookNotifier", "notifier_of"]


def notifier_of(channel: channels.Channel, http: httpx.AsyncClient, environ: Mapping[str, str]) -> Notifier:
    """The notifier of ``channel``.

    ``environ`` holds what a ``$NAME`` in ``channel`` stands for. The caller keeps ``http`` open.
    """
    match channel:
        case channels.Slack():
            return SlackNotifier(channel, http, environ)
        case channels.Webhook():
            return WebhookNotifier(channel, http, environ)
        case channels.Email():
            return EmailNotifier(channel, environ)
        case channels.Stdout():
            return StdoutNotifier()
