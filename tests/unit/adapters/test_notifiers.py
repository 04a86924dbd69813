"""Notifiers against real servers: what arrives, and what becomes of a channel that does not take it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import json
import os
import re
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import Message
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from tests.receivers import Endpoint, MailServer, endpoint, mail_server
from turnout.adapters.notifiers import StdoutNotifier, WebhookNotifier, notifier_of
from turnout.domain.channels import Channel, Webhook
from turnout.domain.errors import Unavailable
from turnout.domain.notices import Notice
from turnout.domain.rollout import State
from turnout.domain.verdicts import Check, Verdict

ROOT = Path(__file__).parents[3]
AT = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)
SECRET = "a-secret-of-the-hook"
CHECK = Check(
    gate="error_rate ≤ 0.1",
    metric="error_rate",
    role="guardrail",
    verdict=Verdict.FAIL,
    text="error_rate is 13.3 % (anytime 93.75 % interval 8.4–19.4 %, 450 outcomes of 450 users), above 10 %",
    value=0.133,
    low=0.084,
    high=0.194,
)
NOTICE = Notice(
    key="r-1:7",
    event="rolled_back",
    severity="critical",
    at=AT,
    flag="engine",
    rollout_id="r-1",
    seq=7,
    strategy="canary",
    stable="old",
    candidate="new",
    state=State.ROLLED_BACK,
    stage=1,
    stages=("5 %", "50 %", "100 %"),
    share=0.0,
    title="engine: rolled back, everybody is back on old",
    text="guardrail failed: <!channel> & more",
    advice="turnout history engine has the whole story",
    verdict=Verdict.FAIL,
    checks=(CHECK,),
)


def channel(**fields: Any) -> Channel:
    """A channel as a person writes it."""
    parsed: Channel = TypeAdapter(Channel).validate_python(fields)
    return parsed


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


@pytest.fixture
async def hook() -> AsyncIterator[Endpoint]:
    async with endpoint() as it:
        yield it


@contextmanager
def impatience() -> Generator[None]:
    """Channels get 200 ms."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("_common", "slack", "webhook", "email"):
            patch.setattr(f"turnout.adapters.notifiers.{module}.PATIENCE", timedelta(milliseconds=200))
        yield


@pytest.fixture
def impatient() -> Generator[None]:
    """Channels get 200 ms throughout a test."""
    with impatience():
        yield


async def test_a_webhook_gets_a_signed_notice(http: httpx.AsyncClient, hook: Endpoint) -> None:
    """The body is the whole notice; the signature is that of the time and the body, as the documentation checks it."""
    to = channel(webhook=hook.url, secret="$HOOK")
    assert isinstance(to, Webhook)
    await WebhookNotifier(to, http, {"HOOK": SECRET}, lambda: AT).send(NOTICE)
    (got,) = hook.posted
    assert got.line == "POST /hook HTTP/1.1"
    assert Notice.model_validate_json(got.body) == NOTICE
    assert got.headers["idempotency-key"] == "r-1:7"
    timestamp = got.headers["turnout-timestamp"]
    assert timestamp == str(int(AT.timestamp()))
    expected = hmac.new(SECRET.encode(), f"{timestamp}.".encode() + got.body, hashlib.sha256).hexdigest()
    assert got.headers["turnout-signature"] == f"v1={expected}"


