"""What a watch remembers of the stage: the checks of the watch before it, on whichever worker."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.testing import ActivityEnvironment

from activities.calendar import Calendar
from activities.lookout import StageLookout
from tests.integration.stores.builders import a_flag, a_plan, a_rollout, applied
from turnout.adapters.sources.panel import Panel
from turnout.domain.plan import Gate, PrometheusSource
from turnout.domain.readings import PointReading
from turnout.domain.rollout import Clock, Observation, WatchRequest
from turnout.domain.verdicts import Check, Verdict
from turnout.ports import Stores
from turnout.testing.sources import ScriptedSource
from turnout.testing.stores import memory_stores

QUEUE = Gate(
    metric="queue",
    max=20,
    consecutive=3,
    on_fail="rollback",
    source=PrometheusSource(kind="prometheus", url="http://p", query="q"),
)


def request(generation: int = 2) -> WatchRequest:
    stage = a_plan(guardrails=(QUEUE,)).stages[0].model_copy(update={"check_every": timedelta(milliseconds=1)})
    return WatchRequest(
        rollout_id="r1",
        flag="answer-engine",
        stable="old",
        candidate="new",
        index=0,
        stage=stage,
        generation=generation,
        since=datetime.now(UTC),
        clock=Clock(),
        counting=True,
    )


async def opened() -> Stores:
    stores = memory_stores()
    await applied(stores, a_flag())
    await stores.rollouts.open(a_rollout())
    return stores


async def watched(stores: Stores, asked: WatchRequest) -> tuple[Observation, int]:
    """What a watch comes to, and how often it asked."""
    source = ScriptedSource({"queue": [PointReading(30.0)]})
    lookout = StageLookout(Panel({"prometheus": source}), stores.rollouts, Calendar(stores.freezes))
    return await ActivityEnvironment().run(lookout.watch, asked), len(source.asked)


async def breached(stores: Stores, generation: int) -> None:
    """A watch before this one ended after two breaches in a row."""
    check = Check(
        gate=QUEUE.label,
        metric="queue",
        role="guardrail",
        verdict=Verdict.INCONCLUSIVE,
        text="",
        key="guardrail:0",
        breaches=2,
        all_breaches=2,
    )
    await stores.rollouts.checked("r1", generation, [check], timedelta(), datetime.now(UTC))


async def test_ticks_remember() -> None:
    """From tick to tick breaches are counted, and the third in a row fails."""
    stores = await opened()
    seen, ticks = await watched(stores, request())
    assert (seen.kind, seen.verdict, ticks) == ("guardrail", Verdict.FAIL, 3)
    assert (await stores.rollouts.get("r1")).checks[0].breaches == 3


@pytest.mark.parametrize(("generation", "ticks"), [(2, 1), (1, 3)])
async def test_a_new_watch_remembers(generation: int, ticks: int) -> None:
    """A watch that begins on another worker goes on from the last checks of its generation, and no other's."""
    stores = await opened()
    await breached(stores, generation)
    seen, asked = await watched(stores, request(2))
    assert (seen.kind, asked) == ("guardrail", ticks)


async def test_the_memory_goes_to_the_panel() -> None:
    """The panel is given the last checks by key."""
    stores = await opened()
    await breached(stores, 2)
    given = list[Mapping[str, Check]]()

    class Noting:
        async def ask(self, request: WatchRequest, now: datetime, previous: Mapping[str, Check]) -> tuple[Check, ...]:
            given.append(previous)
            return (next(iter(previous.values())).model_copy(update={"verdict": Verdict.FAIL}),)

    await ActivityEnvironment().run(StageLookout(Noting(), stores.rollouts, Calendar(stores.freezes)).watch, request())
    assert [list(memory) for memory in given] == [["guardrail:0"]]
