"""The rollout workflow: orders effects around the pure rules of `turnout.domain.machine`."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from turnout.domain import machine
    from turnout.domain.plan import Plan
    from turnout.domain.rollout import Clock, Command, Decision, Observation, RolloutState, RolloutStatus, status_of
    from workflows.messages import (
        WORKFLOW_NAME,
        Carried,
        Committed,
        DeliveryRequest,
        OpenRequest,
        RolloutInput,
        RolloutResult,
    )
    from workflows.ports import Journal

from workflows.commands import Commands
from workflows.details import details_of
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
        super().__init__(carried.inbox if carried else ())
        self._request = request
        self._plan: Plan | None = carried.plan if carried else None
        self._state = (
            carried.state
            if carried
            else RolloutState(rollout_id=workflow.info().first_execution_run_id, started_by=request.started_by)
        )
        self._revision = 0
        self._watch: Watch | None = None

    @workflow.run
    async def run(self, request: RolloutInput) -> RolloutResult:
        """Take the flag, go through the stages, end with everybody on one side."""
        plan = self._plan or await self._open()
        self._show(plan)
        if self._state.since is None:
            await self._carry_out(plan, machine.begin(plan, self._state, workflow.now()))
        while not self._state.state.ended:
            await self._turn(plan)
            if self._history_is_long() and not self._state.state.ended:
                await self._hand_over(plan)
        self._refuse_the_rest(plan)
        await workflow.wait_condition(workflow.all_handlers_finished)
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
        self._state = self._state.model_copy(update={"generation": opened.generation})
        return opened.plan

    async def _turn(self, plan: Plan) -> None:
        """One event, and all that follows from it."""
        if self._state.ending is not None:
            await self._finish(plan)
            return
        event = await self._next_event(plan)
        if isinstance(event, Command):
            await self._act_on(plan, event)
        else:
            await self._carry_out(plan, machine.observe(plan, self._state, event))

    async def _act_on(self, plan: Plan, order: Command) -> None:
        known = order.id in self._state.seen
        step = machine.command(plan, self._state, order, workflow.now())
        await self._carry_out(plan, step)
        while self._state.ending is not None:
            await self._finish(plan)
        refused = any(decision.kind == "refused" for decision in step.decisions)
        text = step.decisions[0].text if step.decisions else "acted on before"
        self._answer(order, known or not refused, text)

    async def _next_event(self, plan: Plan) -> Command | Observation:
        """The next command, or the watch's observation at the time it holds, whichever comes first."""
        while True:
            self._tend_watch(plan)
            if self._inbox:
                return self._inbox.popleft()
            seen = self._observation()
            if seen is not None and seen.at <= workflow.now():
                self._watch = None
                return seen
            if seen is None:
                await workflow.wait_condition(self._something_came)
            else:
                with suppress(asyncio.TimeoutError):
                    await workflow.wait_condition(lambda: bool(self._inbox), timeout=seen.at - workflow.now())

    def _something_came(self) -> bool:
        return bool(self._inbox) or (self._watch is not None and self._watch.done)

    def _observation(self) -> Observation | None:
        watch = self._watch
        return watch.result() if watch is not None and watch.done and watch.stopped_at is None else None

    def _tend_watch(self, plan: Plan) -> None:
        """Let the watch fit the state: start it, stop it and settle its clock, or abandon it."""
        wanted = machine.watch_request(plan, self._state)
        watch = self._watch
        if watch is not None and (wanted is None or wanted.generation != watch.request.generation):
            watch.abandon()
            watch = self._watch = None
        if watch is not None and wanted is not None and not watch.answers(wanted) and watch.stopped_at is None:
            watch.stop(workflow.now())
        if watch is not None and watch.stopped_at is not None and watch.done:
            # What the watch waited does not matter: a pause and an approval both begin a new deadline.
            counted = watch.settled_clock().counted
            self._settle(self._state.clock.model_copy(update={"counted": counted}))
            wanted = machine.watch_request(plan, self._state)
        if self._watch is None and wanted is not None:
            self._watch = Watch(wanted)

    def _settle(self, clock: Clock) -> None:
        self._state = self._state.model_copy(update={"clock": clock})
        self._watch = None

    async def _carry_out(self, plan: Plan, step: machine.Step) -> None:
        """Let every decision take effect, then move to the step's state."""
        try:
            for decision in step.decisions:
                self._revision = (await self._commit(decision)).revision
        except ActivityError as error:
            step = machine.fenced(plan, self._state, workflow.now(), str(error.cause))
            for decision in step.decisions:
                await self._commit(decision)
        self._state = step.state
        self._show(plan)

    async def _commit(self, decision: Decision) -> Committed:
        return await workflow.execute_activity_method(
            Journal.commit,
            decision,
            start_to_close_timeout=_STORE_TIMEOUT,
            retry_policy=_STORE_RETRY,
            summary=decision.text[:190],
        )

    async def _finish(self, plan: Plan) -> None:
        """Report the end only when the resolvers have it."""
        if self._watch is not None:
            self._watch.abandon()
            self._watch = None
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
        await self._carry_out(plan, machine.finish(plan, self._state, workflow.now(), delivery))

    def _refuse_the_rest(self, plan: Plan) -> None:
        while self._inbox:
            order = self._inbox.popleft()
            why_not = machine.refusal(plan, self._state, order) or "the rollout has ended"
            self._answer(order, order.id in self._state.seen, why_not)

    def _history_is_long(self) -> bool:
        info = workflow.info()
        return info.is_continue_as_new_suggested() or info.get_current_history_length() >= self._request.history_limit

    async def _hand_over(self, plan: Plan) -> None:
        """Continue as new: settle the watch, act on what has come in, and carry everything over."""
        if self._watch is not None:
            watch = self._watch
            watch.stop(workflow.now())
            await workflow.wait_condition(lambda: watch.done)
            self._settle(watch.settled_clock())
        while self._inbox and not self._state.state.ended:
            await self._act_on(plan, self._inbox.popleft())
        if self._state.state.ended:
            return
        await workflow.wait_condition(workflow.all_handlers_finished)
        carried = Carried(plan=plan, state=self._state, inbox=tuple(self._inbox))
        workflow.continue_as_new(self._request.model_copy(update={"carried": carried}))

    def _show(self, plan: Plan) -> None:
        """Make the rollout findable and readable in Temporal's own tools."""
        state = self._state
        workflow.upsert_search_attributes(
            [
                FLAG.value_set(plan.flag),
                STRATEGY.value_set(plan.strategy),
                STATE.value_set(str(state.state)),
                STAGE.value_set(plan.stages[state.stage].name),
            ]
        )
        workflow.set_current_details(details_of(plan, state))
