"""Telling people of a decision: a workflow of its own, so that no channel can hold a rollout up.

A rollout waits until it is started, which is Temporal's own doing, and never for what becomes of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from turnout.domain.channels import Channel
    from turnout.domain.notices import Notice, news_of
    from turnout.domain.plan import Plan
    from turnout.domain.rollout import Decision
    from workflows.messages import NOTIFYING_NAME, Announcement, Delivered, Dispatch, notifying_id, telling_id
    from workflows.ports import Herald

_GIVE_UP = timedelta(hours=24)
_ATTEMPT = timedelta(seconds=20)
_RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=10))


async def announce(plan: Plan, decision: Decision, before: Decision | None) -> None:
    """Have ``decision`` told to the channels of ``plan`` that want it; ``before`` is the decision before it.

    To be called from the rollout's workflow once the decision is recorded. Never fails.
    """
    # Whether anybody is told is part of the order of the rollout's commands; see tests/replay.
    news = news_of(plan, decision, before) if plan.notify else None
    channels = tuple(channel for channel in plan.notify if news is not None and channel.wants(news.event))
    if news is None or not channels:
        return
    # A run continues as new by its history long before it has as many open children as Temporal allows, 2000.
    summary = f"{decision.flag}: {news.event} to {len(channels)} channels"
    await _start(Announcement(news=news, channels=channels), notifying_id(decision.rollout_id, decision.seq), summary)


async def tell(notice: Notice, channels: Sequence[Channel]) -> None:
    """Have ``notice`` told to those of ``channels`` that want it. To be called from a workflow. Never fails."""
    wanting = tuple(c for c in channels if notice.event != "test" and c.wants(notice.event))
    if wanting:
        await _start(Announcement(notice=notice, channels=wanting), telling_id(notice.key), notice.title[:190])


async def _start(announcement: Announcement, id: str, summary: str) -> None:
    try:
        told = await workflow.start_child_workflow(
            NotifyWorkflow.run,
            announcement,
            id=id,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            cancellation_type=workflow.ChildWorkflowCancellationType.ABANDON,
            static_summary=summary,
        )
    except FailureError as error:
        workflow.logger.warning("%s is not told: %s", summary, error)
    else:
        told.add_done_callback(lambda handle: handle.cancelled() or handle.exception())


@workflow.defn(name=NOTIFYING_NAME)
class NotifyWorkflow:
    """One notice to all its channels, each tried until it takes it or a day has passed."""

    @workflow.run
    async def run(self, announcement: Announcement) -> Delivered:
        """Send to every channel at once, none of them waiting for another.

        Raises:
            ApplicationError: of type ``not_delivered``, when all are done and some channel has not taken it.
        """
        failures = await asyncio.gather(*(self._send(announcement, channel) for channel in announcement.channels))
        lost = [failure for failure in failures if failure is not None]
        if lost:
            raise ApplicationError("; ".join(lost), type="not_delivered", non_retryable=True)
        labels = tuple(channel.label for channel in announcement.channels)
        return Delivered(key=announcement.key, channels=labels)

    async def _send(self, announcement: Announcement, channel: Channel) -> str | None:
        try:
            await workflow.execute_activity_method(
                Herald.send,
                Dispatch(news=announcement.news, notice=announcement.notice, channel=channel),
                start_to_close_timeout=_ATTEMPT,
                schedule_to_close_timeout=_GIVE_UP,
                retry_policy=_RETRY,
                summary=channel.label[:190],
            )
        except ActivityError as error:
            return f"{channel.label}: {error.cause}"
        return None
