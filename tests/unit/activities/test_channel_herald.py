"""Sending a notice: with its evidence, to its channel, and what becomes of a failure."""

from __future__ import annotations

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.notices import ChannelHerald
from tests.integration.stores.builders import begun
from tests.unit.cli.builders import START, check, decision, plan
from turnout.domain.channels import Channel
from turnout.domain.errors import Unavailable
from turnout.domain.notices import news_of
from turnout.domain.verdicts import Verdict
from turnout.ports import Evidence
from turnout.testing.notifiers import MemoryNotifier
from turnout.testing.stores import memory_stores
from workflows.messages import Dispatch

PLAN = plan(notify=[{"stdout": True}])
EVIDENCE = Evidence(
    id="e1", rollout_id="r1", generation=1, stage=0, at=START, verdict=Verdict.FAIL, checks=(check(), check(gate="b"))
)


def dispatch(evidence: str | None) -> Dispatch:
    news = news_of(PLAN, decision(kind="paused", evidence=evidence), None)
    assert news is not None
    return Dispatch(news=news, channel=PLAN.notify[0])


async def test_a_notice_has_the_checks_of_its_evidence() -> None:
    """Read from the store; evidence that is gone, or was never there, leaves the notice without."""
    stores, notifier, asked = memory_stores(), MemoryNotifier(), list[Channel]()
    await begun(stores)

    def notifiers(channel: Channel) -> MemoryNotifier:
        asked.append(channel)
        return notifier

    await stores.rollouts.evidence(EVIDENCE)
    herald = ChannelHerald(stores.rollouts, notifiers)
    for evidence in ("e1", "e2", None):
        await ActivityEnvironment().run(herald.send, dispatch(evidence))
    assert [notice.checks for notice in notifier.sent] == [EVIDENCE.checks, (), ()]
    assert asked == [PLAN.notify[0]] * 3


async def test_a_failure_is_worth_another_attempt_with_the_same_notice() -> None:
    """Temporal is told why, and to try again."""
    notifier = MemoryNotifier(Unavailable("stdout is away"))
    herald = ChannelHerald(memory_stores().rollouts, lambda _channel: notifier)
    with pytest.raises(ApplicationError, match="stdout is away") as failed:
        await ActivityEnvironment().run(herald.send, dispatch(None))
    assert (failed.value.type, failed.value.non_retryable) == ("unavailable", False)
    await ActivityEnvironment().run(herald.send, dispatch(None))
    assert [notice.key for notice in notifier.sent] == ["r1:1"]
