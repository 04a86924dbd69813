"""The command line against everything, as `turnout up` starts it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import FLAG, FLAGS, Stack, eventually, gradual
from tests.integration.cli.runner import Turnout
from tests.integration.cli.test_rollouts import Watching

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Temporal server, a worker and the API."""
    running = Stack.up(tmp_path_factory.mktemp("whole"))
    yield running
    running.down()


def test_a_rollout_from_its_file_to_its_rollback(stack: Stack, tmp_path: Path) -> None:
    """Apply, validate, start, watch, pause, resume, roll back: the story tells it all."""
    turnout, file = Turnout(stack.url), tmp_path / "rollout.json"
    file.write_text(json.dumps(gradual(hold="1h")))
    assert turnout("flags", "apply", "-f", "-", input=json.dumps(FLAGS)).code == 0
    assert turnout("validate", str(file)).code == 0
    started = turnout("start", str(file))
    assert (started.code, f"turnout watch {FLAG}" in started.out) == (0, True)
    again = turnout("start", str(file))
    assert (again.code, again.err.startswith("turnout: rollout_open: ")) == (4, True)
    watching = Watching(stack.url)
    watching.read("Began stage 1 of 3 (10 % lightrag)")
    assert turnout("pause", FLAG, "-r", "look", actor="bob").out == f"{FLAG}: paused by bob: look\n"
    watching.read("Paused by bob: look")
    assert "it is paused by bob: look" in turnout("status", FLAG).out
    assert turnout("approve", FLAG, "-r", "go").code == 4
    assert turnout("resume", FLAG, "-r", "fine").code == 0
    assert "worker: answered for the rollout" in turnout("doctor").out
    assert "decided by the split of the traffic" in turnout("explain", FLAG, "-u", "u1").out
    assert turnout("rollback", FLAG, "-r", "bad", "--id", "once").code == 0
    ended = watching.end()
    assert (ended.code, "Rolled back" in ended.out) == (1, True)
    story = eventually(lambda: turnout("history", FLAG).out, lambda text: "rolled back on" in text)
    for words in ("Paused by bob: look", "Resumed by ann: fine", "Took everybody back to perplexity"):
        assert words in story
    assert "rolled back" in turnout("list", "--all").out
    assert "no rollouts" in turnout("list").out


def test_every_command_answers_in_json(stack: Stack, tmp_path: Path) -> None:
    """With --output json stdout holds JSON and nothing else, whatever is asked or ordered of a running rollout."""
    turnout, file = Turnout(stack.url), tmp_path / "rollout.json"
    file.write_text(json.dumps(gradual(hold="1h", flag="other", approvals=[{"before": 50, "by": "approver"}])))
    flags = json.dumps({"flags": {"other": FLAGS["flags"][FLAG]}})

    def asked(*words: str, actor: str = "ann", **more: str) -> object:
        ran = turnout(*words, "--output", "json", actor=actor, **more)
        assert (ran.code, ran.err) == (0, ""), (words, ran)
        return ran.json

    asked("flags", "apply", "-f", "-", input=flags)
    for words in (("flags", "list"), ("flags", "get", "other"), ("plan", str(file))):
        assert "other" in json.dumps(asked(*words))
    assert '"valid": true' in json.dumps(asked("validate", str(file)))
    asked("start", str(file))
    for words in (("list",), ("status", "other"), ("history", "other"), ("explain", "other", "-u", "u1")):
        assert "lightrag" in json.dumps(asked(*words))
    assert "variant" in json.dumps(asked("resolve", "other", "-u", "u1"))
    for verb in ("pause", "resume", "promote"):
        assert '"applied": true' in json.dumps(asked(verb, "other", "-r", "as told"))
    approved = asked("approve", "other", "-r", "as told", actor="bob")
    assert "approved by bob" in json.dumps(approved)
    for verb in ("rollback", "abort"):
        if verb == "abort":
            asked("start", str(file))
        assert '"applied": true' in json.dumps(asked(verb, "other", "-r", "as told"))
    assert "ok" in json.dumps(asked("doctor"))
    asked("flags", "stop", "other", "-r", "fire")
    asked("flags", "restore", "other", "-r", "over")
