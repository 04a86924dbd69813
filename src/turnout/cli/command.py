"""What turns a function of a session into a command: the common options, and failures as exit codes."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Annotated, Any

import typer

from turnout.cli.failures import ExitCode, Failure, failure_of
from turnout.cli.session import Options, Output, Session, report, session_of
from turnout.domain.errors import TurnoutError

PANEL = "Common options"

UrlOption = Annotated[
    str | None,
    typer.Option("--url", help="Where the API is. [env: TURNOUT_URL; http://127.0.0.1:8080]", rich_help_panel=PANEL),
]
TokenOption = Annotated[
    str | None,
    typer.Option("--token", help="Who you are, where the API asks for it. [env: TURNOUT_TOKEN]", rich_help_panel=PANEL),
]
ActorOption = Annotated[
    str | None,
    typer.Option("--as", help="Your name in the audit log, where no token tells. [you]", rich_help_panel=PANEL),
]
OutputOption = Annotated[
    Output | None,
    typer.Option("--output", help="Text for people, or JSON alone on stdout. [text]", rich_help_panel=PANEL),
]
COMMON = {"url": UrlOption, "token": TokenOption, "actor": ActorOption, "output": OutputOption}
"""The common options by the names of their parameters."""

Body = Callable[..., ExitCode | None]
"""A command: takes a Session and its own arguments; gives an exit code, None for 0; raises Failure or TurnoutError."""


def options_callback(
    ctx: typer.Context,
    url: UrlOption = None,
    token: TokenOption = None,
    actor: ActorOption = None,
    output: OutputOption = None,
) -> None:
    """Take the common options where they stand before the command; those after it win."""
    before = ctx.obj if isinstance(ctx.obj, Options) else Options()
    ctx.obj = Options(url, token, actor, output).over(before)


def command(app: typer.Typer, name: str, panel: str | None = None, **settings: Any) -> Callable[[Body], Body]:
    """Add a function of a session to ``app`` as the command ``name``; its docstring is the help."""

    def add(body: Body) -> Body:
        app.command(name, rich_help_panel=panel, **settings)(_adapted(body))
        return body

    return add


def _adapted(body: Body) -> Callable[..., None]:
    """``body`` as Typer wants it: the session's place is taken by the context and the common options."""

    def run(ctx: typer.Context, **given: Any) -> None:
        after = Options(**{name: given.pop(name) for name in COMMON})
        session = session_of(after.over(ctx.obj or Options()), os.environ)
        if code := guarded(body, session, **given):
            raise typer.Exit(code)

    kind, own = inspect.Parameter, inspect.signature(body, eval_str=True).parameters.values()
    context = kind("ctx", kind.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    common = [kind(name, kind.KEYWORD_ONLY, default=None, annotation=hint) for name, hint in COMMON.items()]
    mine = [parameter.replace(kind=kind.KEYWORD_ONLY) for parameter in own if parameter.name != "session"]
    # Typer finds the parameters by the signature, and reads annotations only where that has none.
    run.__dict__["__signature__"] = inspect.Signature([context, *mine, *common])
    run.__doc__, run.__name__, run.__annotations__ = body.__doc__, body.__name__, {}
    return run


def guarded(body: Body, session: Session, **given: Any) -> ExitCode:
    """Run ``body``; an expected failure is reported in one line, never as a traceback."""
    try:
        done: ExitCode | None = body(session, **given)
    except Failure as failure:
        return _failed(failure, session)
    except TurnoutError as error:
        return _failed(failure_of(error), session)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return done or ExitCode.OK


def _failed(failure: Failure, session: Session) -> ExitCode:
    report(failure, session.json)
    return failure.exit_code
