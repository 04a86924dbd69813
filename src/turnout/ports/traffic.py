"""The ports through which a rollout moves traffic outside of Turnout, and asks whether a service is healthy."""

from __future__ import annotations

from typing import Protocol

from turnout.domain.health import HealthProbe, Probed
from turnout.domain.splits import RouterSplit, RouterState

__all__ = ["HealthProbe", "Probed", "Prober", "RouterSplit", "RouterState", "TrafficRouter"]


class TrafficRouter(Protocol):
    """One router in front of a flag's variants.

    To find out whether it still does as asked: ``drifts(router.planned(split), await router.read())``. To repair it:
    apply the same split again.
    """

    def planned(self, split: RouterSplit) -> RouterState:
        """What `read` gives while the router does ``split``, with the shares that this router can achieve. Pure.

        Raises:
            InvalidInput: the router's configuration lacks a variant, or it cannot do the preview.
        """
        ...

    async def apply(self, split: RouterSplit) -> RouterState:
        """Make the router do ``split``, then read back; ``drift`` holds what is other than asked.

        Idempotent: a split that the router does already changes nothing. A split whose weights grow one variant and
        shrink another leaves at no time all of them without traffic.

        Raises:
            StaleGeneration: the router follows a newer generation, or the same one of another rollout.
            InvalidInput: the router refuses, or is not as its configuration says: no such backend, no permission.
            Unavailable: it does not answer, or not in time; whether it has changed is unknown. Apply again.
        """
        ...

    async def read(self) -> RouterState:
        """What the router does now.

        Raises:
            InvalidInput: the router is not as its configuration says.
            Unavailable: it does not answer.
        """
        ...


class Prober(Protocol):
    """Asks a service for its health."""

    async def probe(self, probe: HealthProbe) -> Probed:
        """Ask once and judge the answer. A service that does not answer is a bad answer, not an error."""
        ...
