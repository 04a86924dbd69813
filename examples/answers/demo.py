"""The demo: real answer systems, simulated users, a rollout that completes and one that is taken back."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from turnout.cli.commands import files, flags, rollouts, watch
from turnout.cli.http import Target, segment
from turnout.cli.session import Session
from turnout.cli.views import told_of, view_of
from turnout.client import Turnout
from workers.plan import ROOT

from .corpus import Document, load
from .keyword_search import KeywordSearch
from .queries import queries
from .semantic_search import SemanticSearch
from .service import FLAG, AnswerService, Search
from .stack import Stack
from .story import BAD, GOOD, Served, Summary, Told
from .traffic import Traffic, WitnessedTurnout, paths

HERE = Path(__file__).resolve().parent
SEED = 1
QUESTIONS = 2000

# Seconds of traffic before the first rollout and after the last one, so that everybody is seen on both sides.
_WARM_UP, _COOL_DOWN = 2.0, 2.0

_FLAG_WITHIN = 30.0

T = TypeVar("T")


class DemoFailed(Exception):
    """The demo could not be carried through; the message says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """``documents`` None indexes all there are; ``rate`` is in requests a second, of all ``users`` together."""

    data: Path
    documents: int | None = None
    users: int = 400
    rate: float = 300.0


def run(options: Options) -> Summary:
    """Play the demo through, telling it on stdout; everything it started has stopped when it returns.

    Raises DemoFailed, or what went wrong in the stack or in a system.
    """
    begun = time.monotonic()
    with ExitStack() as opened:
        # The stack starts while the indexes are built.
        stack = opened.enter_context(Stack(options.data))
        documents = _step("read the documents", lambda: load(options.documents))
        systems = _systems(documents)
        session = Session(Target(_step("wait for Temporal, worker and API", stack.url), actor="demo"), json=False)
        _command("flags apply -f", "flags.yaml", lambda path: flags.apply(session, [path]))
        turnout = opened.enter_context(WitnessedTurnout(session.target.url, cache_dir=options.data / "cache"))
        _wait_for_flag(turnout)
        service = AnswerService(turnout, systems)
        users = [f"user-{number:04}" for number in range(options.users)]
        asked = queries(documents, QUESTIONS, SEED)
        with Traffic(service.ask, users, asked, options.rate) as traffic:
            _say(f"{len(users)} users ask {options.rate:g} questions a second")
            time.sleep(_WARM_UP)
            good = _rollout(session, traffic, GOOD, "rollout.yaml")
            bad = _rollout(session, traffic, BAD, "rollout-degraded.yaml")
            time.sleep(_COOL_DOWN)
        turnout.flush()
        status = turnout.status
        served = Served(status.sent, status.dropped, paths(turnout.stays), turnout.last_served(BAD))
    return Summary(good, bad, served, time.monotonic() - begun)


def _wait_for_flag(turnout: Turnout) -> None:
    """Wait until the client has the flag. A service need not: until then its users get the default."""
    arrived = threading.Event()
    turnout.on_change(lambda _: arrived.set())
    if turnout.resolve(FLAG, "anybody").variant is None and not arrived.wait(_FLAG_WITHIN):
        raise DemoFailed(f"the flag has not reached the client: {turnout.status}")


def _systems(documents: Sequence[Document]) -> Mapping[str, Search]:
    builds: dict[str, Callable[[], KeywordSearch | SemanticSearch]] = {
        "keyword": lambda: KeywordSearch(documents),
        GOOD: lambda: SemanticSearch(documents),
        BAD: lambda: SemanticSearch.degraded(documents, SEED),
    }
    return {name: _step(f"index {len(documents)} documents: {name}", build).search for name, build in builds.items()}


def _rollout(session: Session, traffic: Traffic, candidate: str, file: str) -> Told:
    """Start the rollout in ``file``, show it until it has ended, and tell its story."""
    _say(f"\n── to {candidate} ──")
    _command("start", file, lambda path: files.start(session, path))
    _announce(f"watch {FLAG}")
    watch.watch(session, FLAG)
    if traffic.error is not None:
        raise DemoFailed(f"an answer failed: {traffic.error!r}") from traffic.error
    _announce(f"history {FLAG}")
    rollouts.history(session, FLAG)
    with session.api() as api:
        view = view_of(api.get(f"/v1/rollouts/{segment(FLAG)}"))
        told = told_of(api.get(f"/v1/rollouts/{segment(FLAG)}/decisions"), view.id)
    return Told(view.state, [item.decision for item in told])


def _command(command: str, file: str, act: Callable[[str], object]) -> None:
    """Say which command a person would type, and do what it does."""
    path = HERE / file
    _announce(f"{command} {path.relative_to(ROOT)}")
    act(str(path))


def _announce(command: str) -> None:
    _say(f"\n$ turnout {command}")


def _step(what: str, action: Callable[[], T]) -> T:
    """Do something that takes its time, and say how long it took."""
    begun = time.monotonic()
    result = action()
    _say(f"{time.monotonic() - begun:5.1f} s  {what}")
    return result


def _say(text: str) -> None:
    # What the commands write follows at once, so nothing may wait in a buffer.
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
