"""turnout judge: other gates, asked about the outcomes of a rollout."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from turnout.cli.command import command
from turnout.cli.commands.arguments import FlagArgument
from turnout.cli.commands.files import posted
from turnout.cli.documents import load, read_spec
from turnout.cli.http import read, segment
from turnout.cli.render.judging import judgement_view
from turnout.cli.session import Session
from turnout.domain.rejudged import Rejudgement

_PATIENCE: Final = 900.0
"""Seconds to wait: a thousand looks at a dozen gates take minutes."""

SpecOption = Annotated[str, typer.Option("--spec", metavar="FILE", help="A rollout file with the gates to ask; or -.")]
RolloutOption = Annotated[str, typer.Option("--rollout", metavar="ID", help="An earlier rollout. [the last one]")]


def add_to(app: typer.Typer, panel: str) -> None:
    """Add the command of this file to ``app``."""
    command(app, "judge", panel)(judge)


def judge(session: Session, flag: FlagArgument, spec: SpecOption, rollout: RolloutOption = "") -> None:
    """Tell what other gates would have decided, and when, on the outcomes of a past or open rollout.

    The gates and guardrails of the file are asked in every stage that the rollout went through, every check_every,
    at most 500 times a stage. Gates on Prometheus or JSON endpoints cannot be asked of the past.
    """
    document = load(spec)
    read_spec(document)
    body = {"spec": document.data} | ({"rollout": rollout} if rollout else {})
    with session.api() as api:
        answer = posted(lambda: api.post(f"/v1/rollouts/{segment(flag)}/judge", body, _PATIENCE), document)
    session.answer(answer, judgement_view(read(Rejudgement, answer)))
