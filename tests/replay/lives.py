"""Lives of rollouts to be recorded: whole ones, on a real server in real time, over the scripted lookout."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import BLUE_GREEN, GRADUAL, Bench, Rollout, bench_on, canary
from tests.workflows.fakes import MemoryJournal
from tests.workflows.script import (
    Answer,
    Script,
    blocked,
    endless,
    fails,
    guardrail,
    overdue,
    passes,
    quiet,
    recovered,
    wins,
)
from turnout.domain.errors import Unavailable
from turnout.domain.freezes import Freeze
from turnout.domain.verdicts import Verdict

SOON = timedelta(milliseconds=200)
STRATEGY = {"kind": "gradual", "stages": [5, 25, 50, 100], "stage_duration": "0.4s"}
STEPS = GRADUAL | {"strategy": STRATEGY, "deadline": "1s"}
CANARY = canary(observation_period="0.4s")
BY_HAND = canary(observation_period="0.4s", auto_promote=False, auto_rollback=False)
SHADOW = GRADUAL | {"strategy": {"kind": "shadow", "duration": "0.4s", "sample": 20}}
PIPELINE = {name: value for name, value in GRADUAL.items() if name != "strategy"} | {
    "pipeline": [
        {"strategy": {"kind": "shadow", "duration": "0.4s", "sample": 20}},
        {"strategy": {"kind": "canary", "percentage": 20, "max_percentage": 20, "observation_period": "0.4s"}},
        {"strategy": {"kind": "gradual", "stages": [20, 60, 100], "stage_duration": "0.4s"}},
    ]
}
APPROVED = STEPS | {"approvals": [{"before": "50%", "by": "approver"}]}
SWITCH_STRATEGY: dict[str, object] = {
    **BLUE_GREEN["strategy"],  # type: ignore[dict-item]
    "health": {"url": "http://127.0.0.1:9002/healthz", "interval": "0.1s"},
    "switch_duration": "0.4s",
    "bake": "0.4s",
    "preview": None,
}
SWITCH = BLUE_GREEN | {"strategy": SWITCH_STRATEGY}
SWITCH_BY_HAND = BLUE_GREEN | {"strategy": SWITCH_STRATEGY | {"auto_promote": False}}
EVENTS = ["started", "advanced", "source_trouble", "paused", "rolled_back"]
TOLD = STEPS | {"notify": [{"webhook": "https://ops.example/hooks", "secret": "$HOOK_SECRET", "events": EVENTS}]}
COHORTS = STEPS | {
    "strategy": {
        "kind": "cohort",
        "stage_duration": "0.4s",
        "cohorts": [
            {"name": "staff", "match": {"ids": ["ann", "bob"]}},
            {"name": "beta", "match": {"plan": "beta"}, "percentage": 50},
        ],
    }
}
REGIONS = STEPS | {
    "strategy": {
        "kind": "geographic",
        "stage_duration": "0.4s",
        "regions": [{"name": "dach", "countries": ["DE", "AT", "CH"], "percentage": 50}],
        "other": {"percentage": 10},
    }
}
SHORTEST_HISTORY = 50
MEASURED = {"metrics": ["success_rate"], "minimum_sample_size": 1000, "max_duration": "0.4s"}
AB_TEST = {k: v for k, v in GRADUAL.items() if k != "gates"} | {"strategy": {"kind": "ab_test", **MEASURED}}
ARMS = {"allocation": {"lightrag": 30, "hybrid": 30, "perplexity": 40}, "control": "perplexity"}
MULTIVARIATE = {"flag": "answer-engine", "strategy": {"kind": "multivariate", **ARMS, **MEASURED}}

Life = Callable[[WorkflowEnvironment], Awaitable[Rollout]]


async def lived(env: WorkflowEnvironment, spec: dict[str, object], script: Answer | None = None) -> Rollout:
    """A rollout that nobody touches, up to its end."""
    async with bench_on(env, script) as bench:
        rollout = await bench.start(spec)
        await rollout.ended()
    return rollout


async def then(rollout: Rollout, kind: str, times: int = 1) -> None:
    """Wait until a decision of ``kind`` was recorded so often and the rollout has gone on from there."""
    await rollout.bench.journal.recorded(kind, times)
    await rollout.calm()


async def canary_completed(env: WorkflowEnvironment) -> Rollout:
    """Every stage passes."""
    return await lived(env, CANARY)


async def canary_rolled_back(env: WorkflowEnvironment) -> Rollout:
    """A guardrail fails in the second stage."""
    return await lived(env, CANARY, Script({1: [guardrail(SOON)]}))


async def canary_by_hand(env: WorkflowEnvironment) -> Rollout:
    """Every stage waits for promote; a failed gate pauses, and going on repeats the stage."""
    async with bench_on(env, Script({1: [fails, passes]})) as bench:
        rollout = await bench.start(BY_HAND)
        await then(rollout, "awaiting_approval")
        await rollout.update("promote", reason="looks good")
        await then(rollout, "paused")
        await rollout.update("resume")
        await then(rollout, "awaiting_approval", 2)
        await rollout.update("promote")
        await rollout.ended()
    return rollout


async def shadow_completed(env: WorkflowEnvironment) -> Rollout:
    """Nobody is moved, and nobody is to be moved back."""
    return await lived(env, SHADOW)


async def shadow_stopped(env: WorkflowEnvironment) -> Rollout:
    """A guardrail fails on what was answered in shadow."""
    return await lived(env, SHADOW, Script({0: [guardrail(SOON)]}))


async def pipeline_went_back(env: WorkflowEnvironment) -> Rollout:
    """From shadow over a canary to everybody; the first gate of the second ramp fails once."""
    return await lived(env, PIPELINE, Script({2: [fails, passes]}))


async def gradual_went_back(env: WorkflowEnvironment) -> Rollout:
    """A failed gate goes back one stage; then every stage passes."""
    return await lived(env, STEPS, Script({2: [fails, passes]}))


async def gradual_approved(env: WorkflowEnvironment) -> Rollout:
    """Paused, resumed, approved, and aborted in the stage that was approved."""
    async with bench_on(env, Script({2: [quiet]})) as bench:
        rollout = await bench.start(APPROVED)
        await then(rollout, "started")
        await rollout.update("pause", id="p1", reason="lunch")
        await rollout.update("resume")
        await then(rollout, "awaiting_approval")
        await rollout.update("approve", roles=("approver",))
        await then(rollout, "advanced", 2)
        await rollout.calm()
        await rollout.update("abort", reason="enough")
        await rollout.ended()
    return rollout


async def gradual_held(env: WorkflowEnvironment) -> Rollout:
    """A source is away and comes back, then there is no data until the deadline; promoted by hand from there."""
    outage = [blocked(Verdict.SOURCE_ERROR, SOON), recovered(SOON), blocked(Verdict.NO_DATA), overdue(Verdict.NO_DATA)]
    async with bench_on(env, Script({1: outage})) as bench:
        rollout = await bench.start(STEPS)
        await then(rollout, "paused")
        await rollout.update("promote", reason="the dashboard is fine")
        await rollout.ended()
    return rollout


async def gradual_by_signal(env: WorkflowEnvironment) -> Rollout:
    """Signals interrupt a watch that runs; one is refused, one comes twice, the last one rolls back."""
    async with bench_on(env, Script({0: [endless]}, standing=[endless])) as bench:
        rollout = await bench.start(STEPS)
        for number, (kind, done) in enumerate([("pause", "paused"), ("approve", "refused"), ("resume", "resumed")]):
            await rollout.busy_with({"watch_stage"})
            await rollout.signal(kind, id=f"s{number}")
            await bench.journal.recorded(done)
        await rollout.signal("resume", id="s2")
        await rollout.busy_with({"watch_stage"})
        await rollout.signal("rollback", id="s3", reason="complaints")
        await rollout.ended()
    return rollout


async def gradual_over_many_runs(env: WorkflowEnvironment) -> Rollout:
    """Long enough to continue as new, with a watch running and commands coming in."""
    async with bench_on(env, Script({0: [endless], 1: [fails, passes]}, standing=[endless])) as bench:
        rollout = await bench.start(STEPS, history_limit=SHORTEST_HISTORY)
        await bench.journal.recorded("started")
        for number in range(4):
            await toggled(rollout, number)
        await rollout.update("promote")
        await bench.journal.recorded("moved_back")
        await rollout.busy_with({"watch_stage"})
        await rollout.update("promote", id="again")
        await rollout.ended()
    return rollout


async def toggled(rollout: Rollout, number: int) -> None:
    """Pause by update, resume by signal."""
    await rollout.update("pause", id=f"pause {number}")
    await rollout.signal("resume", id=f"resume {number}")
    await rollout.bench.journal.recorded("resumed", number + 1)
    await rollout.busy_with({"watch_stage"})


async def gradual_cancelled(env: WorkflowEnvironment) -> Rollout:
    """Temporal's own cancel."""
    async with bench_on(env, Script({1: [quiet]})) as bench:
        rollout = await bench.start(STEPS)
        await then(rollout, "advanced")
        await rollout.calm()
        await rollout.handle.cancel()
        await rollout.ended()
    return rollout


