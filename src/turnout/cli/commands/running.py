"""turnout up and demo: programs of the checkout, run in place of this one."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from typing import Annotated, NoReturn

import typer

from turnout.cli.command import command
from turnout.cli.failures import ExitCode, Failure
from turnout.cli.health import server_parts
from turnout.cli.session import Session

PortOption = Annotated[
    int | None, typer.Option(help="Port of the API, 0: any free one. [env: TURNOUT_PORT; 8080]", min=0, max=65535)
]


def add_to(app: typer.Typer, panel: str) -> None:
    """Add the commands of this file to ``app``."""
    command(app, "up", panel)(up)
    command(app, "demo", panel)(demo)


def up(
    session: Session,
    data: Annotated[str | None, typer.Option(help="Data directory. [env: TURNOUT_DATA; .turnout]")] = None,
    host: Annotated[str | None, typer.Option(help="Address of the API. [env: TURNOUT_HOST; 127.0.0.1]")] = None,
    port: PortOption = None,
    flags: Annotated[
        str | None,
        typer.Option(help="Flag file to keep applied, now and after every change of it. [env: TURNOUT_FLAGS_FILE]"),
    ] = None,
    ui: Annotated[bool, typer.Option("--ui/--no-ui", help="Serve Temporal's web page.")] = True,
) -> None:
    """Run Turnout on this machine: a Temporal server, a worker and the API, until Ctrl-C.

    A later start on the same data directory continues every open rollout.
    """
    given = {"--data": data, "--host": host, "--port": port, "--flags": flags, "--output": _output(session)}
    options = _written(given)
    become("workers.up", [*options, *([] if ui else ["--no-ui"])], "turnout up")


def demo(
    session: Session,
    data: Annotated[str | None, typer.Option(help="Keep everything in this new directory. [none is kept]")] = None,
    users: Annotated[int | None, typer.Option(help="Simulated users. [400]")] = None,
    rate: Annotated[int | None, typer.Option(help="Questions a second. [300]")] = None,
    documents: Annotated[int | None, typer.Option(help="Index only the first so many. [all]")] = None,
) -> None:
    """Run the example: two answer systems, simulated users, a rollout that completes and one that is rolled back."""
    given = {"--data": data, "--users": users, "--rate": rate, "--documents": documents}
    become("examples.answers", _written({**given, "--output": _output(session)}), "turnout demo")


def _output(session: Session) -> str | None:
    return "json" if session.json else None


def _written(options: Mapping[str, object]) -> list[str]:
    """The options that were given, as words of a command line."""
    return [word for name, value in options.items() if value is not None for word in (name, str(value))]


def become(module: str, arguments: list[str], name: str) -> NoReturn:
    """Run ``module`` in place of this process, so that signals and the exit status are its own. Raises Failure."""
    if not _present(module):
        message = (
            f"{name} runs from a checkout of Turnout or from its container image, and this is the library alone "
            f"(there is no {module.partition('.')[0]} package here); install it from there: pip install -e '.[server]'"
        )
        raise Failure(ExitCode.UNAVAILABLE, "not_installed", message)
    if (parts := server_parts()).level != "ok":
        message = f"{name} needs the server parts ({parts.text}); run: pip install -e '.[server]'"
        raise Failure(ExitCode.UNAVAILABLE, "not_installed", message)
    sys.stdout.flush()
    sys.stderr.flush()
    # -P: a folder of the same name where the user happens to be must not be taken for ours.
    command_line = [sys.executable, "-P", "-m", module, *arguments]
    os.execv(sys.executable, command_line)  # noqa: S606 - our own interpreter, and no shell


def _present(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
