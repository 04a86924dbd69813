"""Telling routers what to do: one writer at a time in a process, and read back after every write."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from turnout.domain.errors import InvalidInput, Problem
from turnout.domain.routing import Router
from turnout.domain.splits import Drift, RouterSplit, RouterState, drifts
from turnout.ports import TrafficRouter

_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Kept:
    """What looking after a router came to.

    ``found`` is what it did otherwise than asked when it was looked at, ``left`` what it does otherwise still. ``late``
    if it had not been given the split before: then ``found`` is no drift.
    """

    found: tuple[Drift, ...] = ()
    left: tuple[Drift, ...] = ()
    late: bool = False

    @property
    def obeyed(self) -> bool:
        """Whether the router did as it was told, and does so now."""
        return not self.left and (self.late or not self.found)


class Steering:
    """The routers of all rollouts. ``router_of`` makes one from its configuration; None where there is none to steer.

    Whoever steers the same router waits for the one before, so that of two writers in this process the fence of the
    generation always stops the older one, whatever the router itself can do.
    """

    def __init__(self, router_of: Callable[[Router], TrafficRouter | None]) -> None:
        self._router_of = router_of
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def apply(self, config: Router, split: RouterSplit) -> RouterState:
        """Make the router do ``split``; what is written over in the same instant is written again, a few times.

        Raises:
            StaleGeneration: the router follows a newer generation.
            InvalidInput: it refuses, or is not as its configuration says.
            Unavailable: it does not answer.
        """
        router = self._found(config)
        async with self._turns[config.model_dump_json()]:
            return await _applied(router, split)

    async def keep(self, config: Router, split: RouterSplit) -> Kept:
        """Look whether the router does ``split``, and set it right. Raises as `apply` does."""
        router = self._found(config)
        async with self._turns[config.model_dump_json()]:
            state = await router.read()
            found = drifts(router.planned(split), state)
            if all(drift.kind == "condition" for drift in found):
                return Kept(found, found)
            late = state.generation is not None and state.generation < split.generation
            after = await _applied(router, split)
            return Kept(found, after.drift, late)

    def _found(self, config: Router) -> TrafficRouter:
        router = self._router_of(config)
        if router is None:
            raise InvalidInput([Problem("router.kind", "moves no requests", "", config.kind)])
        return router


async def _applied(router: TrafficRouter, split: RouterSplit) -> RouterState:
    """The state after a write that held; what somebody else changed in the same instant is written once more."""
    for _ in range(_ATTEMPTS - 1):
        state = await router.apply(split)
        if all(drift.kind == "condition" for drift in state.drift):
            return state
    return await router.apply(split)
