"""A journal and a lookout in memory, for driving the real workflow on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from turnout.domain.plan import Plan
from turnout.domain.rollout import Clock, Decision, Observation, WatchRequest
from turnout.domain.verdicts import Verdict
from turnout.strategies import compile_plan, parse_spec
from workflows.messages import Committed, DeliveryReport, DeliveryRequest, Opened, OpenRequest
from workflows.ports import Journal, Lookout

SPEC = {
    "flag": "answer-engine",
    "candidate": "lightrag",
    "strategy": {"kind": "gradual", "stages": [5, 25, 50, 100], "stage_duration": "24h"},
    "gates": [{"metric": "success_rate", "min": 0.95}],
    "guardrails": [{"metric": "error_rate", "max": 0.1}],
}


def plan_of(spec: dict[str, object]) -> Plan:
    """The plan of ``spec`` from perplexity."""
    return compile_plan(parse_spec(spec), "perplexity")


class MemoryJournal(Journal):
    """Keeps decisions in a list and traffic in a variable; refuses stale generations like the stores do."""

    def __init__(self, generation: int = 7) -> None:
        self.decisions: list[Decision] = []
        self.published: list[tuple[int, dict[str, int]]] = []
        self.delivered: list[int] = []
        self.generation = generation
        self.commits = 0

    @activity.defn(name="open_rollout")
    async def open(self, request: OpenRequest) -> Opened:
        """Compile the spec."""
        return Opened(plan=plan_of(dict(request.spec)), generation=self.generation)

    @activity.defn(name="commit_decision")
    async def commit(self, decision: Decision) -> Committed:
        """Append, publish, fence."""
        self.commits += 1
        if any(d.seq == decision.seq and d.rollout_id == decision.rollout_id for d in self.decisions):
            return Committed(revision=len(self.published))
        if decision.weights is not None:
            if decision.generation <= self.generation:
                raise ApplicationError("stale", type="stale_generation", non_retryable=True)
            self.generation = decision.generation
            self.published.append((decision.generation, decision.weights))
        self.decisions.append(decision)
        return Committed(revision=len(self.published))

    @activity.defn(name="confirm_delivery")
    async def confirm(self, request: DeliveryRequest) -> DeliveryReport:
        """One feed, always up to date."""
        self.delivered.append(request.revision)
        return DeliveryReport(feeds=1, lagging=0)

    @property
    def kinds(self) -> list[str]:
        """The kinds of all decisions, in order."""
        return [d.kind for d in self.decisions]

    @property
    def shares(self) -> list[float]:
        """The candidate's share after every traffic change."""
        return [d.share for d in self.decisions if d.weights is not None]


Script = Callable[[WatchRequest, int], Observation | None]


@dataclass
class ScriptedLookout(Lookout):
    """Answers every watch at once from a script; None watches on until it is told to stop."""

    script: Script
    requests: list[WatchRequest] = field(default_factory=list)

    @activity.defn(name="watch_stage")
    async def watch(self, request: WatchRequest) -> Observation:
        """The script's answer to the n-th watch."""
        self.requests.append(request)
        seen = self.script(request, len(self.requests) - 1)
        if seen is not None:
            return seen
        try:
            while True:
                activity.heartbeat(Observation(kind="interrupted", at=datetime.now(UTC), clock=request.clock))
                await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            return Observation(kind="interrupted", at=request.since, clock=request.clock)


def after(
    request: WatchRequest, verdict: Verdict, extra: timedelta = timedelta(), kind: str = "judged", **more: object
) -> Observation:
    """An observation at the end of the hold (plus ``extra``), counted from the request's clock."""
    rest = max(request.stage.hold - request.clock.counted, timedelta()) if request.counting else timedelta()
    return Observation.model_validate(
        {
            "kind": kind,
            "at": request.since + request.clock.counted + request.clock.waited + rest + extra,
            "clock": Clock(counted=request.clock.counted + rest, waited=request.clock.waited),
            "verdict": verdict,
            "text": f"scripted {verdict}",
            **more,
        }
    )


def passing(request: WatchRequest, _: int) -> Observation | None:
    """Every stage passes at the end of its hold; nothing happens while the clocks stand still."""
    return after(request, Verdict.PASS) if request.counting else None


def sequence(answers: Sequence[Callable[[WatchRequest], Observation | None]]) -> Script:
    """The n-th watch gets the n-th answer; the last one repeats."""
    return lambda request, n: answers[min(n, len(answers) - 1)](request)
