"""turnout budgets: what protects services, as the controller knows it."""

from __future__ import annotations

import typer

from turnout.cli.command import command
from turnout.cli.http import read
from turnout.cli.render.guarding import BudgetView, budgets_table
from turnout.cli.session import Session
from turnout.cli.views import listed


def add_to(app: typer.Typer, panel: str) -> None:
    """Add the commands to ``app``, under ``panel`` of the help."""

    @command(app, "budgets", panel)
    def budgets(session: Session) -> None:
        """Show the budgets of all variants, and what they have come to today."""
        with session.api() as api:
            answer = api.get("/v1/budgets")
        session.answer(answer, budgets_table([read(BudgetView, item) for item in listed(answer, "budgets")]))
