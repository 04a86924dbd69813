"""Commands on rollouts against a server that a test moves by hand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.canned import FLAG, Canned, problem
from tests.integration.cli.runner import Ran, Turnout
from tests.unit.cli.builders import START
from turnout.domain.flags import Flag, initial_traffic
from turnout.domain.rollout import State
from turnout.ports import FlagRecord

SPEC = """\
flag: answer-engine
candidate: lightrag
strategy: {kind: canary}
"""
VERBS = ("pause", "resume", "promote", "abort", "rollback")


def test_list_and_status(canned: Canned) -> None:
    """Rollouts are listed, one is shown in full; JSON is the API's own answer."""
    turnout = Turnout(canned.url)
    assert "answer-engine  canary    perplexity  lightrag  running  1 of 3" in turnout("list", "--all").out
    assert canned.requests[-1][1] == "/v1/rollouts?all=true"
    assert "Stage 1 of 3: 5 % of the users get lightrag" in turnout("status", FLAG).out
    assert turnout("status", FLAG, "--output", "json").json == json.loads(json.dumps(canned.view()))


def test_history_has_the_numbers(canned: Canned) -> None:
    """Every decision stands with the checks it rests on."""
    canned.decide(State.RUNNING, kind="advanced", stage=1, share=0.5, text="gates pass")
    ran = Turnout(canned.url)("history", FLAG)
    assert "Moved on to stage 2 of 3 (50 % lightrag): gates pass" in ran.out
    assert "gate success_rate ≥ 0.95: pass, 98 % (97 … 99 %), limit 95 %, 1,234 of 300 users" in ran.out
    assert len(Turnout(canned.url)("history", FLAG, "--output", "json").json["decisions"]) == 2


