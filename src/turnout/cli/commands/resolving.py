"""turnout resolve and explain: which variant a user gets, by the same resolver that services use."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Annotated, cast

import typer
from rich.console import RenderableType

from turnout.adapters.geo import located, open_places
from turnout.cli.command import command
from turnout.cli.commands.arguments import FlagArgument
from turnout.cli.failures import ExitCode, Failure, usage
from turnout.cli.render.explain import explanation_data, explanation_view, resolution_data, resolution_text
from turnout.cli.session import Session
from turnout.client.flagfile import read_flag_file
from turnout.resolver import Resolution, Snapshot, compile_document

UserOption = Annotated[str | None, typer.Option("--user", "-u", help="Whom to resolve for (the targeting key).")]
AttributesOption = Annotated[
    list[str] | None,
    typer.Option("--attr", "-a", metavar="NAME=TEXT", help="An attribute; NAME:=JSON for other types. Repeatable."),
]


GeoOption = Annotated[
    str | None,
    typer.Option(
        "--geo", metavar="FILE", help="MaxMind DB in which --attr ip=… is looked up.", envvar="TURNOUT_GEO_DATABASE"
    ),
]


FileOption = Annotated[
    str | None,
    typer.Option(
        "--flags",
        metavar="FILE",
        help="Flag file beneath the API's flags, as a client has.",
        envvar="TURNOUT_FLAGS_FILE",
    ),
]


def add_to(app: typer.Typer, panel: str) -> None:
    """Add the commands of this file to ``app``."""
    command(app, "resolve", panel)(resolve)
    command(app, "explain", panel)(explain)


def resolve(
    session: Session,
    flag: FlagArgument,
    user: UserOption = None,
    attr: AttributesOption = None,
    geo: GeoOption = None,
    flags: FileOption = None,
) -> ExitCode:
    """Tell which variant a user gets."""
    resolution = _snapshot(session, flags).resolve(flag, user, located(attributes_of(attr or ()), open_places(geo)))
    return _tell(session, resolution, resolution_data(resolution), resolution_text(resolution))


def explain(
    session: Session,
    flag: FlagArgument,
    user: UserOption = None,
    attr: AttributesOption = None,
    geo: GeoOption = None,
    flags: FileOption = None,
) -> ExitCode:
    """Tell which variant a user gets and why: the rule or split, the user's bucket, and every source's say.

    The environment overrides flags as it does in a service: TURNOUT_FLAG_<KEY>, and what a flag's env_prefix begins.
    """
    attributes = located(attributes_of(attr or ()), open_places(geo))
    explanation = _snapshot(session, flags).explain(flag, user, attributes)
    text = explanation_view(explanation, user)
    return _tell(session, explanation.resolution, explanation_data(explanation), text)


def attributes_of(written: Sequence[str]) -> dict[str, object]:
    """``["plan=pro", "beta:=true"]`` as attributes. Raises Failure."""
    return dict(_attribute(text) for text in written)


def _attribute(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals or not name.rstrip(":"):
        raise usage(f"--attr {text} is no attribute; write --attr plan=pro, or --attr beta:=true for JSON")
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], json.loads(value)
    except ValueError:
        raise usage(f"--attr {text} holds no JSON after :=; write --attr {name[:-1]}={value} for a text") from None


def _snapshot(session: Session, flags: str | None) -> Snapshot:
    file = read_flag_file(flags)
    with session.api() as api:
        snapshot = compile_document(cast("dict[str, object]", api.get("/v1/snapshot")), os.environ, file)
    for fault in snapshot.faults:
        session.note(f"environment: {fault}")
    return snapshot


def _tell(session: Session, resolution: Resolution, data: object, text: RenderableType) -> ExitCode:
    if resolution.error_code == "FLAG_NOT_FOUND":
        raise Failure(ExitCode.NOT_FOUND, "not_found", f"{resolution.error_message}; turnout flags list shows them")
    session.answer(data, text)
    return ExitCode.NEGATIVE if resolution.reason == "ERROR" else ExitCode.OK
