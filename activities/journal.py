"""Recording decisions and publishing their traffic."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from temporalio import activity

from activities.calendar import Calendar
from activities.errors import as_application_error
from turnout.domain.rollout import Decision, State
from turnout.ports import Delivery, FlagStore, RolloutRecord, RolloutStore
from turnout.strategies import compile_plan, parse_spec
from workflows.messages import Committed, DeliveryReport, DeliveryRequest, Opened, OpenRequest
from workflows.ports import Journal

FEED_SILENCE = timedelta(seconds=10)
"""A snapshot feed that has not been heard of for so long is not waited for."""

PATIENCE = timedelta(seconds=10)
_POLL = 0.05


class StoreJournal(Journal):
    """The journal over the stores."""

    def __init__(self, flags: FlagStore, rollouts: RolloutStore, calendar: Calendar) -> None:
        self._flags = flags
        self._rollouts = rollouts
        self._calendar = calendar

    @activity.defn(name="open_rollout")
    async def open(self, request: OpenRequest) -> Opened:
        """See `Journal.open`."""
        with as_application_error():
            spec = parse_spec(request.spec)
            flag = await self._flags.get(spec.flag)
            plan = compile_plan(spec, flag.traffic.stable)
            record = RolloutRecord(
                id=request.rollout_id,
                flag=plan.flag,
                strategy=plan.strategy,
                candidate=plan.candidate,
                stable=plan.stable,
                state=State.SCHEDULED,
                stage=0,
                share=0.0,
                generation=flag.traffic.generation,
                started_by=request.started_by,
                started_at=request.at,
                spec=request.spec,
                plan=plan,
            )
            opened = await self._rollouts.open(record)
            opening = await self._calendar.opening(plan.flag, opened.plan.stages[0].windows, request.at)
        return Opened(plan=opened.plan, generation=opened.generation, opening=opening)

    @activity.defn(name="commit_decision")
    async def commit(self, decision: Decision) -> Committed:
        """See `Journal.commit`."""
        with as_application_error():
            return Committed(revision=await self._rollouts.commit(decision))

    @activity.defn(name="confirm_delivery")
    async def confirm(self, request: DeliveryRequest) -> DeliveryReport:
        """See `Journal.confirm`."""
        give_up = datetime.now(UTC) + PATIENCE
        with as_application_error():
            while True:
                now = datetime.now(UTC)
                seen = await self._flags.delivery(request.revision, now - FEED_SILENCE)
                if _delivered(seen) or now >= give_up:
                    return DeliveryReport(feeds=seen.feeds, lagging=seen.lagging)
                await asyncio.sleep(_POLL)


def _delivered(seen: Delivery) -> bool:
    return seen.feeds > 0 and seen.lagging == 0
