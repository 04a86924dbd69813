"""The calendar as the worker asks it: windows of the plan, freezes of the store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.stores.builders import begun
from tests.unit.activities.test_stage_lookout import GATE, HOUR, PLAN, environment, reported, request_of, watch
from turnout.domain.freezes import Closed, Freeze
from turnout.domain.rollout import Observation
from turnout.domain.verdicts import Verdict
from turnout.domain.windows import Window
from turnout.ports import Stores
from turnout.testing.stores import memory_stores


@pytest.fixture
def stores() -> Stores:
    """Empty stores."""
    return memory_stores()


def freeze(hours: float, id: str = "f1") -> Freeze:
    """A freeze from an hour ago, for so long from now."""
    now = datetime.now(UTC)
    end = now + timedelta(hours=hours)
    return Freeze(id=id, by="carol", at=now, start=now - HOUR, end=end, reason="year-end")


async def test_a_pass_waits_for_the_end_of_a_freeze(stores: Stores) -> None:
    """Gates that pass while frozen come to waiting, with the time at which it ends and the evidence."""
    record = await begun(stores, plan=PLAN)
    await reported(stores, record, [True] * 100)
    await stores.freezes.add(freeze(5))
    seen = await watch(stores, request_of(record, hold=timedelta(seconds=0.1), windows=()), environment([]))
    assert (seen.kind, seen.verdict) == ("waiting", Verdict.PASS)
    assert seen.evidence is not None
    assert seen.closed is not None
    assert seen.closed.opens_at == (await stores.freezes.list())[0].end
    assert seen.closed.why == "frozen: year-end"


async def test_a_pass_that_leads_to_no_move_does_not_wait(stores: Stores) -> None:
    """An approval is asked for in a freeze, too."""
    record = await begun(stores, plan=PLAN)
    await reported(stores, record, [True] * 100)
    await stores.freezes.add(freeze(5))
    seen = await watch(stores, request_of(record, hold=timedelta(seconds=0.1)), environment([]))
    assert (seen.kind, seen.until) == ("judged", None)


async def test_a_freeze_that_comes_while_waiting_is_noticed(stores: Stores) -> None:
    """So is one that is lifted: then the gates have their say again, and the move may be made until the next one."""
    record = await begun(stores, plan=PLAN)
    await reported(stores, record, [True] * 100)
    await stores.freezes.add(freeze(5))
    known = Closed(opens_at=(await stores.freezes.list())[0].end, why="frozen: year-end")
    waiting = request_of(record, hold=timedelta(), windows=(), closed=known, counting=False)
    task = asyncio.create_task(watch(stores, waiting, environment([])))
    await asyncio.sleep(0.15)
    assert not task.done()
    await stores.freezes.add(freeze(9, "f2"))
    longer = await task
    assert longer.kind == "waiting"
    assert longer.closed is not None
    assert longer.closed != known
    for id in ("f1", "f2"):
        await stores.freezes.remove(id, "carol", "", datetime.now(UTC))
    open_again = await watch(stores, waiting, environment([]))
    assert (open_again.kind, open_again.verdict) == ("judged", Verdict.PASS)


async def test_harm_that_is_proven_while_waiting_acts_at_once(stores: Stores) -> None:
    """A gate that fails for good takes no window."""
    record = await begun(stores, plan=PLAN)
    await reported(stores, record, [False] * 200)
    known = Closed(opens_at=None, why="frozen: audit")
    await stores.freezes.add(freeze(5).model_copy(update={"end": None, "reason": "audit"}))
    only_gate = {"gates": (GATE,), "guardrails": ()}
    request = request_of(record, hold=timedelta(), windows=(), closed=known, counting=False, stage=only_gate)
    seen = await watch(stores, request, environment([]))
    assert (seen.kind, seen.verdict) == ("judged", Verdict.FAIL)


async def test_before_anybody_has_the_candidate(stores: Stores) -> None:
    """A rollout that waits to begin has nothing to ask; it may once its window is open."""
    record = await begun(stores, plan=PLAN)
    known = Closed(opens_at=datetime.now(UTC), why="outside")
    nothing = {"gates": (), "guardrails": ()}
    request = request_of(record, hold=timedelta(), windows=(Window(),), closed=known, counting=False, stage=nothing)
    seen: Observation = await watch(stores, request, environment([]))
    assert (seen.kind, seen.verdict) == ("judged", Verdict.PASS)
