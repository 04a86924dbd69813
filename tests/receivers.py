"""Real servers that notices are sent to: an HTTP endpoint and a mail server, each able to misbehave."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message


@dataclass(frozen=True)
class Posted:
    """A request that arrived; the names of ``headers`` are in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes


async def arrived(reader: asyncio.StreamReader) -> Posted:
    """The request that comes next."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    return Posted(head[0], headers, await reader.readexactly(int(headers.get("content-length", "0"))))


@dataclass
class Endpoint:
    """Keeps what is posted and gives ``answers`` in turn, 200 after the last; an answer of 0 never comes.

    All of them have the ``body``. ``url`` is an address of the server whose root is ``origin``.
    """

    url: str = ""
    origin: str = ""
    body: bytes = b"ok"
    answers: list[int] = field(default_factory=list[int])
    posted: list[Posted] = field(default_factory=list[Posted])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        self.posted.append(await arrived(reader))
        status = self.answers.pop(0) if self.answers else 200
        if status:
            head = f"HTTP/1.1 {status} x\r\nContent-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + self.body)
        else:
            await reader.read()
        writer.close()


@asynccontextmanager
async def endpoint(body: bytes = b"ok") -> AsyncIterator[Endpoint]:
    """An endpoint on a port of its own."""
    it = Endpoint(body=body)
    async with await asyncio.start_server(it.serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        it.origin = f"http://{host}:{port}"
        it.url = f"{it.origin}/hook"
        yield it
        server.close()


@dataclass
class MailServer:
    """As much of RFC 5321 as one mail takes, with STARTTLS and AUTH PLAIN when it has ``tls`` and ``users``.

    It refuses the addresses in ``strangers``, puts off as many mails as ``busy`` says, and with ``silent`` never
    greets.
    """

    port: int = 0
    tls: ssl.SSLContext | None = None
    users: dict[str, str] = field(default_factory=dict[str, str])
    strangers: set[str] = field(default_factory=set[str])
    busy: int = 0
    silent: bool = False
    mails: list[Message] = field(default_factory=list[Message])
    recipients: list[list[str]] = field(default_factory=list[list[str]])
    connections: int = 0
    encrypted: int = 0
    logins: list[str] = field(default_factory=list[str])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One session."""
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            if self.silent:
                await reader.read()
            else:
                await self._session(reader, writer)
        writer.close()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _say(writer, "220 mail.test")
        accepted, plain = list[str](), True
        while True:
            word, _, rest = (await reader.readuntil(b"\r\n")).decode().strip().partition(" ")
            match word.upper():
                case "EHLO":
                    offered = [*(["STARTTLS"] if self.tls and plain else []), *(["AUTH PLAIN"] if self.users else [])]
                    await _say(writer, *(f"250-{line}" for line in ("mail.test", *offered)), "250 8BITMIME")
                case "STARTTLS":
                    await _say(writer, "220 go on")
                    assert self.tls is not None
                    await writer.start_tls(self.tls)
                    plain, self.encrypted = False, self.encrypted + 1
                case "AUTH":
                    _, user, password = base64.b64decode(rest.split()[1]).decode().split("\0")
                    self.logins.append(user)
                    await _say(writer, "235 welcome" if self.users.get(user) == password else "535 no")
                case "MAIL":
                    put_off, self.busy = self.busy > 0, max(self.busy - 1, 0)
                    await _say(writer, "451 later" if put_off else "250 ok")
                case "RCPT":
                    address = rest.partition("<")[2].partition(">")[0]
                    known = address not in self.strangers
                    accepted += [address] if known else []
                    await _say(writer, "250 ok" if known else "550 no such user")
                case "DATA":
                    await _say(writer, "354 go on")
                    body = await reader.readuntil(b"\r\n.\r\n")
                    self.mails.append(message_from_bytes(body[:-5]))
                    self.recipients.append(accepted)
                    await _say(writer, "250 taken")
                case "QUIT":
                    await _say(writer, "221 bye")
                    return
                case _:
                    await _say(writer, "250 ok")


async def _say(writer: asyncio.StreamWriter, *lines: str) -> None:
    writer.write("".join(f"{line}\r\n" for line in lines).encode())
    await writer.drain()


@asynccontextmanager
async def mail_server(tls: ssl.SSLContext | None = None, **behaviour: object) -> AsyncIterator[MailServer]:
    """A mail server on a port of its own, on every address of this machine."""
    it = MailServer(tls=tls)
    for name, value in behaviour.items():
        setattr(it, name, value)
    async with await asyncio.start_server(it.serve, "0.0.0.0", 0) as server:
        it.port = int(server.sockets[0].getsockname()[1])
        yield it
        server.close()
