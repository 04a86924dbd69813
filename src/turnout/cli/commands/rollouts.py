"""turnout list, status, history and the commands to a running rollout."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

import typer
from rich.text import Text

from turnout.cli.command import Body, command
from turnout.cli.commands.arguments import FlagArgument, ReasonOption
from turnout.cli.failures import ExitCode, Failure
from turnout.cli.http import read, segment
from turnout.cli.render.history import history_view
from turnout.cli.render.rollout import rollouts_table, status_view
from turnout.cli.session import Session
from turnout.cli.views import listed, mapping, told_of, view_of
from turnout.ports import RolloutRecord

IdOption = Annotated[str, typer.Option("--id", help="Repeating a command with the same id acts once. [a new one]")]

VERBS: dict[str, str] = {
    "pause": "Let a rollout stand still: traffic stays, clocks stop, guardrails are watched on.",
    "resume": "Go on after a pause.",
    "promote": "Move to the next stage without asking the gates; recorded as an override.",
    "approve": "Consent to the next stage; health is checked once more before it begins.",
    "abort": "Give a rollout up: everybody back to stable.",
    "rollback": "Take everybody back to stable because the candidate is bad.",
}
"""The commands a rollout takes, and their help."""


def add_to(app: typer.Typer, seeing: str, steering: str) -> None:
    """Add the commands of this file to ``app``, under two headings."""
    command(app, "list", seeing)(list_rollouts)
    command(app, "status", seeing)(status)
    command(app, "history", seeing)(history)
    for verb, text in VERBS.items():
        command(app, verb, steering, help=text)(_verb(verb))


def list_rollouts(
    session: Session, every: Annotated[bool, typer.Option("--all", help="Ended ones too.")] = False
) -> None:
    """List the open rollouts."""
    with session.api() as api:
        answer = api.get("/v1/rollouts", {"all": "true"} if every else None)
    session.answer(answer, rollouts_table([read(RolloutRecord, item) for item in listed(answer, "rollouts")]))


def status(session: Session, flag: FlagArgument) -> None:
    """Show where a rollout is, what the evidence says, and what would happen next."""
    with session.api() as api:
        answer = api.get(f"/v1/rollouts/{segment(flag)}")
    session.answer(answer, status_view(view_of(answer), datetime.now(UTC)))


def history(session: Session, flag: FlagArgument) -> None:
    """Tell the story of a rollout: every decision, when, by whom, and the numbers behind it."""
    with session.api() as api:
        view = view_of(api.get(f"/v1/rollouts/{segment(flag)}"))
        if view.plan is None:
            raise Failure(ExitCode.NOT_FOUND, "not_found", f"{flag}: {view.summary}; it has no history yet")
        answer = api.get(f"/v1/rollouts/{segment(flag)}/decisions", {"evidence": "true"})
    session.answer(answer, history_view(view, told_of(answer, view.id)))


def _verb(verb: str) -> Body:
    def send(session: Session, flag: FlagArgument, reason: ReasonOption, command_id: IdOption = "") -> ExitCode:
        return send_command(session, flag, verb, {"reason": reason, "id": command_id or str(uuid4())})

    return send


def send_command(session: Session, flag: str, verb: str, body: Mapping[str, object]) -> ExitCode:
    """Send ``body``, which has an ``id``, and tell what became of it. ``verb`` may be a path. Raises Failure."""
    try:
        with session.api() as api:
            answer = api.post(f"/v1/rollouts/{segment(flag)}/{verb}", body)
    except Failure as failure:
        if failure.exit_code is ExitCode.UNAVAILABLE:
            again = f"{failure.message}; it may have arrived: repeat it with --id {body['id']} to have it done once"
            raise Failure(failure.exit_code, failure.code, again) from failure
        raise
    session.answer(answer, _said(flag, verb, answer))
    return ExitCode.OK


def _said(flag: str, verb: str, answer: object) -> Text:
    """What became of the command, in the API's words."""
    return Text(f"{flag}: {mapping(answer).get('text') or verb}")
