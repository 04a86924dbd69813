"""Notices beside a rollout: what is told, once, and that no channel ever holds the rollout up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import GRADUAL, Bench, bench_on, canary
from tests.workflows.fakes import MemoryHerald, MemoryJournal, plan_of
from tests.workflows.script import DAY, HOUR, Script, blocked, endless, fails, guardrail, quiet, recovered
from turnout.domain.notices import news_of
from turnout.domain.rollout import Decision, State
from turnout.domain.verdicts import Verdict
from workflows.messages import NOTIFYING_NAME, Announcement, Delivered, notifying_id

NOTIFY = [{"slack": "$SLACK"}, {"stdout": True, "events": ["started", "rolled_back", "completed"]}]
TOLD = GRADUAL | {"notify": NOTIFY}
SHORT = canary(observation_period="0.2s") | {"notify": NOTIFY}
NEWS = news_of(
    plan_of(TOLD),
    Decision(
        rollout_id="r1",
        flag="answer-engine",
        seq=1,
        kind="started",
        at=datetime(2026, 6, 1, tzinfo=UTC),
        state=State.RUNNING,
        stage=0,
        share=0.05,
        text="started by alice",
    ),
    None,
)
FULL = ["started", "advanced", "advanced", "advanced", "completed"]


async def until(done: Callable[[], bool]) -> None:
    """Wait, in real time, until ``done``."""
    async with asyncio.timeout(20):
        while not done():
            await asyncio.sleep(0.005)


async def delivered(bench: Bench, seq: int) -> Delivered:
    """What the notice of decision ``seq`` came to."""
    id_ = notifying_id(bench.journal.decisions[0].rollout_id, seq)
    handle = bench.env.client.get_workflow_handle(id_, result_type=Delivered)
    return await handle.result()


async def test_each_channel_is_told_once_of_what_it_wants(skipping: WorkflowEnvironment) -> None:
    """A rollout that passes is told from its start to its end, under a key for each decision."""
    async with bench_on(skipping) as bench:
        await (await bench.start(TOLD)).ends(State.COMPLETED)
        await until(lambda: len(bench.herald.sent) == 7)
        assert bench.herald.told("slack") == FULL
        assert bench.herald.told("stdout") == ["started", "completed"]
        ended = bench.journal.decisions[-1]
        assert await delivered(bench, ended.seq) == Delivered(
            key=f"{ended.rollout_id}:{ended.seq}", channels=("slack ($SLACK)", "stdout")
        )
        assert "adopted" in bench.journal.kinds
        seqs = [d.news.decision.seq for d in bench.herald.sent if d.channel.kind == "slack"]
        assert sorted(seqs) == [1, 2, 3, 4, 6]


async def test_a_rollout_of_many_runs_tells_each_decision_once(skipping: WorkflowEnvironment) -> None:
    """Notices that are on their way when a run continues as new arrive, and no run tells what another one told."""
    herald = MemoryHerald(hanging={"stdout"})
    async with bench_on(skipping, herald=herald) as bench:
        rollout = await bench.start(SHORT, history_limit=50)
        assert (await rollout.ended()).state is State.COMPLETED
        first = skipping.client.get_workflow_handle(rollout.handle.id, run_id=rollout.handle.first_execution_run_id)
        assert (await first.describe()).status is WorkflowExecutionStatus.CONTINUED_AS_NEW
        herald.open.set()
        await until(lambda: len(herald.sent) == 6)
        assert herald.told("slack") == ["started", "advanced", "advanced", "completed"]
        assert herald.told("stdout") == ["started", "completed"]


async def test_an_end_is_told_with_what_led_to_it(skipping: WorkflowEnvironment) -> None:
    """One notice says that the resolvers have the rollback, and on which evidence it was decided."""
    async with bench_on(skipping, Script({1: [guardrail()]})) as bench:
        await (await bench.start(TOLD)).ends(State.ROLLED_BACK)
        await until(lambda: bench.herald.told("stdout") == ["started", "rolled_back"])
        news = next(d.news for d in bench.herald.sent if d.news.event == "rolled_back")
        assert (news.decision.kind, news.decision.state) == ("ended", State.ROLLED_BACK)
        assert news.cause is not None
        assert (news.cause.kind, news.cause.evidence) == ("withdrawn", "e1")


async def test_trouble_and_commands_are_told(skipping: WorkflowEnvironment) -> None:
    """A source that is away, a failed gate, a pause, an approval, an abort: each is told as what it is."""
    trouble = [blocked(Verdict.SOURCE_ERROR), recovered(), fails]
    spec = TOLD | {"approvals": [{"before": "25%"}]}
    script = Script({0: [*trouble], 1: [quiet]})
    async with bench_on(skipping, script) as bench:
        rollout = await bench.start(
            spec | {"strategy": {"kind": "gradual", "stages": [5, 25, 100], "on_fail": "pause"}}
        )
        await rollout.skip(DAY + 2 * HOUR)
        await bench.journal.recorded("paused")
        await rollout.update("promote")
        await rollout.signal("approve", actor="alice")
        await bench.journal.recorded("refused")
        await rollout.update("abort", reason="enough")
        await rollout.ended()
        await until(lambda: "aborted" in bench.herald.told("slack"))
        assert bench.herald.told("slack") == [
            "started",
            "source_trouble",
            "recovered",
            "paused",
            "approval_needed",
            "aborted",
        ]


async def test_a_rollout_ends_while_a_channel_hangs(skipping: WorkflowEnvironment) -> None:
    """Nothing waits for the channel: not the stages, not the end, not the other channel."""
    herald = MemoryHerald(hanging={"slack"})
    async with bench_on(skipping, herald=herald) as bench:
        rollout = await bench.start(SHORT)
        assert (await rollout.ended()).state is State.COMPLETED
        with skipping.auto_time_skipping_disabled():
            await until(lambda: herald.told("stdout") == ["started", "completed"])
            assert herald.told("slack") == []
            herald.open.set()
            await until(lambda: len(herald.told("slack")) == 4)
        assert herald.told("slack") == ["started", "advanced", "advanced", "completed"]


async def test_an_abort_is_answered_while_a_channel_hangs(skipping: WorkflowEnvironment) -> None:
    """A command does not wait for a channel either."""
    herald = MemoryHerald(hanging={"slack", "stdout"})
    async with bench_on(skipping, Script({0: [endless]}), herald=herald) as bench:
        rollout = await bench.start(TOLD)
        await rollout.busy_with({"watch_stage"})
        answer = await rollout.update("abort")
        assert (answer.applied, answer.state) == (True, State.ABORTED)
        herald.open.set()
        await rollout.ended()


async def test_a_channel_that_fails_is_tried_again(skipping: WorkflowEnvironment) -> None:
    """It gets every notice once, however often it failed before, and the other channel is not told again."""
    herald = MemoryHerald(hiccups={"slack": 3})
    async with bench_on(skipping, herald=herald) as bench:
        await (await bench.start(TOLD)).ends(State.COMPLETED)
        for seq in (1, 2, 3, 4, 6):
            await delivered(bench, seq)
    assert herald.told("slack") == FULL
    assert herald.told("stdout") == ["started", "completed"]
    assert herald.attempts.count("slack") == len(FULL) + 3


async def test_a_channel_that_is_given_up(skipping: WorkflowEnvironment) -> None:
    """The rollout completes, the other channel has its notices, and what was lost shows as failed workflows."""
    herald = MemoryHerald(dead={"slack"})
    async with bench_on(skipping, herald=herald) as bench:
        await (await bench.start(TOLD)).ends(State.COMPLETED)
        await until(lambda: herald.told("stdout") == ["started", "completed"])
        with pytest.raises(WorkflowFailureError) as failed:
            await delivered(bench, 6)
    lost = failed.value.cause
    assert isinstance(lost, ApplicationError)
    assert (lost.type, lost.message) == ("not_delivered", "slack ($SLACK): unavailable: slack is out of order")
    assert herald.attempts.count("slack") == len(FULL)


async def test_a_notice_that_cannot_be_started_does_not_stop_the_rollout(skipping: WorkflowEnvironment) -> None:
    """When its workflow id is taken, the decision counts as told and the rollout goes on."""
    journal = MemoryJournal()
    journal.commits.clear()
    async with bench_on(skipping, journal=journal) as bench:
        rollout = await bench.start(TOLD)
        rollout_id = rollout.handle.first_execution_run_id
        assert NEWS is not None
        taken = await bench.env.client.start_workflow(
            NOTIFYING_NAME,
            Announcement(news=NEWS, channels=()),
            id=notifying_id(str(rollout_id), 1),
            task_queue=bench.queue,
        )
        await taken.result()
        journal.commits.set()
        await rollout.ends(State.COMPLETED)
        await until(lambda: len(bench.herald.told("slack")) == len(FULL) - 1)
        assert bench.herald.told("slack") == FULL[1:]


async def test_notices_outlive_the_rollout_and_its_cancellation(skipping: WorkflowEnvironment) -> None:
    """A rollout that is cancelled in Temporal aborts, and says so."""
    async with bench_on(skipping, Script({0: [quiet]})) as bench:
        rollout = await bench.start(TOLD)
        await bench.journal.recorded("started")
        await rollout.calm()
        await rollout.handle.cancel()
        assert (await rollout.ended()).state is State.ABORTED
        await until(lambda: bench.herald.told("slack") == ["started", "aborted"])
        described = await bench.env.client.get_workflow_handle(
            notifying_id(bench.journal.decisions[0].rollout_id, 1)
        ).describe()
        assert described.status is WorkflowExecutionStatus.COMPLETED
