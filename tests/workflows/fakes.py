"""A journal and a lookout in memory, for driving the real workflow on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.routing import SteeredRouting
from tests.workflows.script import Answer, in_its_time
from turnout.adapters.steering import Steering
from turnout.domain.errors import TurnoutError
from turnout.domain.freezes import Freeze, Opening, opening
from turnout.domain.plan import Plan
from turnout.domain.rollout import Decision, Observation, WatchRequest
from turnout.strategies import compile_plan, parse_spec
from turnout.testing.routers import MemoryRouter
from workflows.messages import (
    CalendarRequest,
    Committed,
    DeliveryReport,
    DeliveryRequest,
    Dispatch,
    Opened,
    OpenRequest,
    Routed,
    RouteRequest,
)
from workflows.ports import Herald, Journal, Lookout, Routing


def plan_of(spec: dict[str, object]) -> Plan:
    """The plan of ``spec`` from perplexity, or to green from blue."""
    return compile_plan(parse_spec(spec), "blue" if spec.get("candidate") == "green" else "perplexity")


def opened() -> asyncio.Event:
    """An event that is set already: a gate that stands open."""
    event = asyncio.Event()
    event.set()
    return event


class MemoryJournal(Journal):
    """Keeps decisions in a list and traffic in a variable; refuses stale generations like the stores do.

    ``log`` tells in which order things took effect: ``("publish", revision)``, ``("confirm", revision)``,
    ``("ended", seq)``. ``hiccups`` make the first commit of a ``seq`` fail, before or after it took effect;
    ``commits`` and ``delivery`` are gates that stand open.
    """

    def __init__(self, generation: int = 7, freezes: list[Freeze] | None = None) -> None:
        self.freezes = freezes if freezes is not None else list[Freeze]()
        self.plan: Plan | None = None
        self.decisions: list[Decision] = []
        self.revision = 0
        self.generation = generation
        self.log: list[tuple[str, int]] = []
        self.attempts: list[int] = []
        self.hiccups: dict[int, str] = {}
        self.commits, self.delivery = opened(), opened()
        self.confirming = asyncio.Event()
        self._news = asyncio.Condition()

    @activity.defn(name="open_rollout")
    async def open(self, request: OpenRequest) -> Opened:
        """Compile the spec."""
        try:
            self.plan = plan_of(dict(request.spec))
        except TurnoutError as error:
            raise ApplicationError(str(error), type=error.code, non_retryable=True) from error
        may_begin = opening(self.plan.stages[0].windows, self.freezes, self.plan.flag, request.at)
        return Opened(plan=self.plan, generation=self.generation, opening=may_begin)

    @activity.defn(name="commit_decision")
    async def commit(self, decision: Decision) -> Committed:
        """Append, publish, fence."""
        self.attempts.append(decision.seq)
        await self.commits.wait()
        hiccup = self.hiccups.pop(decision.seq, None)
        if hiccup == "before":
            raise RuntimeError("the database is away")
        if not any(d.seq == decision.seq and d.rollout_id == decision.rollout_id for d in self.decisions):
            self._keep(decision)
            async with self._news:
                self._news.notify_all()
        if hiccup == "after":
            raise RuntimeError("the answer was lost")
        return Committed(revision=self.revision)

    def _keep(self, decision: Decision) -> None:
        if decision.weights is not None:
            if decision.generation <= self.generation:
                raise ApplicationError("generation is stale", type="stale_generation", non_retryable=True)
            self.generation = decision.generation
            self.revision += 1
            self.log.append(("publish", self.revision))
        if decision.kind == "ended":
            self.log.append(("ended", decision.seq))
        self.decisions.append(decision)

    @activity.defn(name="confirm_delivery")
    async def confirm(self, request: DeliveryRequest) -> DeliveryReport:
        """One feed, which waits for ``delivery``."""
        self.confirming.set()
        await self.delivery.wait()
        self.log.append(("confirm", request.revision))
        return DeliveryReport(feeds=1, lagging=0)

    async def until(self, done: Callable[[MemoryJournal], bool]) -> None:
        """Wait, in real time, until ``done`` says so of this journal."""
        async with self._news:
            await asyncio.wait_for(self._news.wait_for(lambda: done(self)), timeout=20)

    async def recorded(self, kind: str, times: int = 1) -> Decision:
        """Wait until a decision of ``kind`` was recorded so often; returns the latest."""
        await self.until(lambda journal: journal.kinds.count(kind) >= times)
        return [d for d in self.decisions if d.kind == kind][-1]

    @property
    def kinds(self) -> list[str]:
        """The kinds of all decisions, in order."""
        return [d.kind for d in self.decisions]

    @property
    def shares(self) -> list[float]:
        """The candidate's share after every traffic change."""
        return [d.share for d in self.decisions if d.weights is not None]


