"""``python -m workers``: run one worker until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from turnout.adapters.settings import read_settings
from turnout.domain.errors import TurnoutError
from workers.bootstrap import worker_of
from workers.temporal import connect, register_search_attributes

logger = logging.getLogger("turnout.worker")


async def run() -> None:
    """Connect, register, work; SIGTERM and Ctrl-C end it in order."""
    settings = read_settings(os.environ)
    client = await connect(os.environ, metrics_port=settings.metrics_port)
    await register_search_attributes(client)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with worker_of(client, settings, os.environ) as worker, worker:
        logger.info("worker is polling %s", worker.task_queue)
        await stop.wait()


def main() -> None:
    """Run the worker; the process ends without waiting for the SDK's threads, which can hang at exit."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # It logs every address that is asked, and the addresses of some channels are secrets.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    code = 0
    try:
        asyncio.run(run())
    except TurnoutError as error:
        logger.error("%s: %s", error.code, error)
        code = 2
    except Exception:
        logger.exception("the worker failed")
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
