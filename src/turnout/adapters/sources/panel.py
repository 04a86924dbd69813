"""Asks every gate and guardrail of a stage at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

from turnout.adapters.sources import read
from turnout.analysis.checks import Answer, Asked, asked_of, conclude
from turnout.domain.errors import TurnoutError
from turnout.domain.rollout import WatchRequest
from turnout.domain.steering import split_to_keep
from turnout.domain.verdicts import Check
from turnout.ports import MetricSource, Question


class Panel:
    """All of a stage's instruments. ``at_once`` bounds the reads that run at the same time."""

    def __init__(self, sources: Mapping[str, MetricSource], at_once: int = 8) -> None:
        self._sources = sources
        self._at_once = at_once

    async def ask(self, request: WatchRequest, now: datetime, previous: Mapping[str, Check]) -> tuple[Check, ...]:
        """Every check of the stage at ``now``, the gates first.

        ``previous`` are the checks of the last asking of the same stage by key; `remembered` makes them. A source that
        fails gives a ``source_error`` check and keeps no other from being read.
        """
        slots = asyncio.Semaphore(self._at_once)
        asked = asked_of(request.stage)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._read(one, request, now, slots)) for one in asked]
        return conclude(asked, [task.result() for task in tasks], previous)

    async def _read(self, one: Asked, request: WatchRequest, now: datetime, slots: asyncio.Semaphore) -> Answer:
        question = Question(
            gate=one.gate,
            flag=request.flag,
            stable=request.stable,
            candidate=one.gate.arm or request.candidate,
            generation=request.generation,
            since=request.since,
            now=now,
            weights=request.stage.watched,
            hold=request.stage.hold,
            over=request.counting and request.clock.counted >= request.stage.hold,
            segment=request.stage.focus,
            shadow=request.stage.shadow is not None,
            split=split_to_keep(request) if one.gate.source.kind == "router" else None,
        )
        async with slots:
            try:
                return await read(self._sources, question)
            except TurnoutError as error:
                return error
