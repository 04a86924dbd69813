"""What tests of guarded calls need: a sender that keeps outcomes, assignments, and calls of one flag."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

from turnout import Answer, Assignment
from turnout.client.background import Background
from turnout.client.calling import call_awaiting, call_blocking
from turnout.client.crew import Crew
from turnout.client.guarding import Guard, Guarding
from turnout.client.http import endpoint
from turnout.client.outcomes import Draft
from turnout.client.protecting import Passage
from turnout.client.sender import Sender
from turnout.client.shadowing import Shadowing
from turnout.client.shared import Shared
from turnout.domain.outcomes import Outcome
from turnout.guards.policy import ErrorBreaker, Policy

SOON = 0.3
"""A time limit that a test waits for."""

PUBLISHED = {"stable": "old", "generation": 3}


class Kept(Sender):
    """A sender that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__(endpoint("http://127.0.0.1:9", None, 1), 10)
        self.kept: list[Outcome] = []
        self._news = threading.Condition()

    def put(self, outcome: Outcome | Draft) -> bool:
        """Keep it."""
        with self._news:
            self.kept.append(outcome.outcome() if isinstance(outcome, Draft) else outcome)
            self._news.notify_all()
        return True

    def all(self, count: int = 1) -> list[Outcome]:
        """The outcomes, once there are so many."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.kept) >= count, 10)
            return list(self.kept)

    def told(self) -> list[tuple[str, bool | None, str | None]]:
        """Variant, success and who decided, of every outcome."""
        return [(outcome.variant, outcome.ok, outcome.decided_by) for outcome in self.kept]


def assigned(variant: str | None = "new", by: str = "traffic", **metadata: object) -> Assignment:
    """A user who is given ``variant`` of a flag whose stable one is ``old``."""
    published: dict[str, Any] = {**PUBLISHED, **metadata}
    return Assignment("engine", variant, 1, "STATIC", "user-1", 3, None, by, published)


class Service:
    """Guarded calls of one flag, made the one way or the other."""

    def __init__(self, policy: Policy | None = None, shared: Shared | None = None, **guard: Any) -> None:
        self.sender = Kept()
        self.scoring = Background(2, 10, waiting=100)
        self.shadowing = Shadowing(self.sender, places=2, limit_s=10)
        self.guarding = Guarding(self.sender, self.scoring, shared)
        self.crew = Crew()
        self.guarding.guard("engine", Guard(policy or Policy(), **guard))

    def call(
        self, systems: Mapping[str, Callable[..., Any]], assignment: Assignment | None = None, **arguments: Any
    ) -> Answer[Any]:
        """With plain functions."""
        given = assigned() if assignment is None else assignment
        return call_blocking(self.guarding, self.crew, self.shadowing.submit, given, systems, arguments)

    async def acall(
        self, systems: Mapping[str, Callable[..., Any]], assignment: Assignment | None = None, **arguments: Any
    ) -> Answer[Any]:
        """With coroutine functions."""
        given = assigned() if assignment is None else assignment
        return await call_awaiting(self.guarding, self.shadowing.spawn, given, systems, arguments)

    def either(
        self,
        kind: str,
        systems: Mapping[str, Callable[..., Any]],
        assignment: Assignment | None = None,
        **arguments: Any,
    ) -> Answer[Any]:
        """With plain functions, as they are or made coroutine functions."""
        if kind == "plain":
            return self.call(systems, assignment, **arguments)
        coroutines = {name: _coroutine(system) for name, system in systems.items()}
        return asyncio.run(self.acall(coroutines, assignment, **arguments))

    def clock(self, clock: Callable[[], float]) -> None:
        """Let the breaker of the variant ``new`` go by ``clock``."""
        standing = self.guarding.standing("engine")
        passage = self.guarding.enter(standing, assigned(), "new")
        assert isinstance(passage, Passage)
        passage.lost()
        breaker: Any = standing.protections["new"]._errors
        breaker._clock = clock

    def close(self) -> None:
        """End its threads."""
        self.crew.stop()
        self.guarding.close(1)
        self.shadowing.close(1)


def limited(seconds: float = SOON, **breaker: Any) -> Policy:
    """A policy with a time limit, and perhaps a breaker of a kind."""
    return Policy(timeout=f"{seconds}s", errors=ErrorBreaker(**breaker))


def raises(error: BaseException) -> Callable[..., Any]:
    """A system that fails with ``error``."""

    def system(**_: object) -> Any:
        raise error

    return system


def _coroutine(system: Callable[..., Any]) -> Callable[..., Any]:
    async def asked(**arguments: Any) -> Any:
        await asyncio.sleep(0)
        return system(**arguments)

    return asked
