"""Nothing is lost, skipped or repeated when parts of the running stack are killed."""

from __future__ import annotations

import os
import signal
import sqlite3
from uuid import uuid4

import pytest

from tests.e2e.stack import FLAG, Stack, eventually, gradual
from tests.e2e.traffic import Traffic

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

GOOD = {"perplexity": True, "lightrag": True}
WHOLE_STORY = ["started", "advanced", "advanced", "adopted", "ended"]


def ended(rollout: dict[str, object]) -> bool:
    """Whether the rollout has come to an end."""
    return rollout.get("state") in ("completed", "rolled_back", "aborted", "failed")


def essentials(stack: Stack) -> list[str]:
    """The decisions that move traffic or end the rollout; a crash may hold it up in between."""
    return [d["kind"] for d in stack.decisions() if d["kind"] not in ("held", "recovered")]


def in_stage(stage: int, least: float = 0.0) -> object:
    """A condition: the rollout is in ``stage``."""
    return lambda rollout: rollout.get("stage") == stage and rollout.get("state") == "running"


def test_a_killed_worker_is_replaced_in_the_middle_of_a_stage(stack: Stack) -> None:
    """After kill -9 of the worker the rollout goes on; every stage is entered once, in order."""
    with Traffic(stack.url, GOOD):
        stack.start(gradual())
        eventually(stack.rollout, in_stage(1))
        killed = stack.kill("workers")
        rollout = eventually(stack.rollout, ended, 120)
        assert stack.child("workers").pid != killed
    assert rollout["state"] == "completed"
    assert essentials(stack) == WHOLE_STORY
    assert [d["stage"] for d in stack.decisions() if d["kind"] == "advanced"] == [1, 2]


def test_no_acknowledged_outcome_is_lost_or_counted_twice_when_the_api_is_killed(stack: Stack) -> None:
    """The API dies during intake, twice; what was acknowledged is in the store, each id once, statistics included."""
    stack.start(gradual(hold="60s"))
    with Traffic(stack.url, GOOD, batch=1000, resolving=False) as traffic:
        for enough in (3_000, 9_000):
            eventually(lambda: len(traffic.acknowledged), lambda n, enough=enough: n >= enough)
            stack.kill("api")
        eventually(lambda: len(traffic.acknowledged), lambda n: n >= 15_000)
    assert traffic.retries > 0
    database = sqlite3.connect(stack.data / "turnout.db")
    kept = {row[0] for row in database.execute("SELECT id FROM outcomes")}
    (counted,) = database.execute("SELECT SUM(samples) FROM series WHERE metric = 'success_rate'").fetchone()
    database.close()
    assert set(traffic.acknowledged) <= kept
    assert counted == len(kept)
    assert max(traffic.acknowledged.values()) == 1


def test_a_killed_temporal_server_comes_back_with_every_rollout(stack: Stack) -> None:
    """After kill -9 of the Temporal server during a hold the rollout goes on to its end."""
    with Traffic(stack.url, GOOD):
        stack.start(gradual())
        eventually(stack.rollout, in_stage(1))
        stack.kill("start-dev")
        rollout = eventually(stack.rollout, ended, 120)
    assert rollout["state"] == "completed"
    assert essentials(stack) == WHOLE_STORY


def test_a_command_given_while_the_worker_is_down_takes_effect(stack: Stack) -> None:
    """An abort sent to a hanging worker, which is then killed, is carried out by the next one, once."""
    with Traffic(stack.url, GOOD):
        stack.start(gradual(hold="10m"))
        eventually(stack.rollout, in_stage(0))
        worker = stack.child("workers")
        os.kill(worker.pid, signal.SIGSTOP)
        with stack.http() as http:
            body = {"reason": "not today", "id": uuid4().hex}
            answer = http.post(f"/v1/rollouts/{FLAG}/abort", json=body)
        assert answer.status_code == 202
        worker.kill()
        rollout = eventually(stack.rollout, ended)
    assert rollout["state"] == "aborted"
    assert [d["kind"] for d in stack.decisions()].count("withdrawn") == 1
    assert stack.decisions()[-2]["reason"] == "not today"


def test_a_second_start_continues_every_open_rollout(stack: Stack) -> None:
    """Everything is stopped in the middle of a rollout; started again on the same data, the rollout completes."""
    stack.start(gradual())
    eventually(stack.rollout, in_stage(0))
    stack.down()
    again = Stack.up(stack.data)
    try:
        with Traffic(again.url, GOOD):
            assert eventually(again.rollout, ended, 120)["state"] == "completed"
        assert essentials(again) == WHOLE_STORY
    finally:
        again.down()
        stack.process = again.process
