"""The emergency stop under a running rollout, prerequisites that move with it, and a flag file that is kept applied."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from tests.e2e.stack import FLAG, FLAGS, Stack, eventually, gradual
from turnout import Turnout

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

USERS = [f"user-{number}" for number in range(100)]
CHILD = "citations"
OWN: dict[str, Any] = {CHILD: {"variants": {"on": True, "off": False}, "stable": "off", "serve": "on"}}


def written(**more: Any) -> str:
    """A flag file with the flag of the rollout and one that requires its candidate."""
    child = {CHILD: OWN[CHILD] | {"requires": {FLAG: "lightrag"}} | more}
    return json.dumps({"flags": FLAGS["flags"] | child})


@pytest.fixture
def stack(tmp_path: Path) -> Generator[Stack]:
    """A running stack that keeps a flag file applied."""
    file = tmp_path / "flags.yaml"
    file.write_text(written())
    running = Stack.up(tmp_path / "data", TURNOUT_FLAGS_FILE=str(file))
    try:
        yield running
    finally:
        running.down()


def having(stack: Stack, client: Turnout, flag: str, variant: str) -> tuple[set[str], set[str], set[str]]:
    """Who gets ``variant`` of ``flag`` through the client, OFREP and flagd's engine on the published snapshot."""
    core = FlagdCore()
    with stack.http() as http:
        core.set_flags(http.get("/v1/snapshot").text)
        path = f"/ofrep/v1/evaluate/flags/{flag}"
        asked = {user: http.post(path, json={"context": {"targetingKey": user}}).json() for user in USERS}
    resolve = core.resolve_object_value if flag == FLAG else core.resolve_boolean_value
    default: Any = {} if flag == FLAG else False
    return (
        {user for user in USERS if client.resolve(flag, user).variant == variant},
        {user for user in USERS if asked[user]["variant"] == variant},
        {user for user in USERS if resolve(flag, default, EvaluationContext(user)).variant == variant},
    )


def test_a_stop_takes_everybody_back_at_once_and_pauses_the_rollout(stack: Stack, tmp_path: Path) -> None:
    """The rollout's users have the flag that requires it, through every engine; a stop leaves nobody on either."""
    with Turnout(stack.url, cache_dir=None, wait=20) as client:
        # Only the flag's file brought it here.
        eventually(lambda: client.resolve(CHILD, "u").error, lambda error: error is None)
        stack.start(gradual("1h", strategy={"kind": "gradual", "stages": [50, 100], "stage_duration": "1h"}))
        eventually(lambda: client.resolve(FLAG, "u").generation, lambda generation: generation == 2)
        exposed, *others = having(stack, client, FLAG, "lightrag")
        assert 25 < len(exposed) < 75
        assert [*others, *having(stack, client, CHILD, "on")] == [exposed] * 5
        assert "STOPPED" in stack.turnout("flags", "stop", FLAG, "--reason", "wrong answers")
        eventually(lambda: client.resolve(FLAG, "u").decided_by, lambda decided: decided == "stopped")
        for flag, variant in ((FLAG, "lightrag"), (CHILD, "on")):
            assert having(stack, client, flag, variant) == (set(), set(), set())
        paused = eventually(stack.rollout, lambda seen: seen.get("state") == "paused")
        assert paused["flag"] == FLAG
        (tmp_path / "flags.yaml").write_text(written(requires={}))
        eventually(lambda: client.boolean(CHILD, "u", False), lambda on: on is True)
