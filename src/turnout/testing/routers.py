"""A router in memory and a prober that answers from a script."""

from __future__ import annotations

from collections.abc import Sequence

from turnout.domain.health import HealthProbe, Probed
from turnout.domain.proportions import shares
from turnout.domain.splits import RouterSplit, RouterState, checked, named, refuse_stale


class MemoryRouter:
    """A `turnout.ports.TrafficRouter` that does exactly as asked, for ``variants``.

    ``applied`` keeps every split that was let through, in order. Set ``state`` to what somebody else has made of it,
    and ``failure`` to the error that the next calls of `apply` and `read` shall raise.
    """

    def __init__(self, variants: Sequence[str]) -> None:
        self.variants = tuple(variants)
        self.state = RouterState(shares=dict.fromkeys(variants, 0))
        self.applied: list[RouterSplit] = []
        self.failure: Exception | None = None

    def planned(self, split: RouterSplit) -> RouterState:
        """See `TrafficRouter.planned`. Raises InvalidInput."""
        return RouterState(
            shares=shares(named(split, dict.fromkeys(self.variants, ""), "router.variants")),
            preview=split.preview,
            rollout_id=split.rollout_id,
            generation=split.generation,
        )

    async def apply(self, split: RouterSplit) -> RouterState:
        """See `TrafficRouter.apply`. Conditions stay as they are. Raises StaleGeneration, InvalidInput, ``failure``."""
        planned = self.planned(split)
        refuse_stale(split, await self.read(), "the router in memory")
        self.applied.append(split)
        self.state = planned.model_copy(update={"conditions": self.state.conditions})
        return checked(planned, self.state)

    async def read(self) -> RouterState:
        """See `TrafficRouter.read`. Raises ``failure``."""
        if self.failure is not None:
            raise self.failure
        return self.state


class ScriptedProber:
    """A `turnout.ports.Prober` that gives ``answers`` in turn and goes on repeating the last.

    ``asked`` keeps every probe in order.
    """

    def __init__(self, answers: Sequence[Probed]) -> None:
        self._answers = list(answers)
        self.asked: list[HealthProbe] = []

    async def probe(self, probe: HealthProbe) -> Probed:
        """The next answer."""
        self.asked.append(probe)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
