"""Moving requests by a router."""

from __future__ import annotations

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.beating import heartbeats
from activities.errors import LONGEST, as_application_error
from turnout.adapters.steering import Steering
from turnout.domain.errors import InvalidInput
from turnout.domain.splits import RouterState
from workflows.messages import Routed, RouteRequest
from workflows.ports import Routing


class SteeredRouting(Routing):
    """Routing over the routers of ``steering``."""

    def __init__(self, steering: Steering) -> None:
        self._steering = steering

    @activity.defn(name="route_traffic")
    async def route(self, request: RouteRequest) -> Routed:
        """See `Routing.route`. What has to be delivered is tried after a refusal, too: somebody may mend the router."""
        async with heartbeats():
            state = await self._applied(request)
        if any(drift.kind != "condition" for drift in state.drift):
            raise ApplicationError(f"somebody else changes the router: {_told(state)}", type="drift")
        return Routed(text=f"the router does as planned{_but(state)}")

    async def _applied(self, request: RouteRequest) -> RouterState:
        with as_application_error():
            try:
                return await self._steering.apply(request.router, request.split)
            except InvalidInput as error:
                if request.delivered:
                    raise ApplicationError(str(error)[:LONGEST], type=error.code) from error
                raise


def _told(state: RouterState) -> str:
    return "; ".join(map(str, state.drift))


def _but(state: RouterState) -> str:
    return f", but {_told(state)}" if state.drift else ""