async def gradual_lost_its_flag(env: WorkflowEnvironment) -> Rollout:
    """Somebody else published a newer generation."""
    async with bench_on(env) as bench:
        rollout = await bench.start(STEPS)
        await then(rollout, "started")
        bench.journal.generation += 5
        await rollout.ended()
    return rollout


async def gradual_still_open(env: WorkflowEnvironment) -> Rollout:
    """Open in its second stage, as a new version of the worker finds it."""
    bench: Bench
    async with bench_on(env, Script({1: [quiet]})) as bench:
        rollout = await bench.start(STEPS)
        await then(rollout, "advanced")
        await rollout.update("pause", reason="the weekend")
        await rollout.calm()
    return rollout


async def blue_green_completed(env: WorkflowEnvironment) -> Rollout:
    """Every stage passes, and the router follows each."""
    return await lived(env, SWITCH)


async def blue_green_without_its_router(env: WorkflowEnvironment) -> Rollout:
    """The router is away at a move, comes back, and is away again at the rollback, which waits for it."""
    script = Script({1: [recovered(SOON), passes], 2: [quiet]})
    async with bench_on(env, script) as bench:
        rollout = await bench.start(SWITCH_BY_HAND)
        await then(rollout, "awaiting_approval")
        router = bench.routing.router
        router.failure = Unavailable("no answer at /run/haproxy.sock")
        await rollout.update("promote")
        await bench.journal.recorded("held")
        router.failure = None
        await then(rollout, "advanced", 2)
        router.failure = Unavailable("no answer at /run/haproxy.sock")
        await rollout.signal("rollback", reason="complaints")
        await bench.journal.recorded("held", 2)
        router.failure = None
        await rollout.ended()
    return rollout


