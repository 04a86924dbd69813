"""What every command has: where the API is, who asks, and how answers are written."""

from __future__ import annotations

import getpass
import io
import json
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TextIO

from rich.console import Console, RenderableType

from turnout.cli.failures import Failure
from turnout.cli.http import CONNECT, Api, Target

Output = Literal["text", "json"]

DEFAULT_URL = "http://127.0.0.1:8080"
_UNLIMITED = 100_000
"""Columns of a pipe: nothing is ever wrapped there."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options that every command takes; None where the command line says nothing."""

    url: str | None = None
    token: str | None = None
    actor: str | None = None
    output: Output | None = None

    def over(self, other: Options) -> Options:
        """These options, and ``other``'s where these say nothing."""
        return Options(
            url=self.url or other.url,
            token=self.token or other.token,
            actor=self.actor or other.actor,
            output=self.output or other.output,
        )


@dataclass(frozen=True, slots=True)
class Session:
    """One run of one command. Answers go to stdout, everything else to stderr."""

    target: Target
    json: bool

    @contextmanager
    def api(self, connect: float = CONNECT) -> Generator[Api]:
        """A connection to the API; ``connect`` is in seconds."""
        api = Api(self.target, connect)
        try:
            yield api
        finally:
            api.close()

    def answer(self, data: object, text: RenderableType) -> None:
        """Write ``data`` as JSON, or ``text`` for a person."""
        if self.json:
            write_json(data)
        else:
            write(text)

    def note(self, text: str) -> None:
        """Tell a person something beside the answer."""
        if not self.json:
            sys.stderr.write(f"turnout: {text}\n")


def session_of(options: Options, environ: Mapping[str, str]) -> Session:
    """The session that the command line and the environment ask for."""
    target = Target(
        url=(options.url or environ.get("TURNOUT_URL") or DEFAULT_URL).rstrip("/"),
        token=options.token or environ.get("TURNOUT_TOKEN") or "",
        actor=options.actor or _user(),
    )
    return Session(target, options.output == "json")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container may run under a number that has no name.
        return "unknown"


def console_of(stream: TextIO) -> Console:
    """A console for ``stream``: colour and its width on a terminal, plain and endless lines on a pipe."""
    console = Console(file=stream, markup=False, highlight=False, emoji=False)
    if console.is_terminal:
        return console
    return Console(file=stream, markup=False, highlight=False, emoji=False, width=_UNLIMITED, color_system=None)


def plain(text: RenderableType) -> str:
    """``text`` as a pipe gets it: no colour, no wrapping, no blanks at the ends of lines."""
    buffer = io.StringIO()
    console_of(buffer).print(text)
    return "".join(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines())


def write(text: RenderableType) -> None:
    """Write ``text`` to stdout."""
    console = console_of(sys.stdout)
    if console.is_terminal:
        console.print(text)
    else:
        sys.stdout.write(plain(text))
        sys.stdout.flush()


def write_json(data: object) -> None:
    """Write ``data`` to stdout as one line of JSON, numbers in full precision."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def report(failure: Failure, as_json: bool) -> None:
    """Write why a command failed to stderr."""
    text = json.dumps({"error": failure.data()}, ensure_ascii=False) if as_json else "\n".join(failure.lines())
    sys.stderr.write(text + "\n")