async def test_the_documented_check_of_the_signature(http: httpx.AsyncClient, hook: Endpoint) -> None:
    """The code in docs/notifications.md takes what is sent now, and nothing that was altered, forged or kept."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/notifications.md").read_text(), re.DOTALL)
    page: dict[str, Any] = {"hmac": hmac, "hashlib": hashlib, "time": time, "Mapping": Mapping}
    exec(code, page)
    to = channel(webhook=hook.url, secret="$HOOK")
    assert isinstance(to, Webhook)
    await WebhookNotifier(to, http, {"HOOK": SECRET}).send(NOTICE)
    await WebhookNotifier(to, http, {"HOOK": SECRET}, lambda: AT).send(NOTICE)
    now, old = ({key.title(): value for key, value in got.headers.items()} for got in hook.posted)
    body, secret = hook.posted[0].body, SECRET.encode()
    assert page["genuine"](secret, now, body)
    assert not page["genuine"](secret, now, body.replace(b"critical", b"harmless"))
    assert not page["genuine"](b"another", now, body)
    assert not page["genuine"](secret, old, body)


async def test_slack_gets_a_message_that_mentions_nobody(http: httpx.AsyncClient, hook: Endpoint) -> None:
    """A headline, and an attachment with the estimates, the advice and the key; no text can ring a channel's bell."""
    await notifier_of(channel(slack="$SLACK"), http, {"SLACK": hook.url}).send(NOTICE)
    message = json.loads(hook.posted[0].body)
    (attachment,) = message["attachments"]
    assert message["text"] == NOTICE.title
    assert attachment["text"].splitlines() == [
        "guardrail failed: &lt;!channel&gt; &amp; more",
        f"• fail: {CHECK.text}",
        "• turnout history engine has the whole story",
    ]
    assert (attachment["color"], attachment["footer"]) == ("#e01e5a", "turnout r-1:7")


async def test_stdout_gets_a_line_of_json() -> None:
    """Which is the notice."""
    stream = io.StringIO()
    await StdoutNotifier(stream).send(NOTICE)
    assert Notice.model_validate_json(stream.getvalue()) == NOTICE
    assert stream.getvalue().count("\n") == 1


async def test_a_pipe_that_nobody_reads_blocks_only_itself(impatient: None) -> None:
    """The channel gives up in time while the process goes on."""
    reading, writing = os.pipe()
    os.set_blocking(writing, True)
    with open(writing, "w") as full:
        text = NOTICE.model_copy(update={"text": "x" * 200_000})
        with pytest.raises(Unavailable, match=r"stdout was not done within 0\.2s"):
            await StdoutNotifier(full).send(text)
        drained = asyncio.get_running_loop().run_in_executor(None, lambda: _read_all(reading))
        full.flush()
    assert len(await drained) > 200_000


def _read_all(pipe: int) -> bytes:
    with open(pipe, "rb") as stream:
        return stream.read()


@pytest.mark.parametrize("kind", ["slack", "webhook"])
@pytest.mark.parametrize("status", [302, 404, 429, 500])
async def test_what_a_channel_refuses_may_be_sent_again(
    http: httpx.AsyncClient, hook: Endpoint, kind: str, status: int
) -> None:
    """Any answer but 2xx is worth another attempt, under the same key; a secret address is not told."""
    hook.answers = [status]
    fields = {"slack": "$URL"} if kind == "slack" else {"webhook": "$URL", "secret": "$HOOK"}
    notifier = notifier_of(channel(**fields), http, {"URL": hook.url, "HOOK": SECRET})
    with pytest.raises(Unavailable, match=rf"\$URL.* does not take the notice: status {status}, ok") as refused:
        await notifier.send(NOTICE)
    assert refused.value.retryable
    assert hook.url not in str(refused.value)
    await notifier.send(NOTICE)
    assert [got.headers["idempotency-key"] for got in hook.posted] == ["r-1:7", "r-1:7"]


async def test_a_channel_that_hangs_or_is_not_there(impatient: None, http: httpx.AsyncClient, hook: Endpoint) -> None:
    """It is left in time, and said not to answer."""
    hook.answers = [0]
    with pytest.raises(Unavailable, match=r"slack \(\$URL\) did not answer within 0\.2s"):
        await notifier_of(channel(slack="$URL"), http, {"URL": hook.url}).send(NOTICE)
    with pytest.raises(Unavailable, match=r"slack \(\$URL\) gave no complete answer \(ConnectError"):
        await notifier_of(channel(slack="$URL"), http, {"URL": "http://127.0.0.1:1/hook"}).send(NOTICE)


@pytest.mark.parametrize(
    ("fields", "environ", "message"),
    [
        ({"slack": "$A"}, {}, r"notify\.slack needs the environment variable A"),
        ({"slack": "$A"}, {"A": "hooks/T0KEN"}, r"notify\.slack: .* variable A holds is not an address"),
        ({"webhook": "$A", "secret": "$B"}, {"A": "http://h/x"}, r"notify\.secret needs the environment variable B"),
        ({"email": "a@b.c", "smtp": "${A}"}, {"A": "h:T0KEN"}, r"notify\.smtp: .* variable A holds is no mail server"),
    ],
)
async def test_what_the_environment_lacks(
    http: httpx.AsyncClient, fields: dict[str, Any], environ: Mapping[str, str], message: str
) -> None:
    """The variable is named, its value is not; another worker may have it, so it is worth another attempt."""
    with pytest.raises(Unavailable, match=message) as missing:
        await notifier_of(channel(**fields), http, environ).send(NOTICE)
    assert "T0KEN" not in str(missing.value)


