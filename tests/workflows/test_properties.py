"""The rules of DESIGN as properties of the real workflow: random plans, observations and commands on virtual time."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from hypothesis import HealthCheck, given, settings
from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import Bench, Rollout, bench_on
from tests.workflows.fakes import MemoryJournal
from tests.workflows.generated import Order, Season, Whim, Whims, orders, seasons, specs, whims
from tests.workflows.invariants import assert_in_its_time, assert_rules, published
from tests.workflows.script import DAY
from turnout.domain.rollout import State


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spec=specs, script=whims, commands=orders, season=seasons)
async def test_the_rules_hold_whatever_happens(
    skipping: WorkflowEnvironment, spec: dict[str, object], script: list[Whim], commands: list[Order], season: Season
) -> None:
    """Shares, times, clocks, causes, approvals and ends are right; what is published last is confirmed first."""
    answers, now = Whims(script), await skipping.get_current_time()
    journal = MemoryJournal(freezes=season.freezes(now))
    async with asyncio.timeout(25), bench_on(skipping, answers, journal) as bench:
        rollout = await bench.start(spec | season.spec(now), history_limit=60)
        await live(rollout, commands)
        result = await rollout.ended()
    plan, decisions = bench.journal.plan, bench.journal.decisions
    assert plan is not None
    assert_rules(plan, decisions, starter="alice")
    assert_in_its_time(plan, decisions, journal.freezes)
    assert result.state is next(d.state for d in decisions if d.kind == "ended")
    assert_confirmed_before_the_end(bench)
    assert_alarms_were_heard(bench, answers)


async def live(rollout: Rollout, commands: list[Order]) -> None:
    """Give ``commands`` in their time, then let the rollout go on for a month, and end it if it has not ended."""
    with suppress(RPCError):  # ended meanwhile
        for number, order in enumerate(commands):
            await rollout.skip(order.after)
            await give(rollout, order, f"c{number - order.again}")
        await rollout.skip(30 * DAY)
        await rollout.update("abort", id="the end")


async def give(rollout: Rollout, order: Order, name: str) -> None:
    """One command; an update may be refused."""
    if order.by_signal:
        await rollout.signal(order.kind, order.actor, roles=order.roles, id=name, reason="why")
        return
    with suppress(WorkflowUpdateFailedError):
        await rollout.update(order.kind, order.actor, roles=order.roles, id=name, reason="why")


def assert_confirmed_before_the_end(bench: Bench) -> None:
    """The last change reached the resolvers before the rollout was recorded as ended."""
    *_, publish, confirm, ended = bench.journal.log
    assert (publish[0], confirm[0], ended[0]) == ("publish", "confirm", "ended")
    assert publish[1] == confirm[1] == bench.journal.revision


def assert_alarms_were_heard(bench: Bench, answers: Whims) -> None:
    """A guardrail that failed takes everybody back, paused or not, unless traffic had changed before it failed."""
    changes = {d.generation: d for d in published(bench.journal.decisions)}
    last = {request.generation: seen for request, seen in answers.given}
    for generation, seen in last.items():
        change = changes.get(generation + 1)
        if seen.kind == "guardrail" and seen.recourse == "rollback" and change is not None and change.at >= seen.at:
            assert change.kind == "withdrawn"


def test_states_that_end_are_the_ends() -> None:
    """The properties above would say nothing about an end that is not one of the four."""
    ends = [state.value for state in State if state.ended]
    assert ends == ["completed", "rolled_back", "aborted", "failed"]