async def gradual_told(env: WorkflowEnvironment) -> Rollout:
    """Every decision is told, but one that is refused and one that the only channel does not want."""
    trouble = [blocked(Verdict.SOURCE_ERROR, SOON), recovered(SOON), passes]
    async with bench_on(env, Script({1: trouble, 2: [quiet]})) as bench:
        rollout = await bench.start(TOLD)
        await then(rollout, "advanced", 2)
        await rollout.update("pause", reason="lunch")
        await rollout.signal("approve")
        await then(rollout, "refused")
        await rollout.update("rollback", reason="complaints")
        await rollout.ended()
        while len(bench.herald.sent) < 6:
            await asyncio.sleep(0.01)
    return rollout


async def gradual_in_its_time(env: WorkflowEnvironment) -> Rollout:
    """Scheduled, frozen, begun; approved late, frozen again, and moved on by somebody who may override that."""
    journal, approval = MemoryJournal(), {"before": "50%", "timeout": "1s", "on_timeout": "hold"}
    async with bench_on(env, journal=journal) as bench:
        now = datetime.now(UTC)
        journal.freezes.append(frozen(now, timedelta(seconds=2.5)))
        times = {"windows": {"timezone": "Europe/Berlin"}, "start_at": (now + 5 * SOON).isoformat()}
        rollout = await bench.start(STEPS | times | {"approvals": [approval]})
        await then(rollout, "approval_overdue")
        journal.freezes.append(frozen(now, timedelta(hours=1)))
        await rollout.update("approve")
        await then(rollout, "waiting_window", 2)
        await rollout.update("promote", reason="now")
        await rollout.update("promote", reason="the fix cannot wait", roles=("freeze_override",))
        await then(rollout, "waiting_window", 3)
        await rollout.update("abort")
        await rollout.ended()
    return rollout


