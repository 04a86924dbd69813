"""turnout freezes: spans in which no traffic moves forward."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode

import typer

from turnout.cli.command import command
from turnout.cli.commands.arguments import ReasonOption
from turnout.cli.failures import usage
from turnout.cli.http import read, segment
from turnout.cli.render.freezes import freeze_line, freezes_table
from turnout.cli.session import Session
from turnout.cli.views import listed
from turnout.domain.freezes import Freeze

app = typer.Typer(help="Keep traffic from moving forward for a while.", no_args_is_help=True)

_WHEN = "such as 2026-12-20, 2026-12-20T18:00 (your time zone) or 2026-12-20T18:00+01:00."
FromOption = Annotated[str, typer.Option("--from", metavar="TIME", help=f"When it begins, {_WHEN} [now]")]
ToOption = Annotated[str, typer.Option("--to", metavar="TIME", help=f"When it ends, {_WHEN} [when it is removed]")]
FlagsOption = Annotated[
    list[str] | None, typer.Option("--flag", metavar="FLAG", help="A flag to freeze. Repeatable. [all]")
]
WhyOption = Annotated[str, typer.Option("--reason", "-r", help="Why; everybody who waits for it is told.")]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The freeze's id.")]


@command(app, "add")
def add(
    session: Session, reason: WhyOption, begin: FromOption = "", end: ToOption = "", flag: FlagsOption = None
) -> None:
    """Freeze all flags, or some: no rollout of theirs moves forward meanwhile. Rollbacks and pauses go on."""
    body: dict[str, object] = {"start": _moment("--from", begin or datetime.now(UTC).isoformat()), "reason": reason}
    body |= {"end": _moment("--to", end)} if end else {}
    with session.api() as api:
        answer = api.post("/v1/freezes", {**body, "flags": flag or []})
    session.answer(answer, freeze_line(read(Freeze, answer)))


@command(app, "list")
def list_freezes(
    session: Session, every: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False
) -> None:
    """List the freezes there are, and those to come."""
    with session.api() as api:
        answer = api.get("/v1/freezes", {"all": "true"} if every else None)
    session.answer(answer, freezes_table([read(Freeze, item) for item in listed(answer, "freezes")], datetime.now(UTC)))


@command(app, "remove")
def remove(session: Session, freeze: IdArgument, reason: ReasonOption) -> None:
    """Lift a freeze before its end; rollouts that wait for it go on."""
    with session.api() as api:
        answer = api.delete(f"/v1/freezes/{segment(freeze)}?{urlencode({'reason': reason})}")
    session.answer(answer, f"{freeze}: removed")


def _moment(option: str, text: str) -> str:
    """``text`` as a time with an offset; without one it is meant in the zone of whoever writes."""
    try:
        return datetime.fromisoformat(text.strip()).astimezone().isoformat()
    except ValueError:
        raise usage(f"{option} {text} is no time; write one {_WHEN}") from None
