"""turnout notify: does everybody hear of a rollout who is to?"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import typer
from rich.console import Group
from rich.text import Text

from turnout.adapters.notifiers import StdoutNotifier, notifier_of
from turnout.cli.command import command
from turnout.cli.commands.arguments import FileArgument
from turnout.cli.documents import load, read_spec
from turnout.cli.failures import ExitCode, usage
from turnout.cli.session import Session
from turnout.domain.channels import Channel, Stdout
from turnout.domain.errors import Unavailable
from turnout.domain.notices import Notice, trial_notice
from turnout.ports import Notifier
from turnout.strategies import UNKNOWN_STABLE, compile_plan


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one channel; ``problem`` is empty when it took the notice."""

    channel: str
    ok: bool
    problem: str = ""

    @property
    def line(self) -> str:
        """For a person."""
        return f"ok    {self.channel}" if self.ok else f"fail  {self.channel}: {self.problem}"


def add_to(app: typer.Typer, panel: str) -> None:
    """Add the command of this file to ``app``."""
    command(app, "notify", panel)(notify)


def notify(session: Session, file: FileArgument) -> ExitCode:
    """Send a test notice to every channel of a rollout file, whatever its events.

    It is sent from here, with the variables of this environment; in a rollout the worker sends, with its own.
    The exit code is 1 when a channel does not take it.
    """
    document = load(file)
    plan = compile_plan(read_spec(document), UNKNOWN_STABLE)
    if not plan.notify:
        raise usage(f"{document.name} has no channel; write notify: [{{slack: $SLACK_WEBHOOK_URL}}]")
    notice = trial_notice(plan, datetime.now(UTC), f"test:{uuid4().hex}")
    trials = asyncio.run(_told(plan.notify, notice, os.environ))
    ok = all(trial.ok for trial in trials)
    data = {"ok": ok, "key": notice.key, "channels": [asdict(trial) for trial in trials]}
    session.answer(data, Group(*(Text(trial.line) for trial in trials)))
    return ExitCode.OK if ok else ExitCode.NEGATIVE


async def _told(channels: tuple[Channel, ...], notice: Notice, environ: Mapping[str, str]) -> list[Trial]:
    async with httpx.AsyncClient() as http:
        return await asyncio.gather(*(_try(channel, _notifier(channel, http, environ), notice) for channel in channels))


def _notifier(channel: Channel, http: httpx.AsyncClient, environ: Mapping[str, str]) -> Notifier:
    # Standard output is for the answer alone.
    return StdoutNotifier(sys.stderr) if isinstance(channel, Stdout) else notifier_of(channel, http, environ)


async def _try(channel: Channel, notifier: Notifier, notice: Notice) -> Trial:
    try:
        await notifier.send(notice)
    except Unavailable as error:
        return Trial(channel.label, False, str(error))
    return Trial(channel.label, True)
