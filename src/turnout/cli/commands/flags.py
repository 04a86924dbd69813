"""turnout flags: what is served, and the emergency stop."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Group
from rich.text import Text

from turnout.cli.command import command
from turnout.cli.commands.arguments import FlagArgument, ReasonOption
from turnout.cli.documents import load, read_flags
from turnout.cli.failures import usage
from turnout.cli.http import Api, read, segment
from turnout.cli.render.flags import changes_view, difference, flag_view, flags_table, rehearsal_view
from turnout.cli.session import Session
from turnout.cli.views import listed, mapping
from turnout.domain.flags import Flag
from turnout.ports import FlagChange, FlagRecord

app = typer.Typer(help="Define, list, stop and restore flags.", no_args_is_help=True)

FilesOption = Annotated[
    list[str], typer.Option("--file", "-f", metavar="FILE", help="A flag file; - reads standard input. Repeatable.")
]


@command(app, "apply")
def apply(
    session: Session,
    file: FilesOption,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; show what would change, as a diff of each flag.")
    ] = False,
) -> None:
    """Create or update the flags in a file: all of them, or none when one is wrong.

    A flag whose traffic a rollout has moved keeps it, unless its serve, split or stable changed in the file.
    """
    flags: dict[str, object] = {}
    parsed: list[Flag] = []
    for source in file:
        document = load(source)
        parsed += (found := read_flags(document))
        if twice := sorted(flags.keys() & {flag.key for flag in found}):
            raise usage(f"{', '.join(twice)} stands in several files; keep each flag in one of them")
        flags |= mapping(mapping(document.data)["flags"])
    with session.api() as api:
        before = _held(api) if dry_run else {}
        answer = mapping(api.post("/v1/flags?dry_run=true" if dry_run else "/v1/flags", {"flags": flags}))
    changes = [read(FlagChange, item) for item in listed(answer, "changes")]
    if not dry_run:
        session.answer(answer, changes_view(changes))
        return
    diffs = {flag.key: difference(before.get(flag.key), flag) for flag in parsed}
    session.answer({**answer, "dry_run": True, "diffs": diffs}, rehearsal_view(changes, diffs))


def _held(api: Api) -> dict[str, Flag]:
    records = [read(FlagRecord, item) for item in listed(api.get("/v1/flags"), "flags")]
    return {record.flag.key: record.flag for record in records}


@command(app, "list")
def list_flags(session: Session) -> None:
    """List all flags and what they serve."""
    with session.api() as api:
        answer = api.get("/v1/flags")
    session.answer(answer, flags_table([read(FlagRecord, item) for item in listed(answer, "flags")]))


@command(app, "get")
def get(session: Session, flag: FlagArgument) -> None:
    """Show one flag: what is published, and its definition as a file."""
    with session.api() as api:
        answer = api.get(f"/v1/flags/{segment(flag)}")
    session.answer(answer, flag_view(read(FlagRecord, answer)))


@command(app, "stop")
def stop(session: Session, flag: FlagArgument, reason: ReasonOption) -> None:
    """Emergency stop: serve the stable variant to everybody at once, whatever rules and rollouts say."""
    _switch(session, flag, "stop", reason)


@command(app, "restore")
def restore(session: Session, flag: FlagArgument, reason: ReasonOption) -> None:
    """End an emergency stop: rules and rollouts decide again."""
    _switch(session, flag, "restore", reason)


def _switch(session: Session, flag: str, verb: str, reason: str) -> None:
    with session.api() as api:
        answer = api.post(f"/v1/flags/{segment(flag)}/{verb}", {"reason": reason})
    record, rollout = read(FlagRecord, mapping(answer).get("flag")), mapping(answer).get("rollout")
    session.answer(answer, Group(flag_view(record), *([Text(f"rollout: {rollout}")] if rollout else [])))


@command(app, "delete")
def delete(
    session: Session,
    flag: FlagArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a flag. Callers get their own default from then on."""
    if not yes and not _confirmed(flag, session):
        raise usage(f"{flag} was not deleted; add --yes to delete it without asking")
    with session.api() as api:
        api.delete(f"/v1/flags/{segment(flag)}")
    session.answer({"key": flag, "action": "deleted"}, f"{flag}: deleted")


def _confirmed(flag: str, session: Session) -> bool:
    if session.json or not sys.stdin.isatty():
        return False
    return typer.confirm(f"Delete {flag}? Callers will get their own default.", err=True)
