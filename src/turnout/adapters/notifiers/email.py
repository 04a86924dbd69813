"""Mail by SMTP.

``Message-ID`` follows from the notice's key, so that mail systems can tell a second copy from a second notice.
"""

from __future__ import annotations

import contextlib
import logging
import re
import smtplib
import socket
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from turnout.adapters.notifiers._common import PATIENCE, address_of, in_thread
from turnout.adapters.settings import is_loopback
from turnout.domain.channels import Email, check_smtp
from turnout.domain.errors import Unavailable
from turnout.domain.notices import Notice

_PORTS: Final = {"smtp": 587, "smtps": 465}
_log = logging.getLogger("turnout.notifiers")


class EmailNotifier:
    """A `turnout.ports.Notifier` for mail. ``environ`` holds the server's address where the channel only names it."""

    def __init__(self, channel: Email, environ: Mapping[str, str]) -> None:
        self._channel = channel
        self._environ = environ

    async def send(self, notice: Notice) -> None:
        """See `Notifier.send`. Mail that the server takes for some of the addresses counts as sent."""
        server = urlsplit(address_of(self._channel.smtp, self._environ, "notify.smtp", check_smtp))
        delivery = _Delivery(server, mail(notice, self._channel))
        who = f"the mail server at {server.hostname}"
        try:
            await in_thread(who, delivery.work, delivery.give_up)
        except smtplib.SMTPRecipientsRefused as error:
            raise Unavailable(f"{who} refuses every address: {_refusals(error.recipients)}") from error
        except (OSError, smtplib.SMTPException) as error:
            raise Unavailable(f"{who} has not taken the mail ({type(error).__name__}: {error})") from error


def mail(notice: Notice, channel: Email) -> EmailMessage:
    """``notice`` as a mail."""
    message = EmailMessage()
    message["From"] = channel.written_by
    message["To"] = ", ".join(channel.email)
    message["Subject"] = f"[{notice.severity}] {notice.title}" if notice.severity != "info" else notice.title
    message["Date"] = format_datetime(notice.at)
    message["Message-ID"] = f"<{re.sub('[^A-Za-z0-9.-]', '.', notice.key)}@{channel.written_by.partition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Turnout-Key"] = notice.key
    message.set_content("\n\n".join((*notice.sentences, f"-- \nturnout {notice.key}")) + "\n")
    return message


class _Delivery:
    """One session with a mail server, which another thread can end."""

    def __init__(self, server: SplitResult, message: EmailMessage) -> None:
        self._server = server
        self._message = message
        kind = smtplib.SMTP_SSL if server.scheme == "smtps" else smtplib.SMTP
        # Made before it connects, so that `give_up` can reach it while it waits for the greeting.
        self._session: smtplib.SMTP = kind.__new__(kind)

    def work(self) -> None:
        """Connect, encrypt, log in where there are credentials, and hand the mail over."""
        server, tls = self._server, ssl.create_default_context()
        host, port = server.hostname or "", server.port or _PORTS[server.scheme]
        with_tls = {"context": tls} if isinstance(self._session, smtplib.SMTP_SSL) else {}
        self._session.__init__(host, port, timeout=PATIENCE.total_seconds(), **with_tls)  # type: ignore[misc]
        with self._session as session:
            encrypted = bool(with_tls)
            session.ehlo_or_helo_if_needed()
            if not encrypted and session.has_extn("starttls"):
                session.starttls(context=tls)
                encrypted = True
            if server.username is not None:
                if not encrypted and not is_loopback(host):
                    raise smtplib.SMTPNotSupportedError("it offers no encryption, and the password is not sent without")
                session.login(unquote(server.username), unquote(server.password or ""))
            refused = session.send_message(self._message)
        if refused:
            _log.warning("the mail server at %s refuses some addresses: %s", host, _refusals(refused))

    def give_up(self) -> None:
        """End the session at once, whatever it waits for; after its end nothing."""
        if self._session.sock is not None:
            with contextlib.suppress(OSError):
                self._session.sock.shutdown(socket.SHUT_RDWR)


def _refusals(refused: Mapping[str, tuple[int, bytes]]) -> str:
    return "; ".join(f"{to}: {code} {why.decode('utf-8', 'replace')}" for to, (code, why) in refused.items())
