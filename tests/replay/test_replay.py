"""Recorded histories replay: a new version of the code goes on with the rollouts that an old one started."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from temporalio.workflow import NondeterminismError

from tests.replay.changed import EndsUnconfirmed, ShowsFirst, WordsAndTimeouts
from tests.replay.histories import BREAKERS, FOLDER, NOTICES, all_paths, event_types, read, replay, request_of
from tests.replay.lives import LIVES
from turnout.strategies._kinds import Strategy

RECORD = "record one: python -m tests.replay.record"
PATHS = [pytest.param(path, id=str(path.relative_to(FOLDER).with_suffix(""))) for path in all_paths()]
CONFIRMED = [path for path in all_paths() if "confirm_delivery" in path.read_text()]


@pytest.mark.parametrize("path", PATHS)
async def test_the_present_code_replays(path: Path) -> None:
    """The code orders the commands that this history has, in the production's sandbox, from the payloads as recorded.

    Where it does not, running rollouts would stop: guard the change with ``workflow.patched``.
    """
    assert (await replay(read(path))).replay_failure is None


@pytest.mark.parametrize("path", sorted(NOTICES.rglob("*.json")), ids=lambda path: f"{path.parent.name}-{path.stem}")
async def test_notices_replay(path: Path) -> None:
    """A notice that is being sent while the worker is replaced is sent on."""
    assert "ACTIVITY_TASK_COMPLETED" in event_types(read(path))
    assert (await replay(read(path))).replay_failure is None


@pytest.mark.parametrize("path", sorted(BREAKERS.rglob("*.json")), ids=lambda path: f"{path.parent.name}-{path.stem}")
async def test_breakers_replay(path: Path) -> None:
    """A breaker that is open while the worker is replaced stays open, and comes back in its time."""
    done = set(event_types(read(path)))
    assert {"TIMER_FIRED", "WORKFLOW_EXECUTION_SIGNALED", "CHILD_WORKFLOW_EXECUTION_STARTED"} <= done
    assert (await replay(read(path))).replay_failure is None


def test_every_strategy_has_a_history() -> None:
    """A strategy cannot be added without recording what its rollouts do."""
    strategies = set(TypeAdapter(Strategy).json_schema()["discriminator"]["mapping"])
    recorded = {request_of(read(path))["spec"].get("strategy", {}).get("kind") for path in all_paths()}
    assert recorded >= strategies, RECORD


def test_every_life_has_a_history() -> None:
    """A life that was written down was recorded, too."""
    recorded = {path.name.split(".")[0] for path in all_paths()}
    assert recorded >= {life.__name__.replace("_", "-") for life in LIVES}, RECORD


def test_the_histories_hold_what_a_rollout_can_go_through() -> None:
    """Together they have timers, watches that are stopped, updates, signals, notices, new runs, cancellations and open
    ends."""
    counts = Counter(kind for path in all_paths() for kind in event_types(read(path)))
    needed = {
        "ACTIVITY_TASK_CANCEL_REQUESTED",
        "ACTIVITY_TASK_FAILED",
        "CHILD_WORKFLOW_EXECUTION_STARTED",
        "TIMER_STARTED",
        "TIMER_FIRED",
        "TIMER_CANCELED",
        "WORKFLOW_EXECUTION_UPDATE_COMPLETED",
        "WORKFLOW_EXECUTION_SIGNALED",
        "WORKFLOW_EXECUTION_CANCEL_REQUESTED",
        "WORKFLOW_EXECUTION_CONTINUED_AS_NEW",
        "WORKFLOW_EXECUTION_COMPLETED",
    }
    assert needed - set(counts) == set()
    assert counts["WORKFLOW_EXECUTION_STARTED"] > (
        counts["WORKFLOW_EXECUTION_COMPLETED"] + counts["WORKFLOW_EXECUTION_CONTINUED_AS_NEW"]
    )


@pytest.mark.parametrize("path", PATHS)
async def test_two_commands_that_change_places_break_the_replay(path: Path) -> None:
    """Every history notices that what was recorded, then shown, is now shown, then recorded."""
    with pytest.raises(NondeterminismError):
        await replay(read(path), ShowsFirst)


@pytest.mark.parametrize("path", CONFIRMED, ids=lambda path: path.stem)
async def test_a_command_left_out_breaks_the_replay(path: Path) -> None:
    """Every history that asks whether the resolvers have the end notices when that is no longer asked."""
    with pytest.raises(NondeterminismError):
        await replay(read(path), EndsUnconfirmed)


@pytest.mark.parametrize("path", PATHS)
async def test_a_harmless_change_replays(path: Path) -> None:
    """Texts, timeouts and retries are free to change under running rollouts."""
    assert (await replay(read(path), WordsAndTimeouts)).replay_failure is None
