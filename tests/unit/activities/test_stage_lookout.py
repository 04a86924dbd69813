"""Watching a stage: the activity itself, over the real panel and stores in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import beating
from activities.calendar import Calendar
from activities.lookout import StageLookout
from tests.integration.stores.builders import FLAG, NOW, a_plan, a_rollout, an_outcome, begun
from turnout.adapters.sources import sources
from turnout.adapters.sources.panel import Panel
from turnout.domain.errors import SourceError, Unavailable
from turnout.domain.plan import Gate
from turnout.domain.rollout import Clock, Observation, WatchRequest
from turnout.domain.verdicts import Verdict
from turnout.ports import RolloutRecord, Stores
from turnout.testing.stores import memory_stores

HOUR = timedelta(hours=1)
GATE = Gate(metric="success_rate", min=0.5, min_samples=10, min_units=5)
GUARDRAIL = Gate(metric="error_rate", max=0.3, min_samples=10, min_units=5, on_fail="rollback")
PLAN = a_plan(gates=(GATE,), guardrails=(GUARDRAIL,))


@pytest.fixture
def stores() -> Stores:
    """Empty stores."""
    return memory_stores()


@pytest.fixture
def heartbeats(monkeypatch: pytest.MonkeyPatch) -> list[Observation]:
    """Heartbeats come quickly, and are kept here."""
    monkeypatch.setattr(beating, "_EVERY", 0.01)
    return []


def environment(heartbeats: list[Observation], last: Observation | None = None) -> ActivityEnvironment:
    """An activity's surroundings; ``last`` is what an attempt before this one said in its last heartbeat."""
    env = ActivityEnvironment()
    env.on_heartbeat = lambda *details: heartbeats.append(details[0])
    if last is not None:
        env.info = replace(env.info, heartbeat_details=[last.model_dump(mode="json")], attempt=2)
    return env


def request_of(record: RolloutRecord, **more: Any) -> WatchRequest:
    """A watch over the rollout's only stage, checked ten times a second."""
    stage = PLAN.stages[0].model_copy(
        update={"check_every": timedelta(seconds=0.1), "hold": more.pop("hold", HOUR), **more.pop("stage", {})}
    )
    fields: dict[str, Any] = {
        "rollout_id": record.id,
        "flag": FLAG,
        "stable": "old",
        "candidate": "new",
        "index": 0,
        "stage": stage,
        "generation": record.generation,
        "since": NOW,
        "clock": Clock(),
        "counting": True,
    }
    return WatchRequest(**(fields | more))


async def watch(
    stores: Stores, request: WatchRequest, env: ActivityEnvironment, registry: dict[str, Any] | None = None
) -> Observation:
    """Watch with the sources of the worker, or with those of ``registry``."""
    async with httpx.AsyncClient() as http:
        panel = Panel(registry or sources(stores.outcomes, http, {}))
        return await env.run(StageLookout(panel, stores.rollouts, Calendar(stores.freezes)).watch, request)


async def reported(stores: Stores, record: RolloutRecord, oks: Sequence[bool]) -> None:
    """Outcomes of the candidate, one a user."""
    outcomes = [an_outcome(f"o{i}", f"u{i}", "new", ok=ok, generation=record.generation) for i, ok in enumerate(oks)]
    await stores.outcomes.record(outcomes, datetime.now(UTC))


async def test_the_end_of_the_hold_is_judged_with_evidence(stores: Stores, heartbeats: list[Observation]) -> None:
    """After the hold the gates' verdict comes back with the id of evidence that is kept with every check."""
    record = await begun(stores, plan=PLAN)
    await reported(stores, record, [True] * 100)
    hold = timedelta(seconds=0.25)
    seen = await watch(stores, request_of(record, hold=hold), environment(heartbeats))
    assert (seen.kind, seen.verdict) == ("judged", Verdict.PASS)
    assert seen.clock.counted >= hold
    evidence = await stores.rollouts.evidence_of(seen.evidence or "")
    assert (evidence.rollout_id, evidence.generation, evidence.stage) == (record.id, record.generation, 0)
    assert (evidence.at, evidence.verdict) == (seen.at, Verdict.PASS)
    assert [(c.role, c.metric, c.samples) for c in evidence.checks] == [
        ("gate", "success_rate", 100),
        ("guardrail", "error_rate", 100),
    ]


async def test_the_latest_checks_are_kept_for_the_status(stores: Stores, heartbeats: list[Observation]) -> None:
    """What was found last, when, and how much time had counted then stand in the rollout's record."""
    record = await begun(stores, plan=PLAN)
    await reported(stores, record, [True] * 100)
    seen = await watch(stores, request_of(record, hold=timedelta(seconds=0.25)), environment(heartbeats))
    kept = await stores.rollouts.get(record.id)
    assert [check.verdict for check in kept.checks] == [Verdict.PASS, Verdict.PASS]
    assert (kept.counted, kept.checked_at) == (seen.clock.counted, seen.at)


