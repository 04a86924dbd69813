"""The `turnout` command, put together."""

from __future__ import annotations

import typer

from turnout.cli.command import options_callback
from turnout.cli.commands import (
    analyse,
    cohorts,
    doctor,
    files,
    flags,
    freezes,
    judging,
    notifying,
    reporting,
    resolving,
    rollouts,
    running,
    watch,
)
from turnout.cli.failures import EXIT_CODES

__all__ = ["build"]

RUNNING, PREPARING, SEEING, STEERING, ASSIGNING = (
    "Run Turnout",
    "Prepare a rollout",
    "See how it goes",
    "Steer it",
    "Flags and users",
)
_HELP = "Move users from one system to another in stages, on evidence, and back the moment the evidence says so."


def build(rich: bool) -> typer.Typer:
    """The command line; ``rich`` draws its help with colours and boxes."""
    app = typer.Typer(
        name="turnout",
        help=_HELP,
        epilog=_epilog(rich),
        no_args_is_help=True,
        rich_markup_mode="rich" if rich else None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    )
    app.callback()(options_callback)
    running.add_to(app, RUNNING)
    doctor.add_to(app, RUNNING)
    files.add_to(app, PREPARING)
    notifying.add_to(app, PREPARING)
    rollouts.add_to(app, SEEING, STEERING)
    app.add_typer(cohorts.app, name="cohorts", rich_help_panel=STEERING)
    watch.add_to(app, SEEING)
    analyse.add_to(app, SEEING)
    judging.add_to(app, SEEING)
    reporting.add_to(app, SEEING)
    app.add_typer(flags.app, name="flags", rich_help_panel=ASSIGNING)
    app.add_typer(freezes.app, name="freezes", rich_help_panel=STEERING)
    resolving.add_to(app, ASSIGNING)
    return app


def _epilog(rich: bool) -> str:
    lines = ["Exit codes:", *(f"{int(code):>4}  {text}" for code, text in EXIT_CODES.items())]
    return "\n\n".join(lines) if rich else "\b\n" + "\n".join(lines)
