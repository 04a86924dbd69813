"""``python -m api``: serve the HTTP API until it is told to stop. Settings come from the environment."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping

import uvloop

from api.app import create_app
from api.engine import TemporalEngine
from api.feed import Hub
from api.flagfile import FlagFile
from api.metrics import Metrics
from api.server import Server
from api.services import Services, utc_now
from api.whereabouts import whereabouts
from turnout.adapters.settings import Settings, read_settings
from turnout.adapters.sql import open_stores
from turnout.domain.errors import TurnoutError

logger = logging.getLogger("turnout.api")

EXIT_STOPPED, EXIT_FAILED, EXIT_REFUSED = 0, 1, 2


async def run(settings: Settings, environ: Mapping[str, str]) -> None:
    """Serve until SIGTERM or Ctrl-C; Temporal is connected to when first needed."""
    async with open_stores(settings.database_url) as stores:
        services = Services(
            flags=stores.flags,
            rollouts=stores.rollouts,
            outcomes=stores.outcomes,
            freezes=stores.freezes,
            budgets=stores.budgets,
            engine=TemporalEngine(environ),
            hub=Hub(stores.flags, settings.feed_interval, utc_now, environ),
            metrics=Metrics(),
            whereabouts=whereabouts(settings.geo),
            flag_file=FlagFile(settings.flags_file, stores.flags, utc_now) if settings.flags_file else None,
        )
        server = Server(create_app(services, settings.tokens), settings.host, settings.port, _announce)
        _stop_on_signals(server)
        await server.serve()


def main() -> int:
    """Run the API; 0: stopped, 1: failed, 2: refused to start."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    try:
        settings = read_settings(os.environ)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(settings, os.environ))
    except TurnoutError as error:
        logger.error("%s: %s", error.code, error)
        return EXIT_REFUSED
    except SystemExit:
        # uvicorn's word for an address it cannot listen on, or an application that does not start.
        return EXIT_FAILED
    except Exception:
        logger.exception("the API failed")
        return EXIT_FAILED
    return EXIT_STOPPED


def _announce(url: str) -> None:
    sys.stdout.write(f"Turnout API listening on {url}\n")
    sys.stdout.flush()


def _stop_on_signals(server: Server) -> None:
    def stop() -> None:
        # A second signal does not wait for requests that are being answered.
        server.force_exit = server.should_exit
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # The Temporal SDK's threads can hang or abort the interpreter's ordinary way out.
    os._exit(code)
