"""The prober against a real server that answers whatever a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from turnout.adapters.probing import HttpProber
from turnout.domain.health import HealthProbe


@dataclass
class Server:
    """Sends ``answer`` to every connection, and never closes one that ``stalls``."""

    url: str = ""
    answer: bytes = b""
    stalls: bool = False
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self.answer)
        if self.stalls:
            await reader.read()
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    it = Server()
    async with await asyncio.start_server(it.serve, "127.0.0.1", 0) as listener:
        host, port = listener.sockets[0].getsockname()
        it.url = f"http://{host}:{port}/healthz"
        yield it


def answer(body: bytes, status: str = "200 OK", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\nLocation: /x\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (answer(b"all ok"), ""),
        (answer(b"no"), "the body does not contain 'ok'"),
        (answer(b"ok", "503 Service Unavailable"), "status 503, expected 200"),
        (answer(b"ok", "302 Found"), "status 302, expected 200"),
        (answer(b"ok" + b"x" * 100_000), ""),
        (answer(b"x" * 100_000 + b"ok"), "the body does not contain 'ok'"),
        (answer(b"ok", length=10), "no complete answer (RemoteProtocolError"),
        (b"SSH-2.0\r\n\r\n", "no complete answer (RemoteProtocolError"),
    ],
)
async def test_probing(server: Server, sent: bytes, reason: str) -> None:
    """Whatever a service does is a judged answer with its reason, and each probe opens a connection."""
    server.answer = sent
    probe = HealthProbe.model_validate({"url": server.url, "expect": {"body": "ok"}})
    async with httpx.AsyncClient(trust_env=False) as http:
        for _ in range(2):
            probed = await HttpProber(http).probe(probe)
            assert probed.ok == (not reason)
            assert probed.reason.startswith(reason)
    assert server.connections == 2


async def test_silence_and_absence(server: Server) -> None:
    """A service that never ends its answer, or is not there, is bad, not an error."""
    server.stalls = True
    async with httpx.AsyncClient(trust_env=False) as http:
        stalled = HealthProbe.model_validate({"url": server.url, "timeout": "200ms"})
        assert (await HttpProber(http).probe(stalled)).reason == "no answer within 0.2s"
        absent = HealthProbe.model_validate({"url": "http://127.0.0.1:1/"})
        assert (await HttpProber(http).probe(absent)).reason.startswith("no complete answer (ConnectError")
