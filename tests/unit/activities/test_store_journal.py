"""Recording decisions: the activities themselves, over stores in memory."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import journal
from activities.calendar import Calendar
from activities.journal import FEED_SILENCE, StoreJournal
from tests.integration.stores.builders import FLAG, NOW, a_flag, a_move, applied
from turnout.domain.freezes import Closed, Freeze, Opening
from turnout.domain.rollout import Decision, State
from turnout.ports import Stores
from turnout.testing.stores import memory_stores
from workflows.messages import DeliveryReport, DeliveryRequest, Opened, OpenRequest

SPEC: dict[str, Any] = {
    "flag": FLAG,
    "candidate": "new",
    "strategy": {"kind": "gradual", "stages": [10, 100]},
    "gates": [{"metric": "success_rate", "min": 0.9}],
}


@pytest.fixture
async def stores() -> Stores:
    """Stores that know the flag."""
    stores = memory_stores()
    await applied(stores, a_flag())
    return stores


async def opened(stores: Stores, rollout: str = "r1", **spec: Any) -> Opened:
    """What opening a rollout of `SPEC` by ann answers."""
    request = OpenRequest(rollout_id=rollout, spec=SPEC | spec, started_by="ann", at=NOW)
    return await ActivityEnvironment().run(
        StoreJournal(stores.flags, stores.rollouts, Calendar(stores.freezes)).open, request
    )


async def refused(stores: Stores, **request: Any) -> ApplicationError:
    """Why opening fails; for good."""
    with pytest.raises(ApplicationError) as failure:
        await opened(stores, **request)
    assert failure.value.non_retryable
    return failure.value


async def committed(stores: Stores, decision: Decision) -> int:
    """The revision after ``decision``."""
    answer = await ActivityEnvironment().run(
        StoreJournal(stores.flags, stores.rollouts, Calendar(stores.freezes)).commit, decision
    )
    return answer.revision


async def confirmed(stores: Stores, revision: int) -> DeliveryReport:
    """How far ``revision`` got."""
    journal = StoreJournal(stores.flags, stores.rollouts, Calendar(stores.freezes))
    return await ActivityEnvironment().run(journal.confirm, DeliveryRequest(revision=revision))


async def test_opening_compiles_the_plan_and_takes_the_flag(stores: Stores) -> None:
    """The plan moves from what the flag serves now; the record is there before anything has moved."""
    answer = await opened(stores)
    assert [stage.name for stage in answer.plan.stages] == ["10 %", "100 %"]
    assert answer.plan.stable == "old"
    record = await stores.rollouts.get("r1")
    assert (record.state, record.share, record.started_by, record.spec) == (State.SCHEDULED, 0.0, "ann", SPEC)
    assert answer.generation == record.generation == (await stores.flags.get(FLAG)).traffic.generation


async def test_opening_again_changes_nothing(stores: Stores) -> None:
    """A retry after a lost answer gets the same answer."""
    assert await opened(stores) == await opened(stores)
    assert len(await stores.rollouts.list()) == 1


async def test_a_second_rollout_of_the_flag_is_refused(stores: Stores) -> None:
    """The refusal names the one that is open, and how to end it."""
    await opened(stores)
    error = await refused(stores, rollout="r2")
    assert error.type == "rollout_open"
    assert "r1 (scheduled)" in error.message
    assert "turnout abort answer-engine" in error.message


async def test_what_cannot_be_a_rollout_is_refused_with_its_code(stores: Stores) -> None:
    """An unknown flag, an unknown candidate and a bad spec are told apart."""
    assert (await refused(stores, flag="nope")).type == "not_found"
    assert (await refused(stores, candidate="nope")).type == "invalid_input"
    error = await refused(stores, strategy={"kind": "gradual", "stages": [10]})
    assert (error.type, "must end at 100" in error.message) == ("invalid_input", True)


async def test_a_commit_takes_effect_once(stores: Stores) -> None:
    """The traffic is published with the decision; the same decision again publishes nothing."""
    generation = (await opened(stores)).generation
    move = a_move(1, generation + 1, 0.1, kind="started")
    revision = await committed(stores, move)
    assert await committed(stores, move) == revision == await stores.flags.revision()
    traffic = (await stores.flags.get(FLAG)).traffic
    assert (traffic.weights, traffic.generation) == (move.weights, generation + 1)
    assert await stores.rollouts.decisions("r1") == [move]


async def test_a_stale_generation_is_refused_for_good(stores: Stores) -> None:
    """Whoever comes with a generation that was published already moves no traffic."""
    generation = (await opened(stores)).generation
    await committed(stores, a_move(1, generation + 1, 0.1, kind="started"))
    with pytest.raises(ApplicationError) as failure:
        await committed(stores, a_move(2, generation + 1, 1.0))
    assert (failure.value.type, failure.value.non_retryable) == ("stale_generation", True)
    assert (await stores.flags.get(FLAG)).traffic.weights == {"new": 10_000, "old": 90_000}


async def test_delivery_waits_for_the_feeds_that_are_alive(stores: Stores) -> None:
    """A feed that lags is waited for; one that has been silent for long is not."""
    now = datetime.now(UTC)
    await stores.flags.beat("swift", 5, now)
    await stores.flags.beat("slow", 4, now)
    await stores.flags.beat("dead", 1, now - 2 * FEED_SILENCE)
    waiting = asyncio.create_task(confirmed(stores, 5))
    done, _ = await asyncio.wait([waiting], timeout=0.2)
    assert not done
    await stores.flags.beat("slow", 5, datetime.now(UTC))
    assert await waiting == DeliveryReport(feeds=2, lagging=0)


@pytest.mark.parametrize(
    ("feeds", "report", "words"),
    [
        ({"slow": 4, "swift": 5}, DeliveryReport(feeds=2, lagging=1), "1 of 2 snapshot feeds have not passed"),
        ({}, DeliveryReport(feeds=0, lagging=0), "no snapshot feed is alive"),
    ],
)
async def test_delivery_is_waited_for_only_so_long(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, feeds: dict[str, int], report: DeliveryReport, words: str
) -> None:
    """When patience runs out the report says how far the change got, instead of failing."""
    monkeypatch.setattr(journal, "PATIENCE", timedelta(seconds=0.1))
    for feed, revision in feeds.items():
        await stores.flags.beat(feed, revision, datetime.now(UTC))
    assert await confirmed(stores, 5) == report
    assert words in report.text


async def test_opening_tells_whether_the_first_stage_may_begin(stores: Stores) -> None:
    """By its windows, and by the freezes there are."""
    assert (await opened(stores)).opening == Opening()
    frozen = Freeze(id="f1", by="carol", at=NOW, start=NOW, end=NOW + timedelta(days=1), reason="year-end")
    await stores.freezes.add(frozen)
    opening = (await opened(stores)).opening
    assert opening is not None
    assert opening.closed == Closed(opens_at=frozen.end, why="frozen: year-end")
