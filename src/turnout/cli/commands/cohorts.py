"""turnout cohorts: the shares of single cohorts and regions."""

from __future__ import annotations

from typing import Annotated
from uuid import uuid4

import typer

from turnout.cli.command import command
from turnout.cli.commands.arguments import FlagArgument, ReasonOption
from turnout.cli.commands.rollouts import IdOption, send_command
from turnout.cli.failures import ExitCode, usage
from turnout.cli.http import read, segment
from turnout.cli.render.words import percent, table
from turnout.cli.session import Session
from turnout.domain.adjusting import OTHER
from turnout.domain.bucketing import TOTAL
from turnout.domain.spec import parse_percentage
from turnout.ports import FlagRecord

app = typer.Typer(help="See and change the shares of single cohorts and regions.", no_args_is_help=True)


@command(app, "list")
def list_cohorts(session: Session, flag: FlagArgument) -> None:
    """List the cohorts or regions of a flag in the order they are tried, and what their users get."""
    with session.api() as api:
        answer = api.get(f"/v1/flags/{segment(flag)}")
    traffic = read(FlagRecord, answer).traffic
    shares = [*((one.name, one.weights) for one in traffic.segments), (OTHER, traffic.weights)]
    view = table("cohort", "gets")
    for name, weights in shares:
        view.add_row(name, ", ".join(f"{percent(share / TOTAL)} {arm}" for arm, share in weights.items() if share))
    session.answer({"flag": flag, "cohorts": [{"name": name, "weights": dict(w)} for name, w in shares]}, view)


@command(app, "set")
def set_cohort(  # noqa: PLR0913 - one parameter an option
    session: Session,
    flag: FlagArgument,
    cohort: Annotated[str, typer.Argument(metavar="COHORT", help="A cohort or region; other: users of none.")],
    percentage: Annotated[
        str, typer.Argument(metavar="PERCENTAGE", help="What share of its users gets the candidate.")
    ],
    reason: ReasonOption,
    override: Annotated[
        bool, typer.Option("--override", help="More than gates have passed; takes the role share_override.")
    ] = False,
    command_id: IdOption = "",
) -> ExitCode:
    """Change the share of one cohort or region, while its rollout is open or after it has completed.

    Less is always possible, more up to what gates have passed. The present stage then begins again.
    """
    try:
        share = parse_percentage(percentage)
    except ValueError as error:
        raise usage(f"PERCENTAGE {percentage} {error}") from error
    body = {"percentage": share, "reason": reason, "override": override, "id": command_id or str(uuid4())}
    return send_command(session, flag, f"cohorts/{segment(cohort)}", body)
