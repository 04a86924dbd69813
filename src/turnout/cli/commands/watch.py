"""turnout watch: a rollout as it goes, live on a terminal, line by line on a pipe."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from turnout.cli.command import command
from turnout.cli.commands.arguments import FlagArgument
from turnout.cli.failures import ExitCode
from turnout.cli.feed import Follower, Trouble, Update
from turnout.cli.render.checks import check_told
from turnout.cli.render.history import decision_text, heading
from turnout.cli.render.live import SHOWN_DECISIONS, live_view, ticked
from turnout.cli.session import Session, console_of, write
from turnout.cli.views import RolloutView, Told
from turnout.domain.rollout import State
from turnout.domain.verdicts import Verdict

_REFRESH = 0.5
"""Seconds between two pictures while nothing happens."""

Happening = Update | Trouble


def add_to(app: typer.Typer, panel: str) -> None:
    """Add the command of this file to ``app``."""
    command(app, "watch", panel)(watch)


def watch(session: Session, flag: FlagArgument) -> ExitCode:
    """Watch a rollout until it ends: 0 when it completes, 1 when it ends otherwise. Ctrl-C only stops watching."""
    with session.api() as api:
        happenings = Follower(api, flag).updates()
        console = console_of(sys.stdout)
        if session.json:
            end = _as_json(session, happenings)
        elif console.is_terminal:
            end = _live(console, happenings)
        else:
            end = _as_lines(session, happenings)
    return ExitCode.OK if end is State.COMPLETED else ExitCode.NEGATIVE


def _as_json(session: Session, happenings: Iterator[Happening]) -> State | None:
    """One JSON line for every update: the rollout, and the decisions that are new."""
    state: State | None = None
    for happening in happenings:
        if isinstance(happening, Update):
            state = happening.view.state
            new = [item.decision.model_dump(mode="json") for item in happening.new]
            session.answer({"rollout": happening.answer, "new_decisions": new}, "")
    return state


class Story:
    """Turns updates into lines, each thing told once."""

    def __init__(self) -> None:
        self._rollout = ""
        self._verdicts: dict[str, Verdict] = {}

    def lines(self, update: Update) -> list[Text]:
        """What is new: the heading, decisions, and checks whose verdict changed."""
        view, found = update.view, list[Text]()
        if view.id != self._rollout:
            self._rollout = view.id
            found.append(Text(heading(view)))
        found += [decision_text(item.decision, view) for item in update.new]
        for check in view.checks:
            name = f"{check.role} {check.gate}"
            if self._verdicts.get(name) is not check.verdict:
                self._verdicts[name] = check.verdict
                found.append(Text(f"    {check_told(check)}"))
        return found


def _as_lines(session: Session, happenings: Iterator[Happening]) -> State | None:
    story, state, troubled = Story(), None, False
    for happening in happenings:
        if isinstance(happening, Trouble):
            if not troubled:
                session.note(f"{happening.text}; trying again")
            troubled = True
            continue
        state, troubled = happening.view.state, False
        if lines := story.lines(happening):
            write(Group(*lines))
    return state


class Screen:
    """What a terminal shows: the last update, going on with the time."""

    def __init__(self, update: Update, now: datetime) -> None:
        self._view: RolloutView = update.view
        self._since = now
        self._told: list[Told] = list(update.new[-SHOWN_DECISIONS:])
        self._trouble = ""

    @property
    def state(self) -> State:
        """Where the rollout is."""
        return self._view.state

    def take(self, happening: Happening, now: datetime) -> None:
        """Take in what happened."""
        if isinstance(happening, Trouble):
            self._trouble = happening.text
            return
        if happening.view.id != self._view.id:
            self._told.clear()
        self._view, self._since, self._trouble = happening.view, now, ""
        self._told = [*self._told, *happening.new][-SHOWN_DECISIONS:]

    def picture(self, now: datetime) -> RenderableType:
        """The screen at ``now``. While not connected nothing is known to go on."""
        passed = timedelta() if self._trouble else now - self._since
        return live_view(ticked(self._view, passed), self._told, self._trouble, now)


def _live(console: Console, happenings: Iterator[Happening]) -> State:
    first = next(happenings)
    if isinstance(first, Trouble):
        raise AssertionError("following begins with an update or fails")
    arrived: queue.Queue[Happening | Exception | None] = queue.Queue()
    # A daemon: it waits for the network, which must not keep anybody who leaves.
    threading.Thread(target=_pump, args=(happenings, arrived), daemon=True).start()
    screen = Screen(first, _now())
    with Live(screen.picture(_now()), console=console, auto_refresh=False) as live:
        for happening in _until_none(arrived):
            if happening is not None:
                screen.take(happening, _now())
            live.update(screen.picture(_now()), refresh=True)
    return screen.state


def _pump(happenings: Iterator[Happening], into: queue.Queue[Happening | Exception | None]) -> None:
    try:
        for happening in happenings:
            into.put(happening)
        into.put(None)
    # Whatever it is, the thread that shows it has to hear of it.
    except Exception as error:
        into.put(error)


def _until_none(arrived: queue.Queue[Happening | Exception | None]) -> Iterator[Happening | None]:
    """What arrives, None whenever nothing did for a while; ends at a None that arrived, raises an error that did."""
    while True:
        try:
            happening = arrived.get(timeout=_REFRESH)
        except queue.Empty:
            yield None
            continue
        if happening is None:
            return
        if isinstance(happening, Exception):
            raise happening
        yield happening


def _now() -> datetime:
    return datetime.now(UTC)
