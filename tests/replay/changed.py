"""Changes of the workflow as somebody might make them: some alter the order of commands, some do not."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from workflows.rollout import RolloutWorkflow

with workflow.unsafe.imports_passed_through():
    from turnout.domain import machine
    from turnout.domain.moves import Step
    from turnout.domain.plan import Plan
    from turnout.domain.rollout import Decision
    from workflows.messages import WORKFLOW_NAME, Committed, RolloutInput, RolloutResult
    from workflows.ports import Journal


@workflow.defn(name=WORKFLOW_NAME)
class ShowsFirst(RolloutWorkflow):
    """Two effects change places: what Temporal shows is updated before the decision is recorded."""

    @workflow.init
    def __init__(self, request: RolloutInput) -> None:
        super().__init__(request)

    @workflow.run
    async def run(self, request: RolloutInput) -> RolloutResult:
        """See `RolloutWorkflow.run`."""
        return await super().run(request)

    async def _carry_out(self, plan: Plan, step: Step) -> Step:
        before = self._state
        self._state = step.state
        self._show(plan)
        self._state = before
        return await super()._carry_out(plan, step)


@workflow.defn(name=WORKFLOW_NAME)
class EndsUnconfirmed(RolloutWorkflow):
    """One effect is gone: the end is recorded without asking whether the resolvers have it."""

    @workflow.init
    def __init__(self, request: RolloutInput) -> None:
        super().__init__(request)

    @workflow.run
    async def run(self, request: RolloutInput) -> RolloutResult:
        """See `RolloutWorkflow.run`."""
        return await super().run(request)

    async def _finish(self, plan: Plan) -> None:
        await self._carry_out(plan, machine.finish(plan, self._state, workflow.now(), "not asked"))


@workflow.defn(name=WORKFLOW_NAME)
class WordsAndTimeouts(RolloutWorkflow):
    """Nothing that is recorded as a command changes: other texts, other timeouts, other retries."""

    @workflow.init
    def __init__(self, request: RolloutInput) -> None:
        super().__init__(request)

    @workflow.run
    async def run(self, request: RolloutInput) -> RolloutResult:
        """See `RolloutWorkflow.run`."""
        return await super().run(request)

    async def _commit(self, decision: Decision) -> Committed:
        return await workflow.execute_activity_method(
            Journal.commit,
            decision.model_copy(update={"text": f"in other words: {decision.text}"}),
            start_to_close_timeout=timedelta(minutes=3),
            summary="in other words",
        )
