"""Telling a rollout's router what to do."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from turnout.domain.plan import Plan
    from turnout.domain.splits import RouterSplit
    from workflows.messages import Routed, RouteRequest
    from workflows.ports import Routing

_TIMEOUT: Final = timedelta(minutes=5)
_HEARTBEAT: Final = timedelta(seconds=5)
_FIRST: Final = timedelta(milliseconds=200)

# While a move waits for its router no command is heard, so it does not wait long; the watch goes on trying.
_FEW: Final = RetryPolicy(initial_interval=_FIRST, maximum_attempts=2)
_UNTIL_DELIVERED: Final = RetryPolicy(initial_interval=_FIRST, maximum_interval=timedelta(seconds=5))


async def told(plan: Plan, split: RouterSplit, *, delivered: bool = False) -> Routed:
    """Make the plan's router do ``split``: in a few attempts, or with ``delivered`` in as many as it takes.

    Raises:
        ActivityError: the router has not taken it; with ``delivered`` only if it follows a newer generation.
    """
    share = split.weights.get(plan.candidate, 0) / 1000
    return await workflow.execute_activity_method(
        Routing.route,
        RouteRequest.model_validate({"router": plan.router, "split": split, "delivered": delivered}),
        start_to_close_timeout=_TIMEOUT,
        heartbeat_timeout=_HEARTBEAT,
        retry_policy=_UNTIL_DELIVERED if delivered else _FEW,
        summary=f"router: {share:g} % to {plan.candidate}",
    )


def why_not(error: ActivityError) -> str:
    """In words, why the router has not taken it."""
    cause = error.cause
    return cause.message if isinstance(cause, ApplicationError) else str(cause)
