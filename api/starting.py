"""Starting a rollout: the spec is checked at the door, the rollout is kept by the engine, a worker begins it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from pydantic import JsonValue

from api.commanding import stopped
from api.schemas import Scheduled
from api.services import Services
from turnout.domain.errors import Conflict, InvalidInput, NotFound, Problem, RolloutOpen
from turnout.domain.plan import Plan
from turnout.domain.problems import suggestion
from turnout.ports import FlagRecord, RolloutRecord
from turnout.strategies import RolloutSpec, compile_plan, parse_spec
from workflows.messages import RolloutInput

_FIRST_LOOK, _SLOWEST_LOOK = 0.02, 0.25
_LOOKS_BETWEEN_ASKING = 5


async def planned(services: Services, document: object) -> tuple[RolloutSpec, Plan]:
    """The spec in ``document`` and the plan a rollout would follow now.

    Raises InvalidInput with every fault, NotFound when there is no such flag.
    """
    spec = parse_spec(document)
    record = await services.flags.get(spec.flag)
    problems = list(_misfits(spec, record))
    if problems:
        raise InvalidInput(problems)
    plan = compile_plan(spec, record.traffic.stable)
    problems = list(_strangers(plan, record))
    if problems:
        raise InvalidInput(problems)
    return spec, plan


async def start_rollout(services: Services, document: dict[str, JsonValue], actor: str) -> RolloutRecord | Scheduled:
    """Start the rollout that ``document`` describes; its record once a worker has begun it.

    Raises InvalidInput, NotFound, RolloutOpen, Unavailable, or whatever the rollout failed with.
    """
    spec, plan = await planned(services, document)
    await _refuse_second(services, spec.flag)
    if (refusal := await stopped(services, spec.flag)) is not None:
        raise Conflict(refusal)
    memo = {"strategy": plan.strategy, "candidate": plan.candidate, "stable": plan.stable, "started_by": actor}
    try:
        rollout_id = await services.engine.start(spec.flag, RolloutInput(spec=document, started_by=actor), memo)
    except RolloutOpen:
        await _refuse_second(services, spec.flag)
        raise
    begun = await _begun(services, spec.flag, rollout_id)
    if begun is not None:
        return begun
    text = "no worker has begun it yet; it is kept, and begins once a worker is running"
    return Scheduled(id=rollout_id, flag=spec.flag, text=text)


async def _refuse_second(services: Services, flag: str) -> None:
    try:
        last = await services.rollouts.latest(flag)
    except NotFound:
        return
    if not last.state.ended:
        raise RolloutOpen(
            f"flag {flag} has an open rollout already: {last.started_by} started {last.strategy} to {last.candidate} "
            f"on {last.started_at:%Y-%m-%d %H:%M} UTC, and it is {last.state}; wait until it has ended, "
            f"or end it with: turnout abort {flag}"
        )


async def _begun(services: Services, flag: str, rollout_id: str) -> RolloutRecord | None:
    """The record, once a worker has opened the rollout; None if none has in time. Raises what it failed with."""
    pause, looks = _FIRST_LOOK, 0
    try:
        async with asyncio.timeout(services.patience):
            while True:
                try:
                    return await services.rollouts.get(rollout_id)
                except NotFound:
                    looks += 1
                if looks % _LOOKS_BETWEEN_ASKING == 0:
                    failed = await services.engine.failure(flag, rollout_id)
                    if failed is not None:
                        raise failed
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _SLOWEST_LOOK)
    except TimeoutError:
        return None


def _strangers(plan: Plan, record: FlagRecord) -> Iterator[Problem]:
    """The arms of a test that are no variants of the flag."""
    variants = list(record.flag.variants)
    arms = dict.fromkeys(arm for stage in plan.stages for arm in stage.weights)
    for arm in arms:
        if arm not in variants:
            message = f"flag {plan.flag} has no such variant"
            yield Problem(f"strategy.allocation.{arm}", message, suggestion(arm, variants), arm)


def _misfits(spec: RolloutSpec, record: FlagRecord) -> Iterator[Problem]:
    variants: list[Any] = list(record.flag.variants)
    if spec.candidate not in variants:
        message = f"flag {spec.flag} has no such variant"
        yield Problem("candidate", message, suggestion(spec.candidate, variants), spec.candidate)
