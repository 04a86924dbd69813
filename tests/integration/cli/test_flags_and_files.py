"""Commands on flags and files against the real API."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import pytest

from tests.integration.cli.runner import Turnout
from turnout.testing.places import country, write_places

FLAGS = """\
flags:
  answer-engine:
    variants: {perplexity: {mode: web}, lightrag: {mode: hybrid}}
    stable: perplexity
    rules:
      - {name: beta, if: {in: [{var: plan}, [beta, pilot]]}, split: {lightrag: 25, perplexity: 75}}
"""
SPEC = """\
flag: answer-engine
candidate: lightrag
strategy: {kind: canary}
gates:
  - {metric: success_rate, min: 0.95}
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with a flag file and a rollout file."""
    (tmp_path / "flags.yaml").write_text(FLAGS)
    (tmp_path / "rollout.yaml").write_text(SPEC)
    return tmp_path


@pytest.fixture
def applied(turnout: Turnout, files: Path) -> Turnout:
    """The command line, once the flags are applied."""
    assert turnout("flags", "apply", "-f", f"{files}/flags.yaml").code == 0
    return turnout


def test_flags_from_a_file_to_their_end(turnout: Turnout) -> None:
    """Apply, list, get, stop, restore and delete a flag; the actor is kept."""
    text = "flags: {short-lived: {variants: {a: 1, b: 2}, stable: a}}"
    assert turnout("flags", "apply", "-f", "-", input=text, actor="Jörg").out == "short-lived: created, serves a\n"
    assert turnout("flags", "apply", "-f", "-", input=text).out == "short-lived: unchanged, serves a\n"
    row = next(line for line in turnout("flags", "list").out.splitlines() if line.startswith("short-lived"))
    assert row.endswith("Jörg")
    stopped = turnout("flags", "stop", "short-lived", "--reason", "fire")
    assert "STOPPED" in stopped.out
    assert "stopped because: fire" in stopped.out
    assert "STOPPED" not in turnout("flags", "restore", "short-lived", "-r", "out").out
    assert turnout("flags", "get", "short-lived", "--output", "json").json["flag"]["variants"] == {"a": 1, "b": 2}
    asked = turnout("flags", "delete", "short-lived")
    assert (asked.code, "add --yes" in asked.err) == (2, True)
    assert turnout("flags", "delete", "short-lived", "--yes").code == 0
    assert turnout("flags", "get", "short-lived").code == 3


def test_several_files_are_applied_together(turnout: Turnout, tmp_path: Path) -> None:
    """Flags of several files are applied at once; one that stands in two of them is refused."""
    (tmp_path / "a.yaml").write_text("flags: {file-a: {variants: {x: 1}, stable: x}}")
    (tmp_path / "b.yaml").write_text("flags: {file-b: {variants: {x: 1}, stable: x}}")
    both = turnout("flags", "apply", "-f", f"{tmp_path}/a.yaml", "-f", f"{tmp_path}/b.yaml", "--output", "json")
    assert [change["key"] for change in both.json["changes"]] == ["file-a", "file-b"]
    twice = turnout("flags", "apply", "-f", f"{tmp_path}/a.yaml", "-f", f"{tmp_path}/a.yaml")
    assert (twice.code, "file-a stands in several files" in twice.err) == (2, True)


def test_an_invalid_flag_file_is_told_with_its_lines(turnout: Turnout) -> None:
    """Nothing is sent when a file is wrong; the fault has file, line and path."""
    ran = turnout("flags", "apply", "-f", "-", input="flags:\n  f:\n    variants: {a: 1}\n    stable: b\n")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("<stdin>:4: flags.f.stable: there is no variant 'b'")


def test_validate_tells_every_problem(applied: Turnout, files: Path) -> None:
    """Faults of the file and of what it names are told with lines; valid files say what they are."""
    bad = files / "bad.yaml"
    bad.write_text(SPEC.replace("kind: canary", "kind: canary, percentage: 500").replace("min: 0.95", "min: 95"))
    ran = applied("validate", str(bad), f"{files}/rollout.yaml", f"{files}/flags.yaml")
    assert ran.code == 1
    lines = [line.replace(str(files), "") for line in ran.out.splitlines()]
    assert lines[0].startswith("/bad.yaml:3: strategy.percentage: is not a percentage (got 500)")
    assert lines[1].startswith("/bad.yaml:5: gates[0].min: success_rate is a rate from 0 to 1")
    assert lines[2] == (
        "/rollout.yaml: valid, canary of answer-engine from perplexity to lightrag: 3 stages, 3d at the least"
    )
    assert lines[3] == "/flags.yaml: valid, 1 flag"


def test_validate_looks_flag_and_candidate_up(applied: Turnout) -> None:
    """A candidate or a flag that does not exist is a problem at its line."""
    candidate = applied("validate", "-", input=SPEC.replace("lightrag", "lightrack"))
    assert candidate.out.startswith("<stdin>:2: candidate: ")
    assert "did you mean lightrag?" in candidate.out
    flag = applied("validate", "-", "--output", "json", input=SPEC.replace("answer-engine", "other"))
    (found,) = flag.json["files"]
    assert (flag.code, found["valid"], found["problems"][0]["line"]) == (1, False, 1)


def test_validate_without_an_api_says_what_it_could_not_see(files: Path) -> None:
    """Offline a valid file is valid, with a note; --offline asks nobody and needs no note."""
    nobody = Turnout("http://127.0.0.1:9")
    ran = nobody("validate", f"{files}/rollout.yaml")
    assert ran.code == 0
    assert "flag and candidate were not looked up: no answer from http://127.0.0.1:9" in ran.err
    assert nobody("validate", "--offline", f"{files}/rollout.yaml").err == ""
    assert "note" in nobody("validate", f"{files}/rollout.yaml", "--output", "json").json["files"][0]


def test_validate_what_is_neither(turnout: Turnout) -> None:
    """A file of neither kind is told what the two kinds look like."""
    ran = turnout("validate", "-", input="hello: world\n")
    assert (ran.code, "is neither a rollout nor a flag file" in ran.out) == (1, True)


def test_plan(applied: Turnout, files: Path) -> None:
    """The plan names the stable variant that the API knows; --stable needs no API."""
    assert applied("plan", f"{files}/rollout.yaml").out.startswith(
        "canary of answer-engine from perplexity to lightrag"
    )
    data = Turnout("http://127.0.0.1:9")("plan", f"{files}/rollout.yaml", "--stable", "old", "--output", "json").json
    assert (data["plan"]["stable"], data["total_seconds"], len(data["stages"])) == ("old", 259200.0, 3)
    offline = Turnout("http://127.0.0.1:9")("plan", f"{files}/rollout.yaml")
    assert "--stable names it" in offline.err
    same = applied("plan", f"{files}/rollout.yaml", "--stable", "lightrag")
    assert (same.code, ":2: candidate: serves all users already" in same.err) == (1, True)


def test_start_tells_what_is_wrong_with_its_line(applied: Turnout) -> None:
    """What only the API can see of a spec is told at its line, too; without an engine the API is unavailable."""
    ran = applied("start", "-", input=SPEC.replace("lightrag", "lightrack"))
    assert (ran.code, ran.err.startswith("<stdin>:2: candidate: ")) == (1, True)
    away = applied("start", "-", input=SPEC)
    assert (away.code, away.err.startswith("turnout: unavailable: ")) == (5, True)


TRIAL = """\
flag: bound
candidate: lightrag
strategy: {kind: ab_test, metrics: [success_rate]}
"""


@pytest.fixture
def bound(turnout: Turnout) -> Turnout:
    """The command line, with a flag that has an ``env_prefix``."""
    flag = "{variants: {perplexity: 1, lightrag: 2}, stable: perplexity, env_prefix: LIGHTRAG_}"
    assert turnout("flags", "apply", "-f", "-", input=f"flags: {{bound: {flag}}}").code == 0
    return turnout


def test_the_environment_fills_in_what_a_file_leaves_open(bound: Turnout, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came from where is told; without the environment the file says too little."""
    assert bound("validate", "-", input=TRIAL).code == 1
    monkeypatch.setenv("LIGHTRAG_AB_TEST_SAMPLE_SIZE", "1000")
    ran = bound("validate", "-", input=TRIAL)
    assert (ran.code, "1,000 users" in ran.out) == (0, True)
    said = "minimum_sample_size 1000 from LIGHTRAG_AB_TEST_SAMPLE_SIZE"
    assert f"turnout: {said}\n" in ran.err
    planned = bound("plan", "-", "--output", "json", input=TRIAL).json
    assert planned["from_environment"] == [said]
    assert planned["plan"]["stages"][0]["gates"][0]["experiment"]["sample"] == 1000
    assert f"turnout: {said}\n" in bound("plan", "-", input=TRIAL).err
    assert bound("plan", "-", "--stable", "perplexity", input=TRIAL).code == 1
    assert bound("validate", "--offline", "-", input=TRIAL).code == 1


