"""Sending one notice to one channel."""

from __future__ import annotations

from collections.abc import Callable

from temporalio import activity

from activities.errors import as_application_error
from turnout.domain.channels import Channel
from turnout.domain.errors import InvalidInput, NotFound, Problem
from turnout.domain.notices import News, Notice, evidence_of, notice_of
from turnout.domain.verdicts import Check
from turnout.ports import Notifier, RolloutStore
from workflows.messages import Dispatch
from workflows.ports import Herald


class ChannelHerald(Herald):
    """The herald over the store, which has the evidence, and ``notifiers``, which gives the notifier of a channel."""

    def __init__(self, rollouts: RolloutStore, notifiers: Callable[[Channel], Notifier]) -> None:
        self._rollouts = rollouts
        self._notifiers = notifiers

    @activity.defn(name="send_notice")
    async def send(self, dispatch: Dispatch) -> None:
        """See `Herald.send`."""
        with as_application_error():
            await self._notifiers(dispatch.channel).send(await self._notice(dispatch))

    async def _notice(self, dispatch: Dispatch) -> Notice:
        if dispatch.notice is not None:
            return dispatch.notice
        if dispatch.news is None:
            raise InvalidInput([Problem("news", "is missing, and there is no notice", "send one of them")])
        return notice_of(dispatch.news, await self._checks(dispatch.news))

    async def _checks(self, news: News) -> tuple[Check, ...]:
        evidence = evidence_of(news)
        if evidence is None:
            return ()
        try:
            return (await self._rollouts.evidence_of(evidence)).checks
        except NotFound:
            return ()
