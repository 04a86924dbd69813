"""What other gates would have decided, and when, on the outcomes of a rollout.

The outcomes of every stage are replayed in the order of their times and counted as intake counts them, by the other
spec's limits and bounds; the gates are asked on the way as a worker asks them. Counting and asking keep a processor
busy and are done in threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final, TypeVar

from turnout.adapters.intake import measuring_of
from turnout.adapters.ledger import Ledger
from turnout.adapters.retrial import Leg, Retrial, legs_of
from turnout.adapters.tally import ENOUGH_TO_FREEZE
from turnout.domain.errors import Conflict, InvalidInput, NotFound, Problem
from turnout.domain.outcomes import Outcome
from turnout.domain.plan import Plan
from turnout.domain.rejudged import RejudgedStage, Rejudgement
from turnout.domain.verdicts import Check
from turnout.ports import OutcomeStore, RolloutRecord, RolloutStore
from turnout.strategies import RolloutSpec, along

_PAGE: Final = 2000
"""Outcomes that are counted at once."""

_BREATH: Final = 250
"""Outcomes after which others have a turn: a store gives many without waiting for anything."""

T = TypeVar("T")


async def rejudge(
    rollouts: RolloutStore, outcomes: OutcomeStore, record: RolloutRecord, spec: RolloutSpec, now: datetime
) -> Rejudgement:
    """Ask the gates of ``spec`` about every stage that the rollout ``record`` has gone through until ``now``.

    Raises:
        InvalidInput: the spec is of another flag or candidate.
        Conflict: the rollout has begun no stage, or nothing was reported in any.
    """
    refuse_others(record, spec)
    legs = legs_of(await rollouts.decisions(record.id), now)
    if not legs:
        raise Conflict(f"rollout {record.id} of {record.flag} has begun no stage; there is nothing to judge")
    plan, ledger = along(spec, record.plan), Ledger()
    await _recall(outcomes, ledger, plan, legs[0].begun.generation)
    stages = [await _tried(rollouts, outcomes, record, plan, leg, ledger) for leg in legs]
    if not any(stage.outcomes for stage in stages):
        remedy = "services report outcomes to POST /v1/outcomes"
        raise Conflict(f"there are no outcomes of rollout {record.id} of {record.flag} to judge; {remedy}")
    return Rejudgement(flag=record.flag, rollout_id=record.id, check_every=spec.check_every, stages=tuple(stages))


def refuse_others(record: RolloutRecord, spec: RolloutSpec) -> None:
    """Raise InvalidInput where ``spec`` is not about the flag and candidate of ``record``."""
    wanted = ("flag", spec.flag, record.flag), ("candidate", spec.candidate, record.candidate)
    problems = [
        Problem(name, f"is not that of rollout {record.id}", f"write {name}: {its}", repr(given))
        for name, given, its in wanted
        if given != its
    ]
    if problems:
        raise InvalidInput(problems)


async def _tried(
    rollouts: RolloutStore, outcomes: OutcomeStore, record: RolloutRecord, plan: Plan, leg: Leg, ledger: Ledger
) -> RejudgedStage:
    trial = Retrial(record.id, plan, leg, ledger)
    async for page in _pages(_until(outcomes.replay(record.flag, leg.begun.generation), leg.until)):
        await asyncio.to_thread(trial.take, page)
    return await asyncio.to_thread(trial.finish, await _real(rollouts, leg))


async def _real(rollouts: RolloutStore, leg: Leg) -> Sequence[Check]:
    """The checks on which the decision rests that ended ``leg``."""
    if leg.ended is None or leg.ended.evidence is None:
        return ()
    try:
        return (await rollouts.evidence_of(leg.ended.evidence)).checks
    except NotFound:
        return ()


async def _recall(outcomes: OutcomeStore, ledger: Ledger, plan: Plan, first: int) -> None:
    """Bring what limits are frozen from out of the generations before ``first``, which are not replayed."""
    asked = {gate.metric for stage in plan.stages for gate in (*stage.gates, *stage.guardrails)}
    for metric in sorted(name for name, measuring in measuring_of(plan).items() if measuring.frozen and name in asked):
        for generation in range(first - 1, -1, -1):
            its = (await outcomes.histogram(plan.flag, generation, metric)).get(plan.stable)
            if its is not None and its.total >= ENOUGH_TO_FREEZE:
                ledger.recall(plan.flag, generation, plan.stable, metric, its)
                break


async def _until(replay: AsyncIterator[Outcome], end: datetime) -> AsyncIterator[Outcome]:
    """The outcomes up to ``end``: those of resolvers that learnt of the next stage late were not there to decide."""
    async for outcome in replay:
        if outcome.at is not None and outcome.at > end:
            return
        yield outcome


async def _pages(items: AsyncIterator[T]) -> AsyncIterator[Sequence[T]]:
    page = list[T]()
    async for item in items:
        page.append(item)
        if len(page) % _BREATH == 0:
            await asyncio.sleep(0)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page
