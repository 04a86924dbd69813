"""Watching a stage: ask its gates and guardrails until there is something to decide."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol
from uuid import uuid4

from temporalio import activity

from activities.beating import heartbeats
from activities.calendar import Calendar
from activities.errors import as_application_error
from turnout.analysis.checks import remembered
from turnout.domain.freezes import Opening
from turnout.domain.rollout import Observation, WatchRequest
from turnout.domain.verdicts import Check
from turnout.domain.vigil import Progress, advance, as_of, asks_calendar, conclude, interrupted, next_check, resumed
from turnout.ports import Evidence, RolloutStore
from workflows.messages import CalendarRequest
from workflows.ports import Lookout


class Panel(Protocol):
    """Asks every gate and guardrail of a stage at once; ``previous`` are the last checks of the stage by key."""

    async def ask(self, request: WatchRequest, now: datetime, previous: Mapping[str, Check]) -> tuple[Check, ...]:
        """The checks, gates and guardrails each in the plan's order; a failing source is a check, not an error."""
        ...


class StageLookout(Lookout):
    """Watches over a panel of sources; keeps the latest checks for status and the evidence of every finding."""

    def __init__(self, panel: Panel, rollouts: RolloutStore, calendar: Calendar) -> None:
        self._panel = panel
        self._rollouts = rollouts
        self._calendar = calendar

    @activity.defn(name="ask_calendar")
    async def calendar(self, request: CalendarRequest) -> Opening:
        """See `Lookout.calendar`."""
        with as_application_error():
            return await self._calendar.opening(request.flag, request.windows, request.at)

    @activity.defn(name="watch_stage")
    async def watch(self, request: WatchRequest) -> Observation:
        """See `Lookout.watch`."""
        vigil = _Vigil(request, resumed(request, _last_heartbeat(), _now()))
        async with heartbeats(lambda: interrupted(vigil.progress)):
            try:
                return await self._until_decided(vigil)
            except asyncio.CancelledError:
                details = activity.cancellation_details()
                if details is None or not details.cancel_requested:
                    raise  # the worker shuts down: another one goes on from the last heartbeat
                return interrupted(vigil.progress)

    async def _until_decided(self, vigil: _Vigil) -> Observation:
        memory = await self._remembered(vigil.request)
        while True:
            now = _now()
            checks = await self._panel.ask(as_of(vigil.request, vigil.progress, now), now, memory)
            memory = remembered(checks)
            vigil.progress = advance(vigil.request, vigil.progress, checks, _now())
            with as_application_error():
                await self._rollouts.checked(
                    vigil.request.rollout_id,
                    vigil.request.generation,
                    checks,
                    vigil.progress.clock.counted,
                    vigil.progress.at,
                )
                seen = conclude(vigil.request, vigil.progress, checks, await self._opening(vigil, checks))
                if seen is not None:
                    return await self._with_evidence(vigil.request, seen, checks)
            await asyncio.sleep(next_check(vigil.request, vigil.progress).total_seconds())

    async def _opening(self, vigil: _Vigil, checks: Sequence[Check]) -> Opening | None:
        """Whether traffic may move forward, where that matters now."""
        request = vigil.request
        if request.windows is None or not asks_calendar(request, vigil.progress, checks):
            return None
        return await self._calendar.opening(request.flag, request.windows, vigil.progress.at)

    async def _remembered(self, request: WatchRequest) -> dict[str, Check]:
        """What earlier watches of the same stage and generation found last, whichever worker they ran on."""
        with as_application_error():
            record = await self._rollouts.get(request.rollout_id)
        return remembered(record.checks) if record.checked_generation == request.generation else {}

    async def _with_evidence(self, request: WatchRequest, seen: Observation, checks: Sequence[Check]) -> Observation:
        evidence = Evidence(
            id=uuid4().hex,
            rollout_id=request.rollout_id,
            generation=request.generation,
            stage=request.index,
            at=seen.at,
            verdict=seen.verdict,
            checks=tuple(checks),
        )
        await self._rollouts.evidence(evidence)
        return seen.model_copy(update={"evidence": evidence.id})


class _Vigil:
    """One attempt at a watch: its request, its progress, and the heartbeats that carry the progress."""

    def __init__(self, request: WatchRequest, progress: Progress) -> None:
        self.request = request
        self.progress = progress


def _last_heartbeat() -> Observation | None:
    details = activity.info().heartbeat_details
    return Observation.model_validate(details[0]) if details else None


def _now() -> datetime:
    return datetime.now(UTC)
