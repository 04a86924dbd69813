"""Signals, early proof and policies of single gates: the real workflow over the real rules of watching."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.unit.domain.watching import check
from tests.workflows.conftest import GRADUAL, bench_on
from tests.workflows.script import DAY, HOUR, Evidence, watched
from turnout.domain.rollout import State, WatchRequest
from turnout.domain.verdicts import Check, Verdict

PASS, FAIL, INCONCLUSIVE, NO_DATA, _ = Verdict
SPEC: dict[str, object] = GRADUAL | {"check_every": "1h", "deadline": "6h"}
ADVANCE = "advance_if_no_evidence_of_harm"


def evidence(
    gates: Callable[[int, timedelta], list[Check]],
    split: Callable[[int, timedelta], Verdict] = lambda stage, age: PASS,
) -> Evidence:
    """The gates' checks and the split's verdict, by stage and time in it; the guardrail on errors passes."""

    def found(request: WatchRequest, age: timedelta) -> list[Check]:
        signals = [gate for gate in request.stage.guardrails if gate.on_fail == "hold"]
        of_signals = [check(split(request.index, age), "signal", text="5 % planned, 3 % seen") for _ in signals]
        return [*gates(request.index, age), check(PASS, "guardrail"), *of_signals]

    return found


def all_pass(stage: int, age: timedelta) -> list[Check]:
    """One gate, which passes."""
    return [check(PASS)]


async def test_a_broken_split_holds_the_stage_until_it_has_recovered(skipping: WorkflowEnvironment) -> None:
    """The signal is named, traffic stays, the hold takes as much longer as the split was broken."""
    broken = evidence(all_pass, lambda stage, age: FAIL if stage == 1 and 5 * HOUR <= age < 9 * HOUR else PASS)
    async with bench_on(skipping, watched(broken)) as bench:
        rollout = await bench.start(SPEC)
        status = await rollout.sleep(DAY + 7 * HOUR)
        assert (status.state, status.blocked, status.share) == (State.HOLDING, INCONCLUSIVE, 0.25)
        assert status.counted < 6 * HOUR
        assert (await rollout.sleep(4 * HOUR)).state is State.RUNNING
        await rollout.ends(State.COMPLETED)
    entered, held, recovered, left = bench.journal.decisions[1:5]
    assert held.text == "signal users split as planned fails: 5 % planned, 3 % seen"
    assert (recovered.kind, left.kind) == ("recovered", "advanced")
    assert left.at - entered.at >= DAY + 4 * HOUR


@pytest.mark.parametrize("policy", ["pause", ADVANCE])
async def test_a_split_that_stays_broken_pauses_at_the_deadline(skipping: WorkflowEnvironment, policy: str) -> None:
    """No policy moves users on by numbers that a signal calls into question."""
    broken = evidence(all_pass, lambda stage, age: FAIL)
    async with bench_on(skipping, watched(broken)) as bench:
        rollout = await bench.start(SPEC | {"on_inconclusive": policy})
        status = await rollout.sleep(DAY)
        assert (status.state, status.share) == (State.PAUSED, 0.05)
        await rollout.update("abort")
        assert (await rollout.ended()).state is State.ABORTED


async def test_what_is_proven_early_is_not_waited_for(skipping: WorkflowEnvironment) -> None:
    """A gate whose failure stays right takes users back a stage long before the end of the hold."""
    early = evidence(lambda stage, age: [check(FAIL if stage == 1 and age >= 2 * HOUR else PASS, anytime=True)])
    async with bench_on(skipping, watched(early)) as bench:
        rollout = await bench.start(SPEC | {"max_attempts": 1})
        await rollout.ends(State.ROLLED_BACK)
    advanced, withdrawn = bench.journal.decisions[1:3]
    assert (withdrawn.verdict, bench.journal.shares) == (FAIL, [0.05, 0.25, 0.0])
    assert 2 * HOUR <= withdrawn.at - advanced.at < 4 * HOUR


async def test_what_is_right_for_one_look_is_judged_at_the_end(skipping: WorkflowEnvironment) -> None:
    """The same failure by a plain interval waits for the end of the hold."""
    late = evidence(lambda stage, age: [check(FAIL if stage == 1 and age >= 2 * HOUR else PASS)])
    async with bench_on(skipping, watched(late)) as bench:
        rollout = await bench.start(SPEC | {"max_attempts": 1})
        await rollout.ends(State.ROLLED_BACK)
    advanced, withdrawn = bench.journal.decisions[1:3]
    assert withdrawn.at - advanced.at >= DAY


def in_doubt(p_fail: float) -> Evidence:
    """The second stage is never decided."""
    return evidence(lambda stage, age: [check(INCONCLUSIVE if stage == 1 else PASS, p_fail=p_fail)])


async def test_without_evidence_of_harm_the_spec_may_advance(skipping: WorkflowEnvironment) -> None:
    """After hold and deadline the next stage begins, recorded as unproven."""
    async with bench_on(skipping, watched(in_doubt(1.0))) as bench:
        rollout = await bench.start(SPEC | {"on_inconclusive": ADVANCE})
        await rollout.ends(State.COMPLETED)
    entered, held, left = bench.journal.decisions[1:4]
    assert (held.kind, left.kind, left.verdict) == ("held", "advanced", INCONCLUSIVE)
    assert left.text.startswith("advanced without proof: ")
    assert left.at - entered.at >= DAY + 6 * HOUR


async def test_with_evidence_of_harm_it_pauses(skipping: WorkflowEnvironment) -> None:
    """Too little for a failure, too much to go on."""
    async with bench_on(skipping, watched(in_doubt(0.1))) as bench:
        rollout = await bench.start(SPEC | {"on_inconclusive": ADVANCE})
        status = await rollout.sleep(3 * DAY)
        assert (status.state, status.share) == (State.PAUSED, 0.25)
        await rollout.update("abort")
        assert (await rollout.ended()).state is State.ABORTED


async def test_an_unproven_stage_is_left_soon_after_its_approval(skipping: WorkflowEnvironment) -> None:
    """The deadline was waited for already; health is checked once more, and the next stage begins."""
    spec = SPEC | {"on_inconclusive": ADVANCE, "approvals": [{"before": 50}]}
    async with bench_on(skipping, watched(in_doubt(1.0))) as bench:
        rollout = await bench.start(spec)
        assert (await rollout.sleep(3 * DAY)).state is State.AWAITING_APPROVAL
        await rollout.update("approve")
        await rollout.ends(State.COMPLETED)
    approved = bench.journal.kinds.index("approved")
    followed = bench.journal.decisions[approved : approved + 3]
    assert [decision.kind for decision in followed] == ["approved", "held", "advanced"]
    assert followed[-1].at - followed[0].at < 3 * HOUR


@pytest.mark.parametrize(
    ("policies", "state"),
    [
        (("rollback", ADVANCE), State.ROLLED_BACK),
        (("pause", "hold"), State.PAUSED),
        (("hold", ADVANCE), State.HOLDING),
        ((None, ADVANCE), State.PAUSED),
    ],
)
async def test_the_most_cautious_gate_is_heard(
    skipping: WorkflowEnvironment, policies: tuple[str | None, str], state: State
) -> None:
    """Two gates in doubt, each with its own policy or that of the stage, which pauses."""
    gates = [
        {"metric": metric, "min": 0.8} | ({"on_inconclusive": policy} if policy else {})
        for metric, policy in zip(("success_rate", "quality_score"), policies, strict=True)
    ]
    doubt = evidence(lambda stage, age: [check(INCONCLUSIVE, p_fail=1.0)] * 2)
    async with bench_on(skipping, watched(doubt)) as bench:
        rollout = await bench.start(SPEC | {"gates": gates})
        if state.ended:
            await rollout.ends(state)
            return
        assert (await rollout.sleep(3 * DAY)).state is state
        await rollout.update("abort")
        assert (await rollout.ended()).state is State.ABORTED


async def test_a_gate_without_data_may_wait_for_ever(skipping: WorkflowEnvironment) -> None:
    """``hold`` has no deadline; when the data comes the stage is judged."""
    gates = [{"metric": "satisfaction", "min": 3, "on_no_data": "hold"}]
    slow = evidence(lambda stage, age: [check(NO_DATA if stage == 0 and age < 20 * DAY else PASS)])
    async with bench_on(skipping, watched(slow)) as bench:
        rollout = await bench.start(SPEC | {"gates": gates})
        assert (await rollout.sleep(10 * DAY)).state is State.HOLDING
        await rollout.ends(State.COMPLETED)
    assert bench.journal.kinds[:3] == ["started", "held", "advanced"]
    assert bench.journal.decisions[2].at - bench.journal.decisions[0].at >= 20 * DAY


async def test_a_dry_run_is_no_obstacle(skipping: WorkflowEnvironment) -> None:
    """It fails all the time and changes nothing."""
    gates = [{"metric": "success_rate", "min": 0.95}, {"metric": "cost", "max": 1, "dry_run": True}]
    failing = evidence(lambda stage, age: [check(PASS), check(FAIL, anytime=True, dry_run=True)])
    async with bench_on(skipping, watched(failing)) as bench:
        rollout = await bench.start(SPEC | {"gates": gates})
        await rollout.ends(State.COMPLETED)
    assert bench.journal.kinds == ["started", "advanced", "advanced", "advanced", "adopted", "ended"]
