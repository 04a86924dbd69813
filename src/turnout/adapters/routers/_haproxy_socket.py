"""One line of commands to HAProxy's runtime API, over a Unix or a TCP socket."""

from __future__ import annotations

import asyncio

from turnout.domain.durations import format_duration
from turnout.domain.errors import Unavailable
from turnout.domain.routing import Haproxy

_LARGEST_ANSWER = 4_000_000


async def ask(config: Haproxy, line: str) -> str:
    """Send ``line`` (commands with ``;`` between them) and return all that is answered until HAProxy closes.

    Raises:
        Unavailable: no connection, no end of the answer within the timeout, or no answer at all.
    """
    try:
        async with asyncio.timeout(config.timeout.total_seconds()):
            answer = await _exchange(config.socket, line)
    except TimeoutError as error:
        took = format_duration(config.timeout)
        raise Unavailable(f"HAProxy at {config.socket} did not answer within {took}") from error
    except OSError as error:
        raise Unavailable(f"HAProxy at {config.socket} is out of reach ({error})") from error
    # Every command answers with a line at least.
    if not answer:
        raise Unavailable(f"HAProxy at {config.socket} closed the connection without an answer")
    return answer.decode("utf-8", "replace")


async def _exchange(socket: str, line: str) -> bytes:
    reader, writer = await _connected(socket)
    try:
        writer.write(line.encode() + b"\n")
        await writer.drain()
        return await _until_end(reader)
    finally:
        writer.close()


async def _until_end(reader: asyncio.StreamReader) -> bytes:
    answer = b""
    while part := await reader.read(65536):
        answer += part
        if len(answer) > _LARGEST_ANSWER:
            raise OSError("it answers without an end")
    return answer


async def _connected(socket: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if socket.startswith("/"):
        return await asyncio.open_unix_connection(socket)
    host, _, port = socket.rpartition(":")
    return await asyncio.open_connection(host.strip("[]"), int(port))