async def mailed(server: MailServer, **more: Any) -> None:
    """Send the notice by ``server``."""
    fields = {"email": "ops@example.org", "smtp": f"smtp://127.0.0.1:{server.port}", **more}
    environ = {"SMTP": str(fields.pop("at", ""))}
    async with httpx.AsyncClient() as http:
        await notifier_of(channel(**fields), http, environ).send(NOTICE)


async def test_mail() -> None:
    """One mail to all, which says what happened and can be told from another copy of itself by its id."""
    async with mail_server() as server:
        to = ["ops@example.org", "night@example.org"]
        await mailed(server, email=to)
        await mailed(server, email=to, **{"from": "robot@example.net"})
    assert server.recipients == [to, to]
    first, second = server.mails
    assert first["Subject"] == "[critical] engine: rolled back, everybody is back on old"
    assert (first["From"], first["To"]) == ("turnout@example.org", "ops@example.org, night@example.org")
    assert (first["Message-ID"], first["X-Turnout-Key"]) == ("<r-1.7@example.org>", "r-1:7")
    assert second["From"] == "robot@example.net"
    text = body_of(first)
    assert all(sentence in text for sentence in NOTICE.sentences)


def body_of(mail: Message) -> str:
    """The text of a mail, its lines joined again."""
    payload = mail.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


async def test_mail_that_is_put_off_or_refused() -> None:
    """Put off by the server, it may be sent again; refused for some, it is sent; refused for all, it is not."""
    async with mail_server(busy=1, strangers={"gone@example.org"}) as server:
        with pytest.raises(Unavailable, match=r"has not taken the mail \(SMTPSenderRefused: \(451, b'later'"):
            await mailed(server)
        await mailed(server, email=["gone@example.org", "ops@example.org"])
        with pytest.raises(Unavailable, match=r"refuses every address: gone@example\.org: 550 no such user"):
            await mailed(server, email="gone@example.org")
    assert server.recipients == [["ops@example.org"]]


async def test_a_mail_server_that_hangs_is_left() -> None:
    """In time, and by the thread that waits for it, too: more mails hang than there are threads, and the next goes."""
    async with mail_server(silent=True) as server:
        for _ in range(6):
            with impatience(), pytest.raises(Unavailable, match=r"was not done within|has not taken the mail"):
                await mailed(server)
        assert server.connections
        server.silent = False
        await mailed(server)
    assert len(server.mails) == 1
    with pytest.raises(Unavailable, match=r"ConnectionRefusedError"):
        await mailed(server)


async def test_a_password_is_sent_encrypted_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With STARTTLS the server is verified, then logged in to; without, only on this machine."""
    tls = certificate(tmp_path)
    at = "smtp://robot:pass%20word@localhost:{}"
    async with mail_server(tls, users={"robot": "pass word"}) as server:
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await mailed(server, smtp="$SMTP", at=at.format(server.port))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        await mailed(server, smtp="$SMTP", at=at.format(server.port))
        assert (server.encrypted, server.logins, len(server.mails)) == (1, ["robot"], 1)
    async with mail_server(users={"robot": "pass word"}) as server:
        with pytest.raises(Unavailable, match="offers no encryption"):
            await mailed(server, smtp="$SMTP", at=at.format(server.port).replace("localhost", "0.0.0.0"))
        assert server.logins == []
        await mailed(server, smtp="$SMTP", at=at.format(server.port))
        with pytest.raises(Unavailable, match="SMTPAuthenticationError") as wrong:
            await mailed(server, smtp="$SMTP", at=f"smtp://robot:sesame@localhost:{server.port}")
        assert "sesame" not in str(wrong.value)


def certificate(folder: Path) -> ssl.SSLContext:
    """A server's side of TLS for localhost, with a certificate that vouches for itself in ``cert.pem``."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context
