"""One stage that a rollout went through, judged once more by other gates. No I/O."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Final

from turnout.adapters.intake import Attributed, FlagFacts, measuring_of
from turnout.adapters.ledger import Ledger
from turnout.adapters.retold import told
from turnout.adapters.sources.outcomes import OutcomesSource
from turnout.adapters.sources.panel import Panel
from turnout.analysis.checks import Asked, asked_of, remembered
from turnout.domain.outcomes import Outcome
from turnout.domain.plan import Plan
from turnout.domain.rejudged import RejudgedGate, RejudgedStage
from turnout.domain.rollout import Clock, Decision, WatchRequest
from turnout.domain.verdicts import Check, Verdict

MOST_LOOKS: Final = 500
"""Looks at one stage; a stage that would need more is looked at less often."""


@dataclass(frozen=True, slots=True)
class Leg:
    """A stage as the rollout went through it: from the decision that began it to the one that ended it, if any."""

    begun: Decision
    until: datetime
    ended: Decision | None


def legs_of(decisions: Sequence[Decision], now: datetime) -> list[Leg]:
    """The stages that ``decisions`` (in order) tell of, one a generation; the last one lasts until ``now``.

    Shares that are changed after the end belong to no stage.
    """
    end = next((number for number, one in enumerate(decisions, 1) if one.kind == "ended"), len(decisions))
    turns = [one for one in decisions[:end] if one.weights is not None or one.kind == "ended"]
    return [
        Leg(begun, ended.at if ended else max(now, begun.at), ended)
        for begun, ended in zip_longest(turns, turns[1:])
        if begun.weights is not None and not begun.leaves
    ]


def looks_at(since: datetime, until: datetime, every: timedelta) -> tuple[list[datetime], timedelta]:
    """When to look at a stage, the last time at its end, and the time between two looks."""
    step = max(every, (until - since) / MOST_LOOKS)
    count = max(1, -(-(until - since) // step))
    return [*(since + step * number for number in range(1, count)), until], step


class Retrial:
    """Takes the outcomes of one stage in the order of their times, and asks the gates of ``plan`` on the way.

    ``ledger`` has the stages before this one, for limits to be frozen from. `take` and `finish` run event loops of
    their own and belong in a thread that has none.
    """

    def __init__(self, rollout_id: str, plan: Plan, leg: Leg, ledger: Ledger) -> None:
        self._plan, self._leg, self._ledger = plan, leg, ledger
        self._request = _request(rollout_id, plan, leg)
        self._facts = _facts(plan, leg)
        self._panel = Panel({"outcomes": OutcomesSource(ledger)})
        self._moments, self._every = looks_at(leg.begun.at, leg.until, self._request.stage.check_every)
        self._due = deque(self._moments)
        self._waiting = list[Attributed]()
        self._counted = 0
        self._checks: tuple[Check, ...] = ()
        self._memory: Mapping[str, Check] = {}
        self._first = dict[tuple[str, Verdict], timedelta]()

    def take(self, outcomes: Sequence[Outcome]) -> None:
        """Count ``outcomes``, none of them earlier than those before, and look whenever it is time."""
        asyncio.run(self._take(outcomes))

    def finish(self, real: Sequence[Check]) -> RejudgedStage:
        """The looks that are left, and what all came to. ``real`` are the checks the stage was decided by."""
        asyncio.run(self._rest())
        leg, stage = self._leg, self._request.stage
        self._ledger.settle(self._plan.flag, leg.begun.generation)
        return RejudgedStage(
            generation=leg.begun.generation,
            stage=leg.begun.stage,
            name=stage.name,
            share=leg.begun.share,
            since=leg.begun.at,
            until=leg.until,
            outcomes=self._counted,
            looks=len(self._moments),
            every=self._every,
            decided=leg.ended,
            gates=tuple(self._gate(one, {check.gate: check.verdict for check in real}) for one in asked_of(stage)),
        )

    async def _take(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            at = outcome.at or self._leg.until
            while self._due and self._due[0] < at:
                await self._look(self._due.popleft())
            self._waiting.append(Attributed(outcome, self._leg.begun.generation, at))
        self._count()

    async def _rest(self) -> None:
        while self._due:
            await self._look(self._due.popleft())

    async def _look(self, at: datetime) -> None:
        """Ask everything as a worker does at ``at``."""
        self._count()
        self._checks = await self._panel.ask(self._request, at, self._memory)
        self._memory = remembered(self._checks)
        for check in self._checks:
            self._first.setdefault((check.key, check.verdict), at - self._leg.begun.at)

    def _count(self) -> None:
        if self._waiting:
            self._ledger.add(self._waiting, self._facts)
            self._counted += len(self._waiting)
            self._waiting = []

    def _gate(self, one: Asked, real: Mapping[str, Verdict]) -> RejudgedGate:
        askable = one.gate.source.kind == "outcomes"
        found = RejudgedGate(
            gate=one.gate.label,
            role=one.role,
            passed_after=self._first.get((one.key, Verdict.PASS)),
            failed_after=self._first.get((one.key, Verdict.FAIL)),
            final=next((check for check in self._checks if check.key == one.key), None) if askable else None,
            rollout=real.get(one.gate.label),
            text="",
        )
        where = f"stage {self._leg.begun.stage + 1} ({self._request.stage.name})"
        text = told(found, one.gate, where, self._leg.begun.at, self._leg.ended)
        return found.model_copy(update={"text": text})


def _request(rollout_id: str, plan: Plan, leg: Leg) -> WatchRequest:
    begun = leg.begun
    # A share that was changed by hand is not the plan's.
    served = {"weights": begun.weights, "segments": begun.segments}
    return WatchRequest(
        rollout_id=rollout_id,
        flag=plan.flag,
        stable=plan.stable,
        candidate=plan.candidate,
        index=begun.stage,
        stage=plan.stages[begun.stage].model_copy(update=served),
        generation=begun.generation,
        since=begun.at,
        clock=Clock(),
        counting=True,
    )


def _facts(plan: Plan, leg: Leg) -> dict[str, FlagFacts]:
    variants = frozenset((plan.stable, plan.candidate))
    return {plan.flag: FlagFacts(leg.begun.generation, variants, plan.stable, measuring_of(plan))}