def test_a_start_sends_what_the_environment_adds(canned: Canned, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file has no gate; the environment has one, which is told."""
    flag = Flag.model_validate(
        {"key": FLAG, "variants": {"perplexity": 1, "lightrag": 2}, "stable": "perplexity", "env_prefix": "LIGHTRAG_"}
    )
    record = FlagRecord(flag=flag, traffic=initial_traffic(flag), updated_at=START, updated_by="ann")
    canned.answers["GET", f"/v1/flags/{FLAG}"] = (200, record.model_dump(mode="json"))
    canned.answers["POST", "/v1/rollouts"] = (201, canned.view())
    monkeypatch.setenv("LIGHTRAG_MIN_SUCCESS_RATE", "0.97")
    ran = Turnout(canned.url)("start", "-", input=SPEC)
    assert (ran.code, ran.err) == (0, "turnout: gate success_rate min 0.97 from LIGHTRAG_MIN_SUCCESS_RATE\n")
    assert canned.requests[-1][3]["spec"]["gates"] == [{"metric": "success_rate", "min": 0.97}]
    own = f"{SPEC}gates: [{{metric: success_rate, min: 0.9}}]"
    assert Turnout(canned.url)("start", "-", input=own).err == ""
    assert canned.requests[-1][3]["spec"]["gates"] == [{"metric": "success_rate", "min": 0.9}]


@pytest.mark.parametrize("verb", VERBS)
def test_commands_carry_reason_id_and_actor(canned: Canned, verb: str) -> None:
    """A command says why and who, and has an id that may be given."""
    ran = Turnout(canned.url)(verb, FLAG, "--reason", "because", "--id", "mine", actor="bob")
    assert (ran.code, ran.out) == (0, f"answer-engine: {verb}d by ann\n")
    method, path, headers, body = canned.requests[-1]
    assert (method, path) == ("POST", f"/v1/rollouts/{FLAG}/{verb}")
    assert body == {"reason": "because", "id": "mine"}
    assert headers["X-Turnout-Actor"] == "bob"


def test_a_refused_command(canned: Canned) -> None:
    """A refusal is one line with its code, exit code 4; as JSON on stderr, stdout empty."""
    ran = Turnout(canned.url)("approve", FLAG, "--reason", "go")
    assert (ran.code, ran.out) == (4, "")
    assert ran.err == "turnout: command_refused: no approval is due; the rollout is running\n"
    error = json.loads(Turnout(canned.url)("approve", FLAG, "--reason", "go", "--output", "json").err)["error"]
    assert (error["code"], error["exit"]) == ("command_refused", 4)


def test_a_command_that_may_have_arrived(canned: Canned) -> None:
    """When no answer comes it is said how to repeat the command without doing it twice."""
    canned.answers["POST", f"/v1/rollouts/{FLAG}/abort"] = (503, problem(503, "unavailable", "the engine is away"))
    ran = Turnout(canned.url)("abort", FLAG, "-r", "x", "--id", "c7")
    assert (ran.code, "repeat it with --id c7" in ran.err) == (5, True)


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (401, problem(401, "unauthorized", "this needs a token"), 4, "give a token with --token or TURNOUT_TOKEN"),
        (403, problem(403, "forbidden", "ann may not"), 4, "forbidden: ann may not"),
        (404, problem(404, "not_found", "no rollout"), 3, "not_found: no rollout"),
        (404, b"<html>", 5, "is --url that of a Turnout API"),
        (200, b"<html>", 5, "answered something that is no JSON"),
        (200, {"flag": "x"}, 5, "has no usable RolloutView"),
        (502, b"bad gateway", 5, "http_502: Bad Gateway"),
        (
            400,
            problem(400, "invalid_input", "x", [{"path": "a", "message": "is wrong"}]),
            1,
            "invalid_input: a: is wrong",
        ),
    ],
)
def test_bad_answers(canned: Canned, status: int, body: object, code: int, words: str) -> None:
    """Whatever a server answers ends in one line and the documented exit code."""
    canned.answers["GET", f"/v1/rollouts/{FLAG}"] = (status, body)
    ran = Turnout(canned.url)("status", FLAG)
    assert (ran.code, len(ran.err.splitlines())) == (code, 1)
    assert words in ran.err


@pytest.mark.parametrize("url", ["nonsense", "http://", "http://[::1"])
def test_addresses_that_are_none(url: str) -> None:
    """A --url that is none is a usage error."""
    ran = Turnout("http://unused")("--url", url, "list")
    assert (ran.code, "is no address" in ran.err) == (2, True)


def test_usage_errors() -> None:
    """A missing reason, an unknown command and an unknown output are usage errors."""
    turnout = Turnout("http://127.0.0.1:9")
    assert "Missing option '--reason'" in turnout("pause", FLAG).err
    codes = [turnout(*words).code for words in (("pause", FLAG), ("nope",), ("list", "--output", "xml"))]
    assert codes == [2, 2, 2]
    assert "Exit codes:" in turnout("--help").out


class Watching:
    """`turnout watch` in a process of its own."""

    def __init__(self, url: str, *options: str) -> None:
        env = {**os.environ, "TURNOUT_URL": url}
        command = [sys.executable, "-m", "turnout.cli", "watch", FLAG, *options]
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def read(self, words: str) -> str:
        """The next line with ``words``; fails at the end of the output."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if words in line:
                return line
        raise AssertionError(f"{words!r} never came: {self.process.stderr and self.process.stderr.read()}")

    def end(self) -> Ran:
        """Wait for the end."""
        out, err = self.process.communicate(timeout=60)
        return Ran(self.process.returncode, out, err)


def test_watch_on_a_pipe_until_completion(canned: Canned) -> None:
    """One line an event, as it happens; a completed rollout ends with 0."""
    watching = Watching(canned.url)
    watching.read("Began stage 1 of 3")
    canned.decide(State.PAUSED, kind="paused", text="paused by bob: look")
    watching.read("Paused by bob: look")
    canned.decide(State.COMPLETED, kind="ended", text="completed; all feeds have it")
    ran = watching.end()
    assert (ran.code, ran.err) == (0, "")
    assert "Completed; all feeds have it" in ran.out


def test_watch_survives_a_restart_of_the_api(canned: Canned) -> None:
    """While the API is away watching goes on trying, and misses nothing."""
    watching = Watching(canned.url)
    watching.read("Began stage 1 of 3")
    canned.down()
    canned.decide(State.PAUSED, kind="paused", text="paused while nobody listened")
    assert watching.process.stderr is not None
    assert "trying again" in watching.process.stderr.readline()
    canned.up()
    watching.read("Paused while nobody listened")
    canned.decide(State.ROLLED_BACK, kind="ended", text="rolled back; all feeds have it")
    assert watching.end().code == 1


def test_watch_as_json(canned: Canned) -> None:
    """One JSON object a line: the rollout, and what is new."""
    watching = Watching(canned.url, "--output", "json")
    first = json.loads(watching.read("{"))
    assert (first["rollout"]["state"], [d["seq"] for d in first["new_decisions"]]) == ("running", [1])
    canned.decide(State.ABORTED, kind="ended", text="aborted")
    ran = watching.end()
    assert json.loads(ran.out.splitlines()[-1])["rollout"]["state"] == "aborted"
    assert ran.code == 1


def test_ctrl_c_leaves_quietly(canned: Canned) -> None:
    """Ctrl-C stops watching without a word; the rollout is not touched."""
    watching = Watching(canned.url)
    watching.read("Began stage 1 of 3")
    watching.process.send_signal(signal.SIGINT)
    ran = watching.end()
    assert (ran.code, ran.err) == (130, "")
    assert not [request for request in canned.requests if request[0] == "POST"]


def test_watch_on_a_terminal(canned: Canned) -> None:
    """A terminal gets a picture that is drawn anew, ends with the rollout, and keeps its last state."""
    import pty

    terminal, child_side = pty.openpty()
    env = {**os.environ, "TURNOUT_URL": canned.url, "TERM": "xterm-256color", "COLUMNS": "150", "LINES": "50"}
    command = [sys.executable, "-m", "turnout.cli", "watch", FLAG]
    process = subprocess.Popen(command, env=env, stdin=child_side, stdout=child_side, stderr=child_side)
    os.close(child_side)
    shown, ended = b"", False
    while True:
        try:
            shown += os.read(terminal, 65536)
        except OSError:
            break
        if not ended and "▶".encode() in shown:
            ended = True
            canned.decide(State.COMPLETED, kind="ended", text="completed")
    os.close(terminal)
    assert process.wait(30) == 0
    text = shown.decode()
    assert "\x1b[" in text
    assert "▶" in text
    assert "lightrag is the stable variant" in text[text.rindex("Completed after") :]


def test_watching_an_ended_rollout_ends_at_once(canned: Canned) -> None:
    """A rollout that has ended is told and judged."""
    canned.decide(State.COMPLETED, kind="ended", text="completed")
    assert Turnout(canned.url)("watch", FLAG).code == 0


def test_watching_nothing(canned: Canned) -> None:
    """A flag without a rollout is not found."""
    assert Turnout(canned.url)("watch", "other").code == 3


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("up", "--host", "no.such.host.invalid"), "no address of this machine"),
        (("demo", "--users", "1"), "at least 100"),
    ],
)
def test_up_and_demo_become_the_programs_of_the_checkout(
    tmp_path: Path, words: tuple[str, ...], complaint: str
) -> None:
    """Options reach the program, and its complaint and exit status come back."""
    env = {**os.environ, "TURNOUT_DATA": str(tmp_path / "data")}
    command = [sys.executable, "-m", "turnout.cli", *words]
    run = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, complaint in run.stderr) == (2, True)


def test_a_token_that_cannot_be_sent_is_not_shown() -> None:
    """A broken token is a usage error that does not repeat the secret."""
    ran = Turnout("http://127.0.0.1:9")("--token", "geheim mit ö", "list")
    assert (ran.code, "geheim" in ran.err) == (2, False)


def test_the_token_is_sent(canned: Canned) -> None:
    """A token proves who asks; options may stand before or after the command."""
    Turnout(canned.url)("list", "--token", "sesame")
    assert canned.requests[-1][2]["Authorization"] == "Bearer sesame"
