"""The rollout workflow: orders effects around the pure rules of `turnout.domain.machine`."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from turnout.domain import machine
    from turnout.domain.ahead import due_at, move_windows
    from turnout.domain.freezes import Closed, Opening
    from turnout.domain.moves import Step
    from turnout.domain.plan import Plan
    from turnout.domain.refusals import windows_for
    from turnout.domain.rollout import Clock, Decision, Observation, RolloutState, RolloutStatus, status_of
    from turnout.domain.splits import RouterSplit
    from turnout.domain.steering import split_of
    from turnout.domain.windows import Window
    from workflows.messages import (
        WORKFLOW_NAME,
        CalendarRequest,
        Carried,
        CommandRequest,
        Committed,
        DeliveryRequest,
        OpenRequest,
        RolloutInput,
        RolloutResult,
    )
    from workflows.ports import Journal, Lookout

from workflows.commands import Asked, Commands
from workflows.details import details_of
from workflows.notifying import announce
from workflows.routing import told, why_not
from workflows.watching import Watch

FLAG = SearchAttributeKey.for_keyword("TurnoutFlag")
STRATEGY = SearchAttributeKey.for_keyword("TurnoutStrategy")
STATE = SearchAttributeKey.for_keyword("TurnoutState")
STAGE = SearchAttributeKey.for_keyword("TurnoutStage")

_STORE_TIMEOUT = timedelta(seconds=30)
_STORE_RETRY = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=5))
_DELIVERY_TIMEOUT = timedelta(seconds=20)
_DELIVERY_RETRY = RetryPolicy(maximum_attempts=3)


@workflow.defn(name=WORKFLOW_NAME)
class RolloutWorkflow(Commands):
    """One rollout of one flag, from its first stage to its end."""

    @workflow.init
    def __init__(self, request: RolloutInput) -> None:
        carried = request.carried
        super().__init__()
        self._request = request
        self._plan: Plan | None = carried.plan if carried else None
        self._state = (
            carried.state
            if carried
            else RolloutState(
                rollout_id=request.rollout_id or workflow.info().first_execution_run_id, started_by=request.started_by
            )
        )
        self._revision = 0
        self._split: RouterSplit | None = None
        self._opening: Opening | None = None
        self._watch: Watch | None = None
        self._shown: tuple[str, str] | None = None

    @workflow.run
    async def run(self, request: RolloutInput) -> RolloutResult:
        """Take the flag, go through the stages, end with everybody on one side.

        Cancelling the workflow aborts the rollout, in order: nobody may be left with a candidate that is not watched.
        """
        rollout = asyncio.create_task(self._roll_out())
        try:
            await workflow.wait_condition(rollout.done)
        except asyncio.CancelledError:
            if workflow.cancellation_reason() is None:
                raise
            self._queue("abort", CommandRequest(actor="temporal", reason="the workflow was cancelled"))
        return await rollout

    async def _roll_out(self) -> RolloutResult:
        plan = self._plan or await self._open()
        self._show(plan)
        if self._state.last is None:
            closed = await self._closed_still(plan)
            await self._carry_out(plan, machine.begin(plan, self._state, workflow.now(), closed))
        while not self._state.state.ended:
            await self._turn(plan)
            if self._may_hand_over() and self._history_is_long():
                await self._hand_over(plan)
        await self._drain(plan)
        self._follow_up(plan)
        last = self._state.last
        return RolloutResult(
            rollout_id=self._state.rollout_id,
            flag=plan.flag,
            state=self._state.state,
            text=last.text if last else "",
        )

    @workflow.query(name="status")
    def status(self) -> RolloutStatus | None:
        """Where the rollout is; None while the flag is still being taken."""
        return status_of(self._plan, self._state) if self._plan else None

    async def _open(self) -> Plan:
        try:
            opened = await workflow.execute_activity_method(
                Journal.open,
                OpenRequest(
                    rollout_id=self._state.rollout_id,
                    spec=self._request.spec,
                    started_by=self._request.started_by,
                    at=workflow.now(),
                ),
                start_to_close_timeout=_STORE_TIMEOUT,
                retry_policy=_STORE_RETRY,
                summary="take the flag",
            )
        except ActivityError as error:
            cause = error.cause
            code = cause.type if isinstance(cause, ApplicationError) else None
            raise ApplicationError(str(cause), type=code or "error", non_retryable=True) from error
        self._plan = opened.plan
        self._opening = opened.opening
        known = {"generation": opened.generation, "calendar": opened.opening is not None}
        self._state = self._state.model_copy(update=known)
        return opened.plan

    async def _turn(self, plan: Plan) -> None:
        """One event, and all that follows from it."""
        if self._state.ending is not None:
            await self._finish(plan)
            return
        try:
            event = await self._next_event(plan)
        except ActivityError as error:
            self._watch = None
            await self._carry_out(plan, machine.broken(plan, self._state, workflow.now(), str(error.cause)))
            return
        if isinstance(event, Asked):
            await self._act_on(plan, event)
        elif event is None:
            closed = await self._closed(plan, move_windows(plan, self._state) if self._state.since is None else None)
            await self._carry_out(plan, machine.due(plan, self._state, workflow.now(), closed))
        else:
            await self._carry_out(plan, machine.observe(plan, self._state, event))

    async def _act_on(self, plan: Plan, asked: Asked) -> None:
        order = asked.command
        if order.id in self._state.seen:
            self._answer(asked, order.id not in self._state.refused, "acted on before")
            return
        closed = await self._closed(plan, windows_for(plan, self._state, order))
        step = await self._carry_out(plan, machine.command(plan, self._state, order, workflow.now(), closed))
        while self._state.ending is not None:
            await self._finish(plan)
        done = step.decisions[0]
        self._answer(asked, done.command_id == order.id and done.kind != "refused", done.text)

    async def _closed_still(self, plan: Plan) -> Closed | None:
        """Why the first stage may not begin now, as the store said when the flag was taken, or says by now."""
        opening = self._opening
        if opening is None or _holds(opening):
            return opening.closed if opening is not None else None
        return await self._closed(plan, plan.stages[0].windows)

    async def _closed(self, plan: Plan, windows: tuple[Window, ...] | None) -> Closed | None:
        """Why traffic may not move forward now within ``windows``; None if it may, or if nothing is to move."""
        if windows is None or not self._state.calendar:
            return None
        while True:
            opening = await workflow.execute_activity_method(
                Lookout.calendar,
                CalendarRequest(flag=plan.flag, windows=windows, at=workflow.now()),
                start_to_close_timeout=_STORE_TIMEOUT,
                retry_policy=_STORE_RETRY,
                summary="may traffic move forward?",
            )
            if _holds(opening):
                return opening.closed

    async def _next_event(self, plan: Plan) -> Asked | Observation | None:
        """What comes first: the next command, the watch's observation at the time it holds, or None for what is due.

        Of two that are there at once the command goes first, but nothing goes before a failed guardrail. An observation
        that comes to its turn after its window has closed says nothing any more: the stage is watched on.
        """
        while True:
            self._tend_watch(plan)
            seen = self._observation()
            if self._inbox and not (seen is not None and _is_alarm(seen)):
                return self._inbox.popleft()
            if seen is not None and seen.at <= workflow.now():
                self._watch = None
                if seen.until is None or workflow.now() < seen.until:
                    return seen
                self._settle(seen.clock)
                seen = None
            due = due_at(plan, self._state)
            if due is not None and due <= workflow.now():
                return None
            if self._watch is None:
                self._start_watch(plan)
            await self._wait(seen, due)

    async def _wait(self, seen: Observation | None, due: datetime | None) -> None:
        """Until something comes, or the first of the times at which something known holds or is due."""
        times = [] if seen is None else [(seen.at, f"until what is known holds: {seen.kind}")]
        times += [] if due is None else [(due, f"until it is due: {self._state.state}")]
        at, summary = min(times, default=(None, None))
        with suppress(asyncio.TimeoutError):
            await workflow.wait_condition(
                self._something_came if seen is None else lambda: bool(self._inbox),
                timeout=None if at is None else at - workflow.now(),
                timeout_summary=summary,
            )

    def _something_came(self) -> bool:
        return bool(self._inbox) or (self._watch is not None and self._watch.done)

    def _observation(self) -> Observation | None:
        watch = self._watch
        return watch.result() if watch is not None and watch.done and watch.stopped_at is None else None

    def _start_watch(self, plan: Plan) -> None:
        wanted = machine.watch_request(plan, self._state)
        if wanted is not None:
            self._watch = Watch(wanted)

    def _tend_watch(self, plan: Plan) -> None:
        """End a watch that does not fit the state any more: abandon it, or stop it and settle its clock."""
        wanted = machine.watch_request(plan, self._state)
        watch = self._watch
        if watch is None:
            return
        if wanted is None or wanted.generation != watch.request.generation:
            watch.abandon()
            self._watch = None
            return
        seen = self._observation()
        if not watch.answers(wanted) and not (seen is not None and _is_alarm(seen)):
            watch.stop(self._changed_at())
        if watch.stopped_at is not None and watch.done:
            # What the watch waited does not matter: a pause and an approval both begin a new deadline.
            counted = watch.settled_clock().counted
            self._settle(self._state.clock.model_copy(update={"counted": counted}))

    async def _end_watch(self, plan: Plan) -> None:
        """Stop the watch and keep what it counted, unless it watched a stage that was left meanwhile."""
        watch, wanted = self._watch, machine.watch_request(plan, self._state)
        if watch is None or wanted is None:
            return
        fits = watch.answers(wanted)
        watch.stop(workflow.now() if fits else self._changed_at())
        await workflow.wait_condition(lambda: watch.done)
        clock = watch.settled_clock()
        if not fits:
            counted = clock.counted if wanted.generation == watch.request.generation else self._state.clock.counted
            clock = self._state.clock.model_copy(update={"counted": counted})
        self._settle(clock)

    def _changed_at(self) -> datetime:
        return self._state.last.at if self._state.last else workflow.now()

    def _settle(self, clock: Clock) -> None:
        self._state = self._state.model_copy(update={"clock": clock})
        self._watch = None

    async def _carry_out(self, plan: Plan, step: Step) -> Step:
        """Let every decision take effect, then move to the step's state; returns the step that was taken."""
        before = self._state.last
        try:
            for decision in step.decisions:
                self._revision = (await self._commit(decision)).revision
        except ActivityError as error:
            step = machine.fenced(plan, self._state, workflow.now(), str(error.cause))
            for decision in step.decisions:
                await self._commit(decision)
        self._state = step.state
        self._show(plan)
        for decision in step.decisions:
            await announce(plan, decision, before)
        split = next((split for decision in step.decisions if (split := split_of(plan, decision))), None)
        if split is not None and self._state.ending is None:
            await self._route(plan, split)
        self._split = split or self._split
        return step

    async def _route(self, plan: Plan, split: RouterSplit) -> str:
        """Tell the router what the resolvers have: what it says, or nothing if it has not taken it."""
        try:
            return (await told(plan, split)).text
        except ActivityError as error:
            await self._carry_out(plan, machine.unrouted(plan, self._state, workflow.now(), why_not(error)))
            return ""

    async def _deliver(self, plan: Plan, split: RouterSplit) -> str:
        """Wait until the router has the end, however long that takes; what it says."""
        try:
            return (await told(plan, split, delivered=True)).text
        except ActivityError as error:
            return f"the router follows another rollout by now: {why_not(error)}"

    async def _commit(self, decision: Decision) -> Committed:
        return await workflow.execute_activity_method(
            Journal.commit,
            decision,
            start_to_close_timeout=_STORE_TIMEOUT,
            retry_policy=_STORE_RETRY,
            summary=decision.text[:190],
        )

    async def _finish(self, plan: Plan) -> None:
        """Report the end only when the resolvers have it, and the router, which is told first: it moves at once."""
        if self._watch is not None:
            self._watch.abandon()
            self._watch = None
        routed = await self._route(plan, self._split) if self._split else ""
        try:
            report = await workflow.execute_activity_method(
                Journal.confirm,
                DeliveryRequest(revision=self._revision),
                start_to_close_timeout=_DELIVERY_TIMEOUT,
                retry_policy=_DELIVERY_RETRY,
                summary="until the resolvers have it",
            )
            delivery = report.text
        except ActivityError:
            delivery = "how far the change got is unknown"
        if self._split is not None:
            delivery = f"{delivery}; {routed or await self._deliver(plan, self._split)}"
        await self._carry_out(plan, machine.finish(plan, self._state, workflow.now(), delivery))

    async def _drain(self, plan: Plan) -> None:
        """Act on what has come in until nobody waits for an answer; an ended rollout refuses it."""
        while True:
            await workflow.wait_condition(lambda: bool(self._inbox) or workflow.all_handlers_finished())
            if not self._inbox:
                return
            await self._act_on(plan, self._inbox.popleft())

    def _may_hand_over(self) -> bool:
        """Only the run that published the last change knows the revision that the resolvers must have."""
        return not self._state.state.ended and self._state.ending is None

    def _history_is_long(self) -> bool:
        info = workflow.info()
        return info.is_continue_as_new_suggested() or info.get_current_history_length() >= self._request.history_limit

    async def _hand_over(self, plan: Plan) -> None:
        """Continue as new: settle the watch, act on what has come in, and carry everything over."""
        await self._end_watch(plan)
        await self._drain(plan)
        if self._may_hand_over():
            carried = Carried(plan=plan, state=self._state)
            workflow.continue_as_new(self._request.model_copy(update={"carried": carried}))

    def _follow_up(self, plan: Plan) -> None:
        """Go on as the rollout that ships the winner: under the same workflow id, so that no other one can come in."""
        spec, state = machine.follow_up(plan, self._state), self._state
        if spec is None:
            return
        request = RolloutInput(
            spec=spec,
            started_by=state.started_by,
            history_limit=self._request.history_limit,
            rollout_id=f"{state.rollout_id}-ship",
        )
        told = {"strategy": "gradual", "candidate": state.winner, "stable": plan.stable, "started_by": state.started_by}
        workflow.continue_as_new(request, memo=told)

    def _show(self, plan: Plan) -> None:
        """Make the rollout findable and readable in Temporal's own tools."""
        state = self._state
        workflow.set_current_details(details_of(plan, state))
        shown = (str(state.state), plan.stages[state.stage].name)
        if shown != self._shown:
            self._shown = shown
            workflow.upsert_search_attributes(
                [
                    FLAG.value_set(plan.flag),
                    STRATEGY.value_set(plan.strategy),
                    STATE.value_set(shown[0]),
                    STAGE.value_set(shown[1]),
                ]
            )


def _holds(opening: Opening) -> bool:
    return opening.until is None or workflow.now() < opening.until


def _is_alarm(seen: Observation) -> bool:
    return seen.kind == "guardrail" and seen.at <= workflow.now()
