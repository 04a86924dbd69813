"""When a rollout's router is told what: from decisions and watches to splits. Pure."""

from __future__ import annotations

from turnout.domain.plan import Plan
from turnout.domain.rollout import Decision, WatchRequest
from turnout.domain.routing import Resolver
from turnout.domain.splits import RouterSplit


def split_of(plan: Plan, decision: Decision) -> RouterSplit | None:
    """What the plan's router shall do after ``decision``; None if it has none, or no traffic has changed.

    Only a stage has a preview: leaving the stages ends it.
    """
    if plan.router is None or isinstance(plan.router, Resolver) or decision.weights is None:
        return None
    return RouterSplit(
        rollout_id=decision.rollout_id,
        generation=decision.generation,
        weights=decision.weights,
        preview=plan.stages[decision.stage].preview if not decision.leaves else None,
    )


def split_to_keep(request: WatchRequest) -> RouterSplit:
    """What the router shall do while the stage is watched: what `split_of` gave on entering it."""
    return RouterSplit(
        rollout_id=request.rollout_id,
        generation=request.generation,
        weights=request.stage.weights,
        preview=request.stage.preview,
    )
