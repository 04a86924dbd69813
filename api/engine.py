"""The workflow engine as the API uses it: start a rollout, command it, ask where it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from temporalio.client import (
    Client,
    RPCError,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateHandle,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCStatusCode

from turnout.domain.channels import Channel
from turnout.domain.errors import (
    CommandRefused,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    Problem,
    RolloutOpen,
    StaleGeneration,
    TurnoutError,
    Unavailable,
)
from turnout.domain.notices import Notice
from turnout.domain.rollout import CommandKind, RolloutStatus
from workflows.messages import (
    BREAKER_NAME,
    NOTIFYING_NAME,
    TASK_QUEUE,
    WORKFLOW_NAME,
    Announcement,
    BreakerInput,
    BreakerSignal,
    CloseBreaker,
    CommandRequest,
    CommandResult,
    RolloutInput,
    breaker_id,
    telling_id,
    workflow_id,
)

DEFAULT_ADDRESS: Final = "localhost:7233"

_BY_CODE: Final[Mapping[str, type[TurnoutError]]] = {
    kind.code: kind for kind in (NotFound, Conflict, RolloutOpen, StaleGeneration, CommandRefused, Forbidden)
}

Rollout = WorkflowHandle[object, object]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds: for a single call, for a command to be accepted and then acted on, for a query."""

    call: float = 5.0
    accepted: float = 5.0
    acted: float = 15.0
    query: float = 1.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a command; without a ``result`` it is on its way, and will not be lost."""

    text: str
    result: CommandResult | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """An open rollout as the engine knows it, whether or not a worker has begun it."""

    id: str
    memo: Mapping[str, str]


class Engine(Protocol):
    """What the API needs of a workflow engine. Every method may raise Unavailable."""

    async def start(self, flag: str, request: RolloutInput, memo: Mapping[str, str]) -> str:
        """Start a rollout; its id. Raises RolloutOpen."""
        ...

    async def failure(self, flag: str, rollout_id: str) -> TurnoutError | None:
        """Why the rollout failed to begin; None while it has not."""
        ...

    async def command(self, flag: str, kind: CommandKind, request: CommandRequest) -> Reply:
        """Have a command acted on, or at least kept. Raises CommandRefused, or NotFound without an open rollout."""
        ...

    async def signal(self, flag: str, kind: CommandKind, request: CommandRequest) -> None:
        """Leave a command for when its turn comes. Raises NotFound without an open rollout."""
        ...

    async def status(self, flag: str) -> RolloutStatus | None:
        """Where the open rollout is by its own word; None when it does not answer in time."""
        ...

    async def pending(self, flag: str) -> Pending | None:
        """The open rollout, if there is one."""
        ...

    async def report(self, flag: str, variant: str, signal: BreakerSignal | CloseBreaker) -> None:
        """Have the shared breaker of a variant hear of it; it begins if there is none."""
        ...

    async def tell(self, notice: Notice, channels: Sequence[Channel]) -> None:
        """Have ``notice`` told to ``channels``; one of a key that was told before is not told again."""
        ...


class TemporalEngine:
    """The engine on Temporal; connects when first used, so that the API serves without it, too."""

    def __init__(self, environ: Mapping[str, str], patience: Patience | None = None) -> None:
        self._environ = environ
        self._patience = patience or Patience()
        self._client: Client | None = None

    async def start(self, flag: str, request: RolloutInput, memo: Mapping[str, str]) -> str:
        """See `Engine.start`."""
        client = await self._connected()
        async with self._reaching(self._patience.call):
            try:
                handle = await client.start_workflow(
                    WORKFLOW_NAME,
                    request,
                    id=workflow_id(flag),
                    task_queue=TASK_QUEUE,
                    memo=dict(memo),
                    static_summary=f"{memo['strategy']}: {flag} to {memo['candidate']}",
                )
            except WorkflowAlreadyStartedError as error:
                raise RolloutOpen(f"flag {flag} has an open rollout already, {error.run_id}") from error
        return handle.first_execution_run_id or ""

    async def failure(self, flag: str, rollout_id: str) -> TurnoutError | None:
        """See `Engine.failure`."""
        client = await self._connected()
        handle: Rollout = client.get_workflow_handle(workflow_id(flag), run_id=rollout_id)
        async with self._reaching(self._patience.call):
            described = await handle.describe()
            if described.status in (None, WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW):
                return None
            try:
                await handle.result(follow_runs=False)
            except WorkflowFailureError as error:
                return _turnout_error(error.cause)
        return None

    async def command(self, flag: str, kind: CommandKind, request: CommandRequest) -> Reply:
        """See `Engine.command`: an update, and a signal of the same id when no worker accepts the update in time."""
        handle = await self._handle(flag)
        async with self._reaching(self._patience.call + self._patience.accepted + self._patience.acted):
            update = await self._update(handle, kind, request)
            if update is not None:
                return await self._acted_on(update)
        await self.signal(flag, kind, request)
        return Reply(f"queued: no worker took {kind} in time; it is kept and acted on once one is running")

    async def signal(self, flag: str, kind: CommandKind, request: CommandRequest) -> None:
        """See `Engine.signal`."""
        handle = await self._handle(flag)
        async with self._reaching(self._patience.call):
            await handle.signal(kind, request, rpc_timeout=timedelta(seconds=self._patience.call))

    async def status(self, flag: str) -> RolloutStatus | None:
        """See `Engine.status`."""
        handle = await self._handle(flag)
        try:
            async with self._reaching(self._patience.query):
                timeout = timedelta(seconds=self._patience.query)
                status: RolloutStatus | None = await handle.query(
                    "status", result_type=RolloutStatus, rpc_timeout=timeout
                )
                return status
        except (TurnoutError, WorkflowQueryFailedError, WorkflowQueryRejectedError):
            return None

    async def pending(self, flag: str) -> Pending | None:
        """See `Engine.pending`."""
        handle = await self._handle(flag)
        try:
            async with self._reaching(self._patience.query):
                described = await handle.describe()
                if described.status is not WorkflowExecutionStatus.RUNNING:
                    return None
                memo = {name: str(value) for name, value in (await described.memo()).items()}
        except NotFound:
            return None
        first = described.raw_description.workflow_execution_info.first_run_id
        return Pending(first or described.run_id or "", memo)

    async def report(self, flag: str, variant: str, signal: BreakerSignal | CloseBreaker) -> None:
        """See `Engine.report`."""
        client = await self._connected()
        async with self._reaching(self._patience.call):
            await client.start_workflow(
                BREAKER_NAME,
                BreakerInput(flag=flag, variant=variant),
                id=breaker_id(flag, variant),
                task_queue=TASK_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                start_signal="close" if isinstance(signal, CloseBreaker) else "report",
                start_signal_args=[signal],
                static_summary=f"breaker of {flag}/{variant}",
            )

    async def tell(self, notice: Notice, channels: Sequence[Channel]) -> None:
        """See `Engine.tell`."""
        client = await self._connected()
        async with self._reaching(self._patience.call):
            with suppress(WorkflowAlreadyStartedError):
                await client.start_workflow(
                    NOTIFYING_NAME,
                    Announcement(notice=notice, channels=tuple(channels)),
                    id=telling_id(notice.key),
                    task_queue=TASK_QUEUE,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    static_summary=notice.title[:190],
                )

    async def _update(
        self, handle: Rollout, kind: CommandKind, request: CommandRequest
    ) -> WorkflowUpdateHandle[CommandResult] | None:
        try:
            return await handle.start_update(
                kind,
                request,
                id=request.id,
                wait_for_stage=WorkflowUpdateStage.ACCEPTED,
                result_type=CommandResult,
                rpc_timeout=timedelta(seconds=self._patience.accepted),
            )
        except WorkflowUpdateRPCTimeoutOrCancelledError:
            # Nobody has accepted it, so it may be lost with the server, and yet may still be acted on: the
            # signal that follows carries the same id.
            return None

    async def _acted_on(self, update: WorkflowUpdateHandle[CommandResult]) -> Reply:
        try:
            result = await update.result(rpc_timeout=timedelta(seconds=self._patience.acted))
        except WorkflowUpdateRPCTimeoutOrCancelledError:
            return Reply("accepted: the rollout is on it; its decisions tell when it is done")
        except WorkflowUpdateFailedError as error:
            raise _turnout_error(error.cause) from error
        if not result.applied:
            raise CommandRefused(result.text)
        return Reply(result.text, result)

    async def _handle(self, flag: str) -> Rollout:
        return (await self._connected()).get_workflow_handle(workflow_id(flag))

    async def _connected(self) -> Client:
        if self._client is None:
            config = ClientConfig.load_client_connect_config(override_env_vars=dict(self._environ))
            config.setdefault("target_host", DEFAULT_ADDRESS)
            self._client = await Client.connect(**config, data_converter=pydantic_data_converter, lazy=True)
        return self._client

    @asynccontextmanager
    async def _reaching(self, seconds: float) -> AsyncGenerator[None]:
        """Turn Temporal's failures to answer into Turnout's errors; nothing takes longer than ``seconds``."""
        try:
            async with asyncio.timeout(seconds + 1):
                yield
        except RPCError as error:
            raise _translated(error) from error
        except TimeoutError as error:
            raise Unavailable("the workflow engine did not answer in time") from error
        except RuntimeError as error:
            # What a client that connects when first used raises when it cannot.
            if not str(error).startswith("Failed client connect"):
                raise
            raise Unavailable("the workflow engine cannot be reached; is Temporal running?") from error


def _translated(error: RPCError) -> TurnoutError:
    if error.status is RPCStatusCode.NOT_FOUND:
        return NotFound("the workflow engine knows no open rollout of this flag")
    return Unavailable(f"the workflow engine did not answer: {error.message}")


def _turnout_error(cause: BaseException | None) -> TurnoutError:
    """What a rollout failed with, as the error it was before it crossed Temporal."""
    if not isinstance(cause, ApplicationError):
        return Conflict(f"the rollout ended before it could act: {cause}")
    if cause.type == InvalidInput.code:
        return InvalidInput([Problem("", cause.message)])
    return _BY_CODE.get(cause.type or "", Conflict)(cause.message)
