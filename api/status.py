"""Where a rollout is: the stored record, and the rollout's own word where it answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from api.commanding import pending
from api.engine import Pending
from api.schemas import RolloutView
from api.services import Services
from turnout.domain.errors import NotFound, Unavailable
from turnout.domain.rollout import Decision, RolloutStatus, State
from turnout.ports import RolloutRecord

LATEST_DECISIONS = 10


async def view_of(services: Services, flag: str) -> RolloutView:
    """The open rollout of ``flag``, or its last one. Raises NotFound."""
    try:
        record = await services.rollouts.latest(flag)
    except NotFound:
        waiting = await pending(services, flag)
        if waiting is None:
            raise
        return _scheduled(flag, waiting)
    if record.state.ended:
        waiting = await pending(services, flag)
        # The rollout that ships the winner of a test goes on in its workflow, which has the test's id.
        if waiting is not None and not record.id.startswith(waiting.id):
            return _scheduled(flag, waiting)
    decisions = (await services.rollouts.decisions(record.id))[-LATEST_DECISIONS:]
    if record.state.ended:
        return merged(record, decisions, None)
    view = merged(record, decisions, await _status(services, record))
    served = await services.flags.get(flag)
    return view.model_copy(update={"breakers": served.blocking, "stopped": served.stopped})


def merged(record: RolloutRecord, decisions: Sequence[Decision], status: RolloutStatus | None) -> RolloutView:
    """The record as the public sees it; ``status`` is the rollout's own word, and newer."""
    upcoming = record.plan.stages[record.stage + 1 :][:1]
    view = RolloutView(
        **{name: getattr(record, name) for name in _SAME},
        stages=tuple(stage.name for stage in record.plan.stages),
        since=next((d.at for d in reversed(decisions) if d.weights is not None), None),
        hold=record.plan.stages[record.stage].hold,
        blocked=None,
        pause=None,
        approval_by=next((stage.approval.by for stage in upcoming if stage.approval), None),
        decisions=tuple(decisions),
        live=False,
    )
    if status is None:
        return view
    own = {name: getattr(status, name) for name in _OWN}
    # The record's counter moves with every check, the rollout's own only when it decides.
    own["counted"] = max(status.counted, record.counted) if status.stage == record.stage else status.counted
    return view.model_copy(update={**own, "live": True})


_SAME = (
    "id",
    "flag",
    "strategy",
    "candidate",
    "stable",
    "state",
    "stage",
    "share",
    "generation",
    "started_by",
    "started_at",
    "ended_at",
    "counted",
    "checks",
    "checked_at",
    "summary",
    "spec",
    "plan",
)
_OWN = ("state", "stage", "share", "since", "hold", "blocked", "pause", "approval_by", "approval_due", "closed")


async def _status(services: Services, record: RolloutRecord) -> RolloutStatus | None:
    try:
        status = await services.engine.status(record.flag)
    except Unavailable:
        return None
    return status if status is not None and status.rollout_id == record.id else None


def _scheduled(flag: str, waiting: Pending) -> RolloutView:
    """A rollout that no worker has begun: what its memo tells."""
    return RolloutView(
        id=waiting.id,
        flag=flag,
        strategy=waiting.memo.get("strategy", ""),
        candidate=waiting.memo.get("candidate", ""),
        stable=waiting.memo.get("stable", ""),
        state=State.SCHEDULED,
        stage=0,
        stages=(),
        share=0.0,
        generation=0,
        started_by=waiting.memo.get("started_by", ""),
        started_at=None,
        ended_at=None,
        since=None,
        counted=timedelta(),
        hold=timedelta(),
        blocked=None,
        pause=None,
        approval_by=None,
        checks=(),
        checked_at=None,
        summary="no worker has begun it yet",
        decisions=(),
        live=False,
        spec={},
        plan=None,
    )
