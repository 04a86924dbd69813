"""turnout report: what a rollout tested, found and did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from turnout.cli.command import command
from turnout.cli.commands.arguments import FlagArgument
from turnout.cli.failures import usage
from turnout.cli.http import read, segment
from turnout.cli.render.report import report_view
from turnout.cli.render.report_page import page
from turnout.cli.session import Session
from turnout.domain.reporting import Report

RolloutOption = Annotated[str, typer.Option("--rollout", metavar="ID", help="An earlier rollout. [the last one]")]
HtmlOption = Annotated[
    str, typer.Option("--html", metavar="FILE", help="Write one self-contained page with plots instead.")
]


def add_to(app: typer.Typer, panel: str) -> None:
    """Add the command of this file to ``app``."""
    command(app, "report", panel)(report)


def report(session: Session, flag: FlagArgument, rollout: RolloutOption = "", html: HtmlOption = "") -> None:
    """Report on a rollout or test: effects with their intervals, a table of the arms, shares over time, decisions."""
    with session.api() as api:
        answer = api.get(f"/v1/rollouts/{segment(flag)}/report", {"rollout": rollout} if rollout else None)
    found = read(Report, answer)
    if not html:
        session.answer(answer, report_view(found))
        return
    try:
        Path(html).write_text(page(found), encoding="utf-8")
    except OSError as error:
        raise usage(f"--html {html} cannot be written: {error.strerror or error}") from error
    session.answer({"file": html, "rollout_id": found.rollout_id}, Text(f"{html}: report on {found.flag}"))
