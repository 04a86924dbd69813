"""turnout budgets, turnout breakers: what protects services, as the controller knows it."""

from __future__ import annotations

from typing import Annotated

import typer

from turnout.cli.command import command
from turnout.cli.commands.arguments import FlagArgument, ReasonOption
from turnout.cli.http import read, segment
from turnout.cli.render.guarding import BreakerView, BudgetView, breakers_table, budgets_table
from turnout.cli.session import Session
from turnout.cli.views import listed, mapping


def add_to(app: typer.Typer, panel: str) -> None:
    """Add the commands to ``app``, under ``panel`` of the help."""
    app.add_typer(breakers, name="breakers", rich_help_panel=panel)

    @command(app, "budgets", panel)
    def budgets(session: Session) -> None:
        """Show the budgets of all variants, and what they have come to today."""
        with session.api() as api:
            answer = api.get("/v1/budgets")
        session.answer(answer, budgets_table([read(BudgetView, item) for item in listed(answer, "budgets")]))


breakers = typer.Typer(help="The breakers that all processes share.", no_args_is_help=True)

VariantArgument = Annotated[str, typer.Argument(metavar="VARIANT", help="The variant that is blocked.")]


@command(breakers, "list")
def list_breakers(session: Session) -> None:
    """List the breakers that have ever opened, and where they are."""
    with session.api() as api:
        answer = api.get("/v1/breakers")
    session.answer(answer, breakers_table([read(BreakerView, item) for item in listed(answer, "breakers")]))


@command(breakers, "close")
def close(session: Session, flag: FlagArgument, variant: VariantArgument, reason: ReasonOption) -> None:
    """Close a breaker by hand: users get the variant again, whatever its probes say."""
    with session.api() as api:
        answer = api.post(f"/v1/breakers/{segment(flag)}/{segment(variant)}/close", {"reason": reason})
    session.answer(answer, f"{flag}/{variant}: {mapping(answer).get('text')}")
