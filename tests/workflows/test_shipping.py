"""The winner of a test is shipped: a second rollout goes on in the workflow of the first."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import GRADUAL, bench_on
from tests.workflows.script import Answer, Script, fails, quiet, wins
from turnout.domain.rollout import State

SHIP = {"stages": [40, 100], "stage_duration": "24h"}


def trial(**strategy: Any) -> dict[str, Any]:
    """An A/B test with the gates of a gradual rollout."""
    fields = {"kind": "ab_test", "metrics": ["success_rate"], "minimum_sample_size": 1000, "max_duration": "14d"}
    return GRADUAL | {"strategy": fields | strategy}


async def test_a_winner_is_shipped(skipping: WorkflowEnvironment) -> None:
    """The test has ended before the second rollout begins, which has an id, a plan and an end of its own."""
    async with bench_on(skipping, Script({0: [wins("lightrag")]})) as bench:
        rollout = await bench.start(trial(ship_winner=SHIP))
        await rollout.ends(State.COMPLETED)
    assert bench.journal.kinds == ["started", "returned", "ended", "started", "advanced", "adopted", "ended"]
    assert bench.journal.shares == [0.5, 0.0, 0.4, 1.0, 1.0]
    first, second = bench.journal.decisions[0], bench.journal.decisions[3]
    assert second.rollout_id == f"{first.rollout_id}-ship"
    assert (second.seq, second.actor) == (1, "alice")
    assert bench.journal.decisions[2].text.endswith("a rollout that ships the winner follows")
    assert bench.journal.decisions[-2].new_stable == "lightrag"


async def test_the_arm_that_won_is_shipped(skipping: WorkflowEnvironment) -> None:
    """Of several arms the winner becomes the candidate; the shares may stay in between."""
    arms = {"allocation": {"lightrag": 30, "hybrid": 30, "perplexity": 40}, "control": "perplexity"}
    several = trial(kind="multivariate", ship_winner=SHIP, end="stay", **arms)
    async with bench_on(skipping, Script({0: [wins("hybrid")]})) as bench:
        rollout = await bench.start({name: value for name, value in several.items() if name != "candidate"})
        await rollout.ends(State.COMPLETED)
    assert bench.journal.kinds[:4] == ["started", "settled", "ended", "started"]
    assert bench.journal.decisions[3].weights == {"hybrid": 40_000, "perplexity": 60_000}
    assert bench.journal.decisions[-2].new_stable == "hybrid"


@pytest.mark.parametrize(("ship", "answer"), [(None, wins("lightrag")), (SHIP, fails)])
async def test_nothing_is_shipped(skipping: WorkflowEnvironment, ship: dict[str, Any] | None, answer: Answer) -> None:
    """Without being told to, and without a winner, the test is all there is."""
    async with bench_on(skipping, Script({0: [answer]})) as bench:
        rollout = await bench.start(trial(ship_winner=ship))
        await rollout.ends(State.ROLLED_BACK if ship else State.COMPLETED)
    assert bench.journal.kinds.count("started") == 1
    assert bench.journal.shares[-1] == 0


async def test_a_person_ships_nothing(skipping: WorkflowEnvironment) -> None:
    """Promoting a test ends it without a winner."""
    async with bench_on(skipping, Script({0: [quiet]})) as bench:
        rollout = await bench.start(trial(ship_winner=SHIP))
        await rollout.calm()
        await rollout.update("promote")
        await rollout.ends(State.COMPLETED)
    assert bench.journal.kinds == ["started", "returned", "ended"]


async def test_a_command_between_the_two(skipping: WorkflowEnvironment) -> None:
    """A command that arrives while the test ends is refused by it; the second rollout takes its own."""
    async with bench_on(skipping, Script({0: [wins("lightrag")]})) as bench:
        bench.journal.delivery.clear()
        rollout = await bench.start(trial(ship_winner=SHIP, max_duration="0.2s"))
        with skipping.auto_time_skipping_disabled():
            await bench.journal.recorded("returned")
            await rollout.signal("abort", id="late")
            bench.journal.delivery.set()
            await bench.journal.recorded("started", 2)
        await rollout.ends(State.COMPLETED)
    refused = next(one for one in bench.journal.decisions if one.kind == "refused")
    assert (refused.rollout_id, refused.command_id) == (bench.journal.decisions[0].rollout_id, "late")