def frozen(now: datetime, until: timedelta) -> Freeze:
    """A freeze of everything for so long from now."""
    return Freeze(id="f1", by="carol", at=now, start=now - timedelta(hours=1), end=now + until, reason="year-end")


async def cohort_adjusted(env: WorkflowEnvironment) -> Rollout:
    """A cohort gets less while its stage runs, then more than it may; the shares stay in the end."""
    async with bench_on(env, Script({0: [quiet, passes], 1: [endless, passes]})) as bench:
        rollout = await bench.start(COHORTS)
        await then(rollout, "started")
        await rollout.update("adjust", reason="busy", adjustment={"part": "staff", "weight": 10_000})
        await bench.journal.recorded("advanced")
        await rollout.busy_with({"watch_stage"})
        await rollout.signal("adjust", id="a1", adjustment={"part": "staff", "weight": 90_000})
        await bench.journal.recorded("refused")
        await rollout.busy_with({"watch_stage"})
        await rollout.signal("adjust", id="a2", adjustment={"part": "beta", "weight": 20_000})
        await rollout.ended()
    return rollout


async def geographic_completed(env: WorkflowEnvironment) -> Rollout:
    """Every region passes, then everybody else."""
    return await lived(env, REGIONS)


async def ab_test_completed(env: WorkflowEnvironment) -> Rollout:
    """The candidate wins; users return."""
    return await lived(env, AB_TEST, Script({0: [wins("lightrag")]}))


async def ab_test_kept(env: WorkflowEnvironment) -> Rollout:
    """Paused and resumed on the way; then the control is kept."""
    async with bench_on(env, Script({0: [endless, fails]}, standing=[endless])) as bench:
        rollout = await bench.start(AB_TEST)
        await bench.journal.recorded("started")
        await rollout.busy_with({"watch_stage"})
        await rollout.update("pause")
        await rollout.busy_with({"watch_stage"})
        await rollout.update("resume")
        await rollout.ended()
    return rollout


async def multivariate_completed(env: WorkflowEnvironment) -> Rollout:
    """An arm that is not the first one wins."""
    return await lived(env, MULTIVARIATE, Script({0: [wins("hybrid")]}))


async def ab_test_shipped(env: WorkflowEnvironment) -> Rollout:
    """The winner is shipped by a rollout that goes on in the same workflow."""
    strategy = {"kind": "ab_test", **MEASURED, "ship_winner": {"stages": [50, 100], "stage_duration": "0.4s"}}
    return await lived(env, STEPS | {"strategy": strategy}, Script({0: [wins("lightrag"), passes]}))


LIVES: tuple[Life, ...] = (
    canary_completed,
    canary_rolled_back,
    canary_by_hand,
    shadow_completed,
    shadow_stopped,
    pipeline_went_back,
    gradual_went_back,
    gradual_approved,
    gradual_held,
    gradual_by_signal,
    gradual_over_many_runs,
    gradual_cancelled,
    gradual_lost_its_flag,
    gradual_still_open,
    blue_green_completed,
    blue_green_without_its_router,
    gradual_told,
    gradual_in_its_time,
    cohort_adjusted,
    geographic_completed,
    ab_test_completed,
    ab_test_kept,
    multivariate_completed,
    ab_test_shipped,
)