class MemoryRouting(Routing):
    """One router in memory for blue and green, whatever the configuration says.

    ``log`` keeps the share of green of every split it took. Set ``router.failure`` to an error and it takes none.
    """

    def __init__(self) -> None:
        self.router = MemoryRouter(["blue", "green"])
        self.log: list[float] = []
        self.refused = asyncio.Event()
        self._routing = SteeredRouting(Steering(lambda _: self.router))

    @activity.defn(name="route_traffic")
    async def route(self, request: RouteRequest) -> Routed:
        """As the real one."""
        try:
            routed = await self._routing.route(request)
        except ApplicationError:
            self.refused.set()
            raise
        self.log.append(request.split.weights["green"] / 100_000)
        return routed


@dataclass
class ScriptedLookout(Lookout):
    """Answers every watch at once from a script, as soon as ``open`` is set.

    An answer of None watches on until it is told to stop. What would move traffic forward keeps to the windows asked
    for, and to ``freezes``.
    """

    script: Answer
    freezes: list[Freeze] = field(default_factory=list[Freeze])
    requests: list[WatchRequest] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=opened)

    @activity.defn(name="watch_stage")
    async def watch(self, request: WatchRequest) -> Observation:
        """The script's answer to this watch, as of the server's clock."""
        self.requests.append(request)
        await self.open.wait()
        now = activity.info().started_time
        seen = in_its_time(request, self.script(request, now), self.freezes, now)
        if seen is not None:
            return seen
        try:
            while True:
                activity.heartbeat(Observation(kind="interrupted", at=now, clock=request.clock))
                await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            return Observation(kind="interrupted", at=now, clock=request.clock)

    @activity.defn(name="ask_calendar")
    async def calendar(self, request: CalendarRequest) -> Opening:
        """By the windows asked for, and ``freezes``."""
        return opening(request.windows, self.freezes, request.flag, request.at)


@dataclass
class MemoryHerald(Herald):
    """Keeps what it was told to send; its channels can be out of order in three ways.

    ``hiccups`` says how often the channel of a kind fails first, ``dead`` names those that fail for good, and those of
    ``hanging`` hang until ``open`` is set.
    """

    sent: list[Dispatch] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)
    hiccups: dict[str, int] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    @activity.defn(name="send_notice")
    async def send(self, dispatch: Dispatch) -> None:
        """Send, fail or hang."""
        kind = dispatch.channel.kind
        self.attempts.append(kind)
        if kind in self.hanging:
            await self.open.wait()
        if kind in self.dead or self.hiccups.get(kind, 0) > 0:
            self.hiccups[kind] = self.hiccups.get(kind, 0) - 1
            lost = kind in self.dead
            raise ApplicationError(f"{kind} is out of order", type="unavailable", non_retryable=lost)
        self.sent.append(dispatch)

    def told(self, kind: str) -> list[str]:
        """The events that the channel of ``kind`` has, in the order of the decisions."""
        mine = [d.news for d in self.sent if d.channel.kind == kind and d.news is not None]
        return [news.event for news in sorted(mine, key=lambda news: news.decision.seq)]
