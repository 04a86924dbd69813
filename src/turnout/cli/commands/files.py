"""turnout validate, plan and start: from a file to a rollout."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, cast

import typer
from pydantic import JsonValue
from rich.console import Group
from rich.text import Text

from turnout.cli.command import command
from turnout.cli.commands.arguments import FileArgument
from turnout.cli.documents import Document, load, read_flags, read_spec, unknown_kind
from turnout.cli.expecting import Said, as_option, expectation
from turnout.cli.failures import ExitCode, Failure, InvalidFile, need_statistics, problem_data, problem_line, usage
from turnout.cli.filling import concerns, filled
from turnout.cli.http import Api, as_problem, read, segment
from turnout.cli.render.outlook import HOW, outlook_data, outlook_view
from turnout.cli.render.plan import headline, plan_data, plan_view
from turnout.cli.render.rollout import started_text
from turnout.cli.render.words import count
from turnout.cli.session import Session
from turnout.cli.views import listed, mapping, view_of
from turnout.domain.errors import InvalidInput, Problem
from turnout.domain.expectation import Expectation
from turnout.domain.plan import Plan
from turnout.ports import FlagRecord
from turnout.strategies import UNKNOWN_STABLE, RolloutSpec, compile_plan

if TYPE_CHECKING:
    from turnout.analysis.foresight import StageOutlook

_PATIENCE = 2.0
"""Seconds to wait for an API that validation can do without."""

FilesArgument = Annotated[
    list[str], typer.Argument(metavar="FILE...", help="Rollout or flag files; - reads standard input.")
]


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one file; ``note`` says what could not be checked, ``added`` what is from the environment."""

    file: str
    kind: str = ""
    summary: str = ""
    problems: Sequence[Problem] = field(default=())
    note: str = ""
    added: Sequence[str] = field(default=())

    def data(self) -> dict[str, object]:
        """For a program."""
        problems = [problem_data(problem) for problem in self.problems]
        fields: dict[str, object] = {"file": self.file, "kind": self.kind, "valid": not problems, "problems": problems}
        fields |= {"from_environment": list(self.added)} if self.added else {}
        return fields | ({"note": self.note} if self.note else {})

    def lines(self) -> list[str]:
        """For a person: every problem with its line, or that there is none."""
        return [problem_line(self.file, problem) for problem in self.problems] or [f"{self.file}: {self.summary}"]


def add_to(app: typer.Typer, panel: str) -> None:
    """Add the commands of this file to ``app``."""
    command(app, "validate", panel)(validate)
    command(app, "plan", panel)(plan)
    command(app, "start", panel)(start)


def validate(
    session: Session,
    files: FilesArgument,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the API about flag and candidate.")] = False,
) -> ExitCode:
    """Check rollout and flag files: every problem at once, each with its line.

    What a file is follows from its content. When the API answers, a rollout's flag and candidate are looked up too.
    """
    found = [_finding(session, source, offline) for source in files]
    valid = not any(finding.problems for finding in found)
    for note in dict.fromkeys(note for finding in found for note in (*finding.added, finding.note) if note):
        session.note(note)
    lines = [Text(line) for finding in found for line in finding.lines()]
    session.answer({"valid": valid, "files": [finding.data() for finding in found]}, Group(*lines))
    return ExitCode.OK if valid else ExitCode.NEGATIVE


def _finding(session: Session, source: str, offline: bool) -> Finding:
    kind = ""
    try:
        document = load(source)
        kind = document.kind or ""
        if kind == "flags":
            return Finding(document.name, kind, f"valid, {count(len(read_flags(document)), 'flag')}")
        if not kind:
            raise unknown_kind(document)
        return _rollout_finding(session, document, offline)
    except InvalidFile as error:
        return Finding(error.name, kind, problems=error.problems)


def _rollout_finding(session: Session, document: Document, offline: bool) -> Finding:
    document, added = _completed(document, None if offline else _flag_settings(session, document))
    spec = read_spec(document)
    compiled, problems, note = _compiled(document, spec, UNKNOWN_STABLE), tuple[Problem, ...](), ""
    if not offline:
        try:
            with session.api(_PATIENCE) as api:
                answer = mapping(api.post("/v1/rollouts/validate", {"spec": document.data}))
            problems = document.located(as_problem(mapping(item)) for item in listed(answer, "problems"))
            compiled = read(Plan, answer["plan"]) if answer.get("plan") else compiled
        except Failure as failure:
            note = f"flag and candidate were not looked up: {failure.message}"
    return Finding(document.name, "rollout", f"valid, {headline(compiled)}", problems, note, added)


def _flag_settings(session: Session, document: Document) -> FlagRecord | None:
    """The flag whose settings the environment may have; None where it has none, or the API does not know."""
    if not concerns(os.environ):
        return None
    try:
        with session.api(_PATIENCE) as api:
            return _flag_of(api, document)
    except Failure:
        # What follows says that the API does not answer, or what is wrong with the flag.
        return None


def _flag_of(api: Api, document: Document) -> FlagRecord | None:
    key = cast("dict[object, object]", document.data).get("flag") if isinstance(document.data, dict) else None
    return read(FlagRecord, api.get(f"/v1/flags/{segment(key)}")) if isinstance(key, str) and key else None


