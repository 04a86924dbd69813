"""The workflow of one shared breaker: waits out the recovery on a durable timer, probes, closes or opens again.

The rules are those of `turnout.domain.breaking`; this orders their effects. It ends once the breaker has been closed
for a calm time, and begins anew with the next report.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, FailureError

with workflow.unsafe.imports_passed_through():
    from turnout.domain import breaking
    from turnout.domain.breaking import BreakerReport, SharedBreaker
    from turnout.domain.guard_notices import breaker_notice
    from turnout.domain.machine import BREAKER
    from workflows.messages import (
        BREAKER_NAME,
        BreakerInput,
        BreakerSignal,
        CloseBreaker,
        CommandRequest,
        Probed,
        ProbeWatch,
        Switched,
        SwitchRequest,
        ToldRollout,
    )
    from workflows.ports import Switchboard

from workflows.notifying import tell

_STORE_TIMEOUT = timedelta(seconds=30)
_RETRY = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=5))
_LONGEST = timedelta(days=366)
_HEARTBEAT = timedelta(seconds=10)

Order = BreakerSignal | CloseBreaker


@workflow.defn(name=BREAKER_NAME)
class BreakerWorkflow:
    """The breaker of one variant of one flag, for all processes."""

    @workflow.init
    def __init__(self, request: BreakerInput) -> None:
        self._request = request
        self._breaker = request.breaker
        self._policy = request.policy
        self._inbox: deque[Order] = deque()
        self._watch: workflow.ActivityHandle[Probed] | None = None

    @workflow.run
    async def run(self, request: BreakerInput) -> SharedBreaker | None:
        """Until the breaker has been calm, or its flag is gone; where it was last."""
        try:
            while await self._step():
                if workflow.info().is_continue_as_new_suggested() and not self._inbox:
                    self._end_watch()
                    carried = {"breaker": self._breaker, "policy": self._policy}
                    workflow.continue_as_new(request.model_copy(update=carried))
        except ActivityError as error:
            workflow.logger.warning("the breaker of %s/%s ends: %s", request.flag, request.variant, error.cause)
        self._end_watch()
        return self._breaker

    @workflow.signal(name="report")
    def report(self, signal: BreakerSignal) -> None:
        """A process's breaker has opened or closed."""
        self._inbox.append(signal)

    @workflow.signal(name="close")
    def close(self, order: CloseBreaker) -> None:
        """A person closes it, whatever the probes say."""
        self._inbox.append(order)

    @workflow.query(name="status")
    def status(self) -> SharedBreaker | None:
        """Where it is; None before the first report was acted on."""
        return self._breaker

    async def _step(self) -> bool:
        """One event and what follows from it; False at the end."""
        await self._something()
        now = workflow.now()
        if self._inbox:
            await self._act_on(self._inbox.popleft(), now)
        elif self._watch is not None and self._watch.done():
            await self._judge(self._watch.result(), now)
        elif self._breaker is not None and self._breaker.circuit == "open":
            await self._switch(breaking.probing(self._policy, self._breaker, now))
        else:
            return False
        return True

    async def _something(self) -> None:
        """Wait for an order, for the probes, or for the time to be up."""
        if self._breaker is not None and self._breaker.circuit == "half_open":
            watch = self._watch = self._watch or self._start_watch(self._breaker)
            await workflow.wait_condition(lambda: bool(self._inbox) or watch.done())
            return
        due = self._due()
        try:
            await workflow.wait_condition(
                lambda: bool(self._inbox),
                timeout=None if due is None else max(timedelta(), due - workflow.now()),
                timeout_summary=None if self._breaker is None else f"{self._breaker.circuit} until then",
            )
        except TimeoutError:
            return

    def _due(self) -> datetime | None:
        breaker = self._breaker
        if breaker is None:
            return None
        return breaker.until if breaker.circuit == "open" else breaking.calm_at(self._policy, breaker)

    async def _act_on(self, order: Order, now: datetime) -> None:
        circuit = self._breaker.circuit if self._breaker is not None else None
        if isinstance(order, CloseBreaker):
            if circuit != "closed":
                await self._switch(breaking.closed(self._breaker, now, order.reason, order.actor))
            return
        self._policy = order.policy
        report = order.report
        if report.circuit == "open" and circuit != "open":
            await self._switch(breaking.opened(self._policy, self._breaker, report, now))
        elif report.circuit == "closed" and circuit == "half_open":
            await self._switch(breaking.closed(self._breaker, now, report.why, report.reporter))

    async def _judge(self, probed: Probed, now: datetime) -> None:
        asked = f"{probed.bad} of {probed.good + probed.bad} probes failed"
        if probed.bad:
            kind = self._breaker.kind if self._breaker is not None else "errors"
            report = BreakerReport(circuit="open", kind=kind, why=asked, reporter="turnout")
            await self._switch(breaking.opened(self._policy, self._breaker, report, now))
        else:
            why = f"{probed.good} probes went well"
            await self._switch(breaking.closed(self._breaker, now, why, "turnout"))

    async def _switch(self, after: SharedBreaker) -> None:
        """Publish first, then tell."""
        request, before = self._request, self._breaker
        self._end_watch()
        switched: Switched = await workflow.execute_activity_method(
            Switchboard.switch,
            SwitchRequest(flag=request.flag, variant=request.variant, breaker=after),
            start_to_close_timeout=_STORE_TIMEOUT,
            retry_policy=_RETRY,
            summary=f"{after.circuit}: {after.why}"[:190],
        )
        self._breaker = after
        workflow.set_current_details(f"**{request.flag}/{request.variant}**: {after.circuit}, {after.why}")
        if after.circuit == "open" and switched.rollout is not None:
            await self._tell_rollout(switched.rollout, after)
        notice = breaker_notice((request.flag, request.variant, switched.stable), before, after)
        if notice is not None:
            await tell(notice, switched.channels)

    async def _tell_rollout(self, told: ToldRollout, breaker: SharedBreaker) -> None:
        why = f"the breaker of {self._request.variant} opened: {breaker.why}"
        order = CommandRequest(id=f"breaker:{breaker.at.isoformat()}:{breaker.seq}", actor=BREAKER, reason=why)
        try:
            await workflow.get_external_workflow_handle(told.workflow_id).signal(told.command, order)
        except FailureError as error:
            # It has ended meanwhile.
            workflow.logger.info("rollout %s is not told: %s", told.workflow_id, error)

    def _start_watch(self, breaker: SharedBreaker) -> workflow.ActivityHandle[Probed]:
        request = self._request
        return workflow.start_activity_method(
            Switchboard.watch,
            ProbeWatch(flag=request.flag, variant=request.variant, since=breaker.at, wanted=self._policy.probes),
            start_to_close_timeout=_LONGEST,
            heartbeat_timeout=_HEARTBEAT,
            retry_policy=_RETRY,
            cancellation_type=workflow.ActivityCancellationType.TRY_CANCEL,
            summary=f"{self._policy.probes} probes",
        )

    def _end_watch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None and not watch.done():
            watch.add_done_callback(_forget)
            watch.cancel()


def _forget(handle: asyncio.Task[Probed]) -> None:
    """Look at the end of a watch that nobody waits for, so that it is not reported as lost."""
    if not handle.cancelled():
        handle.exception()
