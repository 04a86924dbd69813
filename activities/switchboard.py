"""Publishing where shared breakers are, and watching their probes."""

from __future__ import annotations

import asyncio

from temporalio import activity

from activities.errors import as_application_error
from turnout.domain.errors import NotFound
from turnout.domain.rollout import State
from turnout.ports import RolloutRecord, Stores
from workflows.messages import Probed, ProbeWatch, Switched, SwitchRequest, ToldRollout, workflow_id
from workflows.ports import Switchboard

_POLL = 0.5


class StoreSwitchboard(Switchboard):
    """The switchboard over the stores."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    @activity.defn(name="switch_breaker")
    async def switch(self, request: SwitchRequest) -> Switched:
        """See `Switchboard.switch`."""
        with as_application_error():
            record, revision = await self._stores.flags.switch(request.flag, request.variant, request.breaker)
            rollout = await self._rollout(request)
        plan = rollout.plan if rollout is not None else None
        channels = record.flag.notify + tuple(c for c in (plan.notify if plan else ()) if c not in record.flag.notify)
        told = _told(rollout) if rollout is not None else None
        return Switched(revision=revision, stable=record.traffic.stable, channels=channels, rollout=told)

    @activity.defn(name="watch_probes")
    async def watch(self, request: ProbeWatch) -> Probed:
        """See `Switchboard.watch`."""
        while True:
            with as_application_error():
                good, bad = await self._stores.outcomes.served(request.flag, request.variant, request.since)
            if bad or good >= request.wanted:
                return Probed(good=good, bad=bad)
            activity.heartbeat()
            await asyncio.sleep(_POLL)

    async def _rollout(self, request: SwitchRequest) -> RolloutRecord | None:
        """The open rollout that moves traffic to the variant."""
        try:
            rollout = await self._stores.rollouts.latest(request.flag)
        except NotFound:
            return None
        return rollout if rollout.candidate == request.variant and not rollout.state.ended else None


def _told(rollout: RolloutRecord) -> ToldRollout | None:
    """What the rollout has to hear; one that is paused need not be paused."""
    command = rollout.plan.on_breaker
    if command == "ignore" or (command == "pause" and rollout.state is State.PAUSED):
        return None
    return ToldRollout(workflow_id=workflow_id(rollout.flag), command=command)
