"""Following one rollout: its state whenever something happens, over broken connections and restarts of the API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from turnout.cli.failures import ExitCode, Failure
from turnout.cli.http import Api, segment
from turnout.cli.views import RolloutView, Told, told_of, view_of
from turnout.client.backoff import Backoff

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0


@dataclass(frozen=True, slots=True)
class Update:
    """The rollout as it stands, as read and as answered, and the decisions that are ``new`` since the last update."""

    view: RolloutView
    answer: JsonValue
    new: tuple[Told, ...] = ()


@dataclass(frozen=True, slots=True)
class Trouble:
    """The API cannot be reached just now; following goes on."""

    text: str


class Follower:
    """Follows the rollout of ``flag``; ``sleep`` takes seconds."""

    def __init__(self, api: Api, flag: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._api = api
        self._path = f"/v1/rollouts/{segment(flag)}"
        self._sleep = sleep
        self._backoff = Backoff(_FIRST_WAIT, _LONGEST_WAIT)
        self._rollout = ""
        self._seen = 0

    def updates(self) -> Iterator[Update | Trouble]:
        """Updates until the rollout has ended, the last one with its end.

        Raises Failure when it cannot be followed at all; a connection that breaks later is a Trouble.
        """
        update = self._update()
        yield update
        while not update.view.state.ended:
            try:
                for update in self._stream():
                    yield update
                    if update.view.state.ended:
                        return
            except Failure as failure:
                if failure.exit_code is not ExitCode.UNAVAILABLE:
                    raise
                yield Trouble(failure.message)
            self._sleep(self._backoff.next())

    def _stream(self) -> Iterator[Update]:
        """An update when connected, since something may have happened before, and one for every event."""
        events = self._api.events(f"{self._path}/events", f"{self._rollout}:{self._seen}")
        yield self._update()
        for _ in events:
            self._backoff.reset()
            yield self._update()

    def _update(self) -> Update:
        answer = self._api.get(self._path)
        view = view_of(answer)
        if view.id != self._rollout:
            self._rollout, self._seen = view.id, 0
        told = self._told(view)
        new = tuple(item for item in told if item.decision.seq > self._seen)
        self._seen = max((item.decision.seq for item in new), default=self._seen)
        return Update(view, answer, new)

    def _told(self, view: RolloutView) -> tuple[Told, ...]:
        """The decisions of this rollout; one that no worker has begun has none, but its flag may have older ones."""
        if view.plan is None:
            return ()
        return told_of(self._api.get(f"{self._path}/decisions", {"evidence": "true"}), view.id)