def _completed(document: Document, record: FlagRecord | None) -> tuple[Document, tuple[str, ...]]:
    """``document`` with what the environment adds to it, and what that is. Raises InvalidFile."""
    if record is None:
        return document, ()
    try:
        found = filled(document.data, record.flag, os.environ)
    except InvalidInput as error:
        raise InvalidFile(document.name, document.located(error.problems)) from error
    return replace(document, data=found.data), found.said


def plan(  # noqa: PLR0913 - one parameter an option
    session: Session,
    file: FileArgument,
    stable: Annotated[str | None, typer.Option("--stable", help="The stable variant; else the API is asked.")] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Expected requests a minute, of both arms.")] = None,
    per_user: Annotated[float | None, typer.Option("--per-user", help="Expected requests of a user a stage.")] = None,
    users: Annotated[float | None, typer.Option("--users", help="How many users there are at all.")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME=MEAN[:DEVIATION]", help="What is normal: error_rate=0.01."),
    ] = None,
) -> None:
    """Show what a rollout would do: stages, earliest dates, gates, approvals, and what happens when one fails.

    With an expected traffic (expect: in the file, or the options) also how many users and how much time each gate
    needs, what it would catch, and which stage is too short to decide.
    """
    document = load(file)
    record = None if stable else _known(session, document)
    document, added = _completed(document, record)
    for note in added:
        session.note(note)
    spec = read_spec(document)
    known = record.traffic.stable if record is not None else UNKNOWN_STABLE
    compiled = _compiled(document, spec, stable or known)
    start_at = datetime.now(UTC)
    data, view = plan_data(compiled, start_at), plan_view(compiled, start_at)
    data |= {"from_environment": list(added)} if added else {}
    expected = _expected(spec, Said(rate, per_user, users, metric or ()))
    stages = _foresee(session, compiled, expected)
    if stages is None:
        session.answer(data | {"outlook": None}, view)
    else:
        session.answer(data | {"outlook": outlook_data(compiled, stages)}, Group(view, outlook_view(compiled, stages)))


def _expected(spec: RolloutSpec, said: Said) -> Expectation | None:
    try:
        return expectation(spec.expect, said)
    except InvalidInput as error:
        raise usage("; ".join(str(as_option(problem)) for problem in error.problems)) from error


def _foresee(session: Session, plan: Plan, expected: Expectation | None) -> tuple[StageOutlook, ...] | None:
    """What is foreseen; None, with a note that tells how to get it, when nothing can be."""
    if expected is None:
        session.note(HOW)
        return None
    try:
        need_statistics("foreseeing what gates need")
    except Failure as failure:
        # The plan itself needs no statistics.
        session.note(failure.message)
        return None
    from turnout.analysis.foresight import foresee

    return foresee(plan, expected)


def _compiled(document: Document, spec: RolloutSpec, stable: str) -> Plan:
    try:
        return compile_plan(spec, stable)
    except InvalidInput as error:
        raise InvalidFile(document.name, document.located(error.problems)) from error


def _known(session: Session, document: Document) -> FlagRecord | None:
    try:
        with session.api(_PATIENCE) as api:
            return _flag_of(api, document)
    except Failure as failure:
        session.note(f"the stable variant is not known: {failure.message}; --stable names it")
        return None


def start(session: Session, file: FileArgument) -> None:
    """Start the rollout in a file.

    What the file leaves open, settings of this process's environment under the flag's env_prefix fill in: a test's name
    and sample, gates on success rate and quality.
    """
    document = load(file)
    with session.api() as api:
        document, added = _completed(document, _starting(api, document))
        for note in added:
            session.note(note)
        read_spec(document)
        answer = posted(lambda: api.post("/v1/rollouts", {"spec": document.data}), document)
    session.answer(answer, _started(document, answer))


def _starting(api: Api, document: Document) -> FlagRecord | None:
    """As `_flag_settings`, where the API has to answer."""
    if not concerns(os.environ):
        return None
    try:
        return _flag_of(api, document)
    except Failure as failure:
        if failure.exit_code is ExitCode.NOT_FOUND:
            # Starting tells so with the line of the file.
            return None
        raise


def _started(document: Document, answer: object) -> Text:
    """What became of it; before a worker has begun it there is only the API's word."""
    fields = mapping(answer)
    if "plan" in fields:
        return started_text(view_of(answer))
    return Text(f"{document.name}: {fields.get('text') or 'scheduled'}")


def posted(post: Callable[[], JsonValue], document: Document) -> JsonValue:
    """What ``post`` answers; what the API finds wrong with the spec in ``document`` is told with its line there."""
    try:
        return post()
    except Failure as failure:
        if not failure.problems:
            raise
        problems = document.located(_in_spec(problem) for problem in failure.problems)
        raise Failure(failure.exit_code, failure.code, failure.message, problems, document.name) from failure


def _in_spec(problem: Problem) -> Problem:
    """``problem`` of a request as one of the spec that the request carries."""
    return replace(problem, path=problem.path.removeprefix("spec").removeprefix("."))