async def test_a_failed_guardrail_does_not_wait_for_the_hold(stores: Stores, heartbeats: list[Observation]) -> None:
    """Bad evidence comes back at the first check, with what the guardrail asks for."""
    record = await begun(stores, plan=PLAN)
    await reported(stores, record, [False] * 100)
    seen = await watch(stores, request_of(record), environment(heartbeats))
    assert (seen.kind, seen.verdict, seen.recourse) == ("guardrail", Verdict.FAIL, "rollback")
    assert seen.clock.counted < HOUR
    assert (await stores.rollouts.evidence_of(seen.evidence or "")).verdict is Verdict.FAIL


async def test_heartbeats_carry_the_clock(stores: Stores, heartbeats: list[Observation]) -> None:
    """Every heartbeat tells how much time has counted; a watch that is stopped answers with the same clock."""
    record, env = await begun(stores, plan=PLAN), environment(heartbeats)
    task = asyncio.create_task(watch(stores, request_of(record), env))
    while not heartbeats or heartbeats[-1].clock.counted < timedelta(seconds=0.2):
        await asyncio.sleep(0.01)
    env.cancel()
    seen = await task
    assert {one.kind for one in heartbeats} == {seen.kind} == {"interrupted"}
    counted = [one.clock.counted for one in heartbeats]
    assert counted == sorted(counted)
    assert seen.clock.counted >= counted[-1]


async def test_another_worker_goes_on_from_the_last_heartbeat(stores: Stores, heartbeats: list[Observation]) -> None:
    """The time of an attempt that died counts, the time in which nobody watched does not."""
    record = await begun(stores, plan=PLAN)
    await reported(stores, record, [True] * 100)
    died = datetime.now(UTC) - timedelta(minutes=20)
    last = Observation(kind="interrupted", at=died, clock=Clock(counted=HOUR - timedelta(seconds=0.2)))
    seen = await watch(stores, request_of(record), environment(heartbeats, last))
    assert (seen.kind, seen.verdict) == ("judged", Verdict.PASS)
    assert HOUR <= seen.clock.counted < HOUR + timedelta(minutes=1)


async def test_a_worker_that_shuts_down_does_not_answer(stores: Stores, heartbeats: list[Observation]) -> None:
    """The watch was not asked to stop: it must be tried again elsewhere, not be taken for stopped."""
    record, env = await begun(stores, plan=PLAN), environment(heartbeats)
    task = asyncio.create_task(watch(stores, request_of(record), env))
    while not heartbeats:
        await asyncio.sleep(0.01)
    env.cancel(ActivityCancellationDetails(worker_shutdown=True))
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_silence_blocks_after_the_hold(stores: Stores, heartbeats: list[Observation]) -> None:
    """Without an outcome the stage holds for want of data; nothing passes and nothing fails."""
    record = await begun(stores, plan=PLAN)
    seen = await watch(stores, request_of(record, hold=timedelta(seconds=0.25)), environment(heartbeats))
    assert (seen.kind, seen.verdict) == ("blocked", Verdict.NO_DATA)


class Away:
    """A source that does not answer."""

    async def read(self, question: object) -> object:
        """Fail as sources do."""
        raise SourceError("connection refused")


async def test_a_source_that_stays_away_blocks_and_its_time_does_not_count(
    stores: Stores, heartbeats: list[Observation]
) -> None:
    """An outage of the source is reported as such within the hold; the time without evidence was waited."""
    record = await begun(stores, plan=PLAN)
    seen = await watch(stores, request_of(record), environment(heartbeats), {"outcomes": Away()})
    assert (seen.kind, seen.verdict) == ("blocked", Verdict.SOURCE_ERROR)
    assert "connection refused" in seen.text
    assert seen.clock.counted == timedelta()
    assert seen.clock.waited > timedelta()


async def test_a_source_that_is_back_is_told(stores: Stores, heartbeats: list[Observation]) -> None:
    """A stage that holds for its source hears at the first answer."""
    record = await begun(stores, plan=PLAN)
    await reported(stores, record, [True] * 100)
    seen = await watch(stores, request_of(record, blocked=Verdict.SOURCE_ERROR), environment(heartbeats))
    assert seen.kind == "recovered"


async def test_a_rollout_that_is_not_there_fails_for_good(stores: Stores, heartbeats: list[Observation]) -> None:
    """Trying again would not help, and the error has its code."""
    with pytest.raises(ApplicationError) as failure:
        await watch(stores, request_of(a_rollout("stranger")), environment(heartbeats))
    assert (failure.value.type, failure.value.non_retryable) == ("not_found", True)


async def test_a_database_that_is_away_is_tried_again(
    stores: Stores, heartbeats: list[Observation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage of the store ends the attempt, not the watch."""
    record = await begun(stores, plan=PLAN)

    async def away(*_: object) -> None:
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(stores.rollouts, "checked", away)
    with pytest.raises(ApplicationError) as failure:
        await watch(stores, request_of(record), environment(heartbeats))
    assert (failure.value.type, failure.value.non_retryable) == ("unavailable", False)
