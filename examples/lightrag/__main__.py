"""``python -m examples.lightrag serve | migrate | try``: the service, its migration, and both at once with people."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import httpx
import uvicorn
from pydantic import ValidationError

from turnout import Turnout

from .app import create_app
from .migration import Migration
from .patterns import flags_of
from .people import People
from .running import Service
from .settings import PATTERNS, Settings

_TURNOUT: Final = "http://127.0.0.1:8080"
_PATIENCE_S: Final = 180.0
_LOOK_S: Final = 0.2
_FEWEST: Final = 500
_KEEP_ALIVE_S: Final = 75
"""Longer than most clients and proxies keep an idle connection, so that it is not this side that closes it."""


def main(argv: Sequence[str] | None = None) -> int:
    """0 when done, 1 when Turnout or the service failed, 2 for settings that make no sense."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.stderr.write(f"examples.lightrag: {error}\n")
        return 2
    options = _arguments(argv, settings)
    try:
        if options.command == "serve":
            return _serve(settings, options)
        with _controller(options.url) as http:
            return _migrate(Migration(http), options) if options.command == "migrate" else _try(http, options)
    except (httpx.HTTPError, RuntimeError, TimeoutError) as error:
        sys.stderr.write(f"examples.lightrag: {_told(error)}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    with socket.create_server((settings.host, options.port)) as listening, Turnout(options.url) as turnout:
        url = "http://{}:{}".format(*listening.getsockname()[:2])
        print(json.dumps({"url": url}) if options.output == "json" else f"listening at {url}", flush=True)
        app = create_app(settings, turnout)
        config = uvicorn.Config(app, log_level="warning", timeout_keep_alive=_KEEP_ALIVE_S)
        uvicorn.Server(config).run(sockets=[listening])
    return 0


def _migrate(migration: Migration, options: argparse.Namespace) -> int:
    migration.publish(options.pattern)
    rollout = migration.start(options.pattern, options.service, quick=options.quick)
    if rollout is None:
        print(f"published {', '.join(flags_of(options.pattern)['flags'])}; there is no rollout to follow")
    else:
        print(f"started {rollout['strategy']}; follow it with: turnout watch {rollout['flag']}")
    return 0


def _try(http: httpx.Client, options: argparse.Namespace) -> int:
    migration = Migration(http)
    with Service(options.url) as service:
        migration.forget()
        migration.publish(options.pattern)
        started = migration.start(options.pattern, service.url, quick=True)
        with People(service.url) as people:
            if started is not None:
                migration.end(_PATIENCE_S)
            while people.replies.total() < _FEWEST:
                time.sleep(_LOOK_S)
    for line in (*(_decided(migration.report()) if started is not None else ()), *_answered(people.replies)):
        print(line)
    return 0


def _decided(report: dict[str, Any]) -> Iterator[str]:
    yield from (f"{change['at'][11:19]}  {change['text']}" for change in report["changes"])
    found = report["experiment"]
    if found is not None and found["recommendation"] is not None:
        yield "recommended: {action}: {reason}".format_map(found["recommendation"])


def _answered(replies: Counter[tuple[str, str]]) -> Iterator[str]:
    yield from (f"{count:>8,}  {served_by} ({reason})" for (served_by, reason), count in replies.most_common())


def _controller(url: str) -> httpx.Client:
    token = os.environ.get("TURNOUT_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {"X-Turnout-Actor": "clinic"}
    return httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False)


def _arguments(argv: Sequence[str] | None, settings: Settings) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.lightrag", description=__doc__)
    parser.add_argument("--url", default=os.environ.get("TURNOUT_URL", _TURNOUT), help="Turnout's API [%(default)s]")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="answer questions over HTTP")
    serve.add_argument("--port", type=int, default=settings.port, help="0 is any free one [%(default)s]")
    serve.add_argument("--output", choices=("text", "json"), default="text", help="json: one line with the address")
    migrate = commands.add_parser("migrate", help="publish the flags and start the rollout of a pattern")
    trying = commands.add_parser("try", help="a pattern from start to end within seconds, with simulated people")
    for command in (migrate, trying):
        help = "how people move to LightRAG [CLINIC_PATTERN, or %(default)s]"
        command.add_argument("pattern", choices=PATTERNS, nargs="?", default=settings.pattern, help=help)
    migrate.add_argument("--service", default=f"http://127.0.0.1:{settings.port}", help="[%(default)s]")
    migrate.add_argument("--quick", action="store_true", default=settings.quick, help="within seconds")
    return parser.parse_args(argv)


def _told(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.text
    return str(error) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