def test_a_test_that_the_environment_forbids_is_not_started(bound: Turnout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named, by every command."""
    monkeypatch.setenv("LIGHTRAG_AB_TEST_ENABLED", "false")
    for verb in ("start", "validate", "plan"):
        ran = bound(verb, "-", input=TRIAL)
        assert ran.code == 1
        assert "LIGHTRAG_AB_TEST_ENABLED: is false in the environment, and this rollout is a test" in ran.out + ran.err


def test_a_setting_needs_no_flag_that_is_not_there(turnout: Turnout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag that does not exist is told as ever, at its line; so is an API that does not answer."""
    monkeypatch.setenv("LIGHTRAG_MIN_SUCCESS_RATE", "0.9")
    ran = turnout("start", "-", input=SPEC.replace("answer-engine", "nowhere"))
    assert (ran.code, "nowhere" in ran.err) == (3, True)
    away = Turnout("http://127.0.0.1:9")
    assert away("start", "-", input=SPEC).code == 5
    assert away("validate", "-", input=SPEC).code == 0


def test_resolve_agrees_with_the_api(applied: Turnout, api_url: str) -> None:
    """The command resolves locally what OFREP answers, with attributes of any type."""
    with httpx.Client(base_url=api_url, trust_env=False) as http:
        for number in range(20):
            user = f"user-{number}"
            mine = applied("resolve", "answer-engine", "--user", user, "--attr", "plan=beta", "--output", "json").json
            context = {"context": {"targetingKey": user, "plan": "beta"}}
            theirs = http.post("/ofrep/v1/evaluate/flags/answer-engine", json=context).json()
            assert {name: mine[name] for name in ("key", "variant", "value", "reason")} == {
                name: theirs[name] for name in ("key", "variant", "value", "reason")
            }


def test_resolve_looks_up_addresses(applied: Turnout, tmp_path: Path) -> None:
    """With a database the attribute ip gives a country, as where services evaluate."""
    database = write_places(tmp_path / "places.mmdb", {"81.2.69.0/24": country("GB")})
    flag = {"variants": {"on": True, "off": False}, "stable": "off"}
    rule = {"name": "british", "if": {"===": [{"var": "country"}, "GB"]}, "serve": "on"}
    file = tmp_path / "located.yaml"
    file.write_text(json.dumps({"flags": {"located": flag | {"rules": [rule]}}}))
    assert applied("flags", "apply", "-f", str(file)).code == 0
    asked = ("resolve", "located", "-u", "u1", "--attr", "ip=81.2.69.142")
    # What is applied is published a moment later.
    while applied(*asked).code == 3:
        time.sleep(0.02)
    assert applied(*asked, "--geo", str(database)).out.startswith("on")
    assert applied(*asked).out.startswith("off")


def test_a_dry_run_shows_a_diff(applied: Turnout, files: Path) -> None:
    """What the file would change is told flag by flag, as lines and as data, and nothing is changed."""
    changed = FLAGS.replace("lightrag: 25, perplexity: 75", "lightrag: 40, perplexity: 60").replace(
        "[beta, pilot]", "[beta]"
    )
    (files / "changed.yaml").write_text(changed + "  dry-new: {variants: {a: 1, b: 2}, stable: a}\n")
    ran = applied("flags", "apply", "-f", f"{files}/changed.yaml", "--dry-run")
    lines = ran.out.splitlines()
    assert lines[0] == "answer-engine: updated, serves perplexity (dry run)"
    assert {"-        lightrag: 25", "+        lightrag: 40", "-          - pilot"} <= set(lines)
    assert "dry-new: created, serves a (dry run)" in lines
    assert "+    stable: a" in lines
    data = applied("flags", "apply", "-f", f"{files}/changed.yaml", "--dry-run", "--output", "json").json
    assert (data["dry_run"], list(data["diffs"])) == (True, ["answer-engine", "dry-new"])
    same = applied("flags", "apply", "-f", f"{files}/flags.yaml", "--dry-run")
    assert same.out == "answer-engine: unchanged, serves perplexity (dry run)\n"
    assert "dry-new" not in applied("flags", "list").out


def test_explain_says_why_a_variable_overrides_nothing(applied: Turnout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variant or a flag that is not there is named with the nearest one, as in the log of a service."""
    monkeypatch.setenv("TURNOUT_FLAG_ANSWER_ENGINE", "lihgtrag")
    monkeypatch.setenv("TURNOUT_FLAG_ANSWR_ENGINE", "lightrag")
    ran = applied("explain", "answer-engine", "-u", "u1")
    assert ran.code == 0
    assert "TURNOUT_FLAG_ANSWER_ENGINE: flag answer-engine has no such variant" in ran.err
    assert "did you mean lightrag?" in ran.err
    assert "TURNOUT_FLAG_ANSWR_ENGINE: names no flag" in ran.err


def test_resolve_and_explain(applied: Turnout) -> None:
    """The variant with its value; explain adds the rule and the bucket; an unknown flag is not found."""
    assert applied("resolve", "answer-engine", "-u", "u1").out == 'perplexity  {"mode": "web"}\n'
    told = applied("explain", "answer-engine", "-u", "u1", "-a", "plan=beta").out
    assert "decided by rule beta, whose condition holds" in told
    assert "of 100,000" in told
    assert applied("explain", "answer-engine", "--output", "json").json["explanation"]["source"] == "traffic"
    missing = applied("resolve", "nope", "-u", "u1")
    assert (missing.code, missing.err.startswith("turnout: not_found: ")) == (3, True)


def test_doctor_on_a_healthy_api(turnout: Turnout) -> None:
    """Every line has a level, and JSON carries the same checks."""
    ran = turnout("doctor")
    assert all(line.split()[0] in ("ok", "warn", "fail") for line in ran.out.splitlines())
    checks = {check["name"]: check["level"] for check in turnout("doctor", "--output", "json").json["checks"]}
    wanted = ("python", "server parts", "data", "api", "clock", "ready", "access", "worker")
    assert {name: checks[name] for name in wanted} == dict.fromkeys(wanted, "ok")


def test_doctor_without_an_api() -> None:
    """An API that cannot be reached fails, with what to do."""
    ran = Turnout("http://127.0.0.1:9")("doctor")
    assert ran.code == 1
    assert "fail  api: no answer from http://127.0.0.1:9" in ran.out
    assert "start it with `turnout up`" in ran.out
