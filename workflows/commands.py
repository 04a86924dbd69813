"""The commands of a rollout: each name is an update (answered) and a signal (fire and forget)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import cast

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from turnout.domain.plan import Plan
    from turnout.domain.refusals import refusal
    from turnout.domain.rollout import Command, CommandKind, RolloutState
    from workflows.messages import CommandRequest, CommandResult


@dataclass
class Asked:
    """A command in the queue and, later, its own answer: the same id may be asked more than once."""

    command: Command
    answer: CommandResult | None = None


class Commands:
    """Takes commands in: validates updates at the door, queues them in order, answers when they were acted on."""

    _plan: Plan | None
    _state: RolloutState

    def __init__(self) -> None:
        self._inbox: deque[Asked] = deque()

    def _answer(self, asked: Asked, applied: bool, text: str) -> None:
        asked.answer = CommandResult(id=asked.command.id, applied=applied, state=self._state.state, text=text)

    def _queue(self, kind: CommandKind, request: CommandRequest) -> Asked:
        command = Command(
            id=request.id or str(workflow.uuid4()),
            kind=kind,
            actor=request.actor,
            reason=request.reason,
            roles=request.roles,
            adjustment=request.adjustment,
        )
        asked = Asked(command)
        self._inbox.append(asked)
        return asked

    async def _ask(self, kind: CommandKind, request: CommandRequest) -> CommandResult:
        asked = self._queue(kind, request)
        await workflow.wait_condition(lambda: asked.answer is not None)
        return cast(CommandResult, asked.answer)

    def _check(self, kind: CommandKind, request: CommandRequest) -> None:
        if self._plan is None or request.id in self._state.seen:
            return
        command = Command(
            id=request.id or "-",
            kind=kind,
            actor=request.actor,
            reason=request.reason,
            roles=request.roles,
            adjustment=request.adjustment,
        )
        why_not = refusal(self._plan, self._state, command)
        if why_not is not None:
            raise ApplicationError(why_not, type="command_refused", non_retryable=True)

    @workflow.update(name="pause")
    async def pause(self, request: CommandRequest) -> CommandResult:
        """Stand still: traffic stays, clocks stop, guardrails are watched on."""
        return await self._ask("pause", request)

    @pause.validator
    def _may_pause(self, request: CommandRequest) -> None:
        self._check("pause", request)

    @workflow.update(name="resume")
    async def resume(self, request: CommandRequest) -> CommandResult:
        """Go on after a pause."""
        return await self._ask("resume", request)

    @resume.validator
    def _may_resume(self, request: CommandRequest) -> None:
        self._check("resume", request)

    @workflow.update(name="promote")
    async def promote(self, request: CommandRequest) -> CommandResult:
        """Move to the next stage without asking the gates: a recorded override."""
        return await self._ask("promote", request)

    @promote.validator
    def _may_promote(self, request: CommandRequest) -> None:
        self._check("promote", request)

    @workflow.update(name="approve")
    async def approve(self, request: CommandRequest) -> CommandResult:
        """Consent to the next stage; health is checked once more before it begins."""
        return await self._ask("approve", request)

    @approve.validator
    def _may_approve(self, request: CommandRequest) -> None:
        self._check("approve", request)

    @workflow.update(name="abort")
    async def abort(self, request: CommandRequest) -> CommandResult:
        """Give up: everybody back to stable. Answers once the resolvers have it."""
        return await self._ask("abort", request)

    @abort.validator
    def _may_abort(self, request: CommandRequest) -> None:
        self._check("abort", request)

    @workflow.update(name="rollback")
    async def rollback(self, request: CommandRequest) -> CommandResult:
        """Everybody back to stable, because the candidate is bad. Answers once the resolvers have it."""
        return await self._ask("rollback", request)

    @rollback.validator
    def _may_rollback(self, request: CommandRequest) -> None:
        self._check("rollback", request)

    @workflow.update(name="adjust")
    async def adjust(self, request: CommandRequest) -> CommandResult:
        """Change the candidate's share in one part of the users; the stage begins again."""
        return await self._ask("adjust", request)

    @adjust.validator
    def _may_adjust(self, request: CommandRequest) -> None:
        self._check("adjust", request)

    @workflow.signal(name="pause")
    def signal_pause(self, request: CommandRequest) -> None:
        """As the update, without an answer; a refusal shows in the decision log."""
        self._queue("pause", request)

    @workflow.signal(name="resume")
    def signal_resume(self, request: CommandRequest) -> None:
        """As the update, without an answer."""
        self._queue("resume", request)

    @workflow.signal(name="promote")
    def signal_promote(self, request: CommandRequest) -> None:
        """As the update, without an answer."""
        self._queue("promote", request)

    @workflow.signal(name="approve")
    def signal_approve(self, request: CommandRequest) -> None:
        """As the update, without an answer."""
        self._queue("approve", request)

    @workflow.signal(name="abort")
    def signal_abort(self, request: CommandRequest) -> None:
        """As the update, without an answer."""
        self._queue("abort", request)

    @workflow.signal(name="rollback")
    def signal_rollback(self, request: CommandRequest) -> None:
        """As the update, without an answer."""
        self._queue("rollback", request)

    @workflow.signal(name="adjust")
    def signal_adjust(self, request: CommandRequest) -> None:
        """As the update, without an answer."""
        self._queue("adjust", request)
