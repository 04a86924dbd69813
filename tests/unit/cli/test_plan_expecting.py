"""turnout plan with an expected traffic, from the file to the answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.runner import Ran, Turnout
from turnout.analysis.foresight import StageOutlook, foresee
from turnout.cli.expecting import Said, expectation
from turnout.cli.render.outlook import outlook_view, warnings
from turnout.cli.session import plain
from turnout.domain.expectation import Expectation
from turnout.domain.plan import Plan
from turnout.strategies import compile_plan, parse_spec

ROOT = Path(__file__).parents[3]
SCORE = {"metric": "quality_score", "versus": "stable", "margin": 0.02}
SPEC: dict[str, Any] = {
    "flag": "f",
    "candidate": "new",
    "strategy": {"kind": "canary", "observation_period": "5m"},
    "gates": [{"metric": "success_rate", "min": 0.95}, SCORE],
}
METRICS: dict[str, Any] = {"success_rate": 0.98, "quality_score": {"mean": 0.85, "deviation": 0.15}}
EXPECT: dict[str, Any] = {"requests_per_minute": 1000, "metrics": METRICS}


def planned(spec: dict[str, Any], *options: str) -> Ran:
    """``turnout plan`` of a spec, far from any API."""
    return Turnout("http://127.0.0.1:9")("plan", "-", "--stable", "old", *options, input=json.dumps(spec))


def foreseen(
    *, hold: str = "1h", expect: dict[str, Any] = EXPECT, **more: Any
) -> tuple[Plan, tuple[StageOutlook, ...]]:
    """A canary's plan and its outlook."""
    spec = SPEC | {"strategy": {"kind": "canary", "observation_period": hold}} | more
    made = compile_plan(parse_spec(spec), "old")
    return made, foresee(made, Expectation.model_validate(expect))


def test_the_file_foretells() -> None:
    """Text has the table, its first row as sentences, and the warning; the warning's hold is no less than the need."""
    ran = planned(SPEC | {"expect": EXPECT})
    assert (ran.code, ran.err) == (0, "")
    assert "Stage 1 (5 %): success_rate ≥ 0.95 passes after about 323 outcomes of 323 users of the candidate" in ran.out
    assert "it is held for 5m and needs about 9m 52s at this traffic; hold it for at least 9m 53s, or raise" in ran.out


def test_options_alone_foretell_the_same() -> None:
    """The same numbers from the command line give the same outlook, which is no part of the plan."""
    options = ("--rate", "1000", "--metric", "success_rate=0.98", "--metric", "quality_score=0.85:0.15")
    by_file = planned(SPEC | {"expect": EXPECT}, "--output", "json").json
    by_options = planned(SPEC, *options, "--output", "json").json
    assert by_file["outlook"] == by_options["outlook"]
    assert by_file["plan"] == by_options["plan"]
    first = by_file["outlook"][0]
    assert (first["share"], first["hold_seconds"], first["enough"], len(first["warnings"])) == (0.05, 300, False, 1)
    assert first["needed_seconds"] == max(check["passes_after_seconds"] or 0 for check in first["checks"])


def test_without_expectation_one_line_says_how() -> None:
    """Text has a note on stderr and no outlook, JSON a null."""
    ran = planned(SPEC)
    assert (ran.code, "What to expect" in ran.out, ran.err.count("\n")) == (0, False, 1)
    assert "expect: in the file, or --rate" in ran.err
    assert planned(SPEC, "--output", "json").json["outlook"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--rate", "0"), "--rate: input should be greater than 0 (got 0.0)"),
        (("--rate", "nan"), "--rate: input should be a finite number"),
        (("--rate", "1", "--per-user", "0.5"), "--per-user: input should be greater than or equal to 1"),
        (("--rate", "1", "--metric", "error_rate=2"), "--metric error_rate: error_rate is a rate from 0 to 1"),
        (("--rate", "1", "--metric", "=1"), "--metric: is no expected value"),
        (("--rate", "1", "--metric", "cost=1:0"), "--metric cost.deviation: input should be greater than 0"),
    ],
)
def test_options_that_cannot_be(options: tuple[str, ...], message: str) -> None:
    """A wrong option is named, and the command line is what is wrong."""
    ran = planned(SPEC, *options)
    assert ran.code == 2
    assert message in ran.err


def test_a_mean_from_the_command_line_keeps_the_deviation_of_the_file() -> None:
    """Options complete what the file says of a metric."""
    both = expectation(Expectation.model_validate(EXPECT), Said(metrics=["quality_score=0.7"]))
    assert both is not None
    assert (both.metrics["quality_score"].mean, both.metrics["quality_score"].deviation) == (0.7, 0.15)


def test_a_plan_needs_no_statistics(tmp_path: Path) -> None:
    """Where scipy is not installed the plan is shown all the same, and a note tells what to install."""
    file = tmp_path / "rollout.json"
    file.write_text(json.dumps(SPEC | {"expect": EXPECT}))
    code = (
        "import sys, importlib.util as util, turnout.cli.app as app, turnout.cli.failures as failures\n"
        "real = util.find_spec\n"
        "failures.find_spec = lambda name: None if name == 'scipy' else real(name)\n"
        f"app.build(rich=False)(['plan', {str(file)!r}, '--stable', 'old'], standalone_mode=False)\n"
        "assert not {'numpy', 'scipy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "canary of f from old to new" in done.stdout
    assert "pip install 'turnout[server]'" in done.stderr


def test_too_few_users_are_said() -> None:
    """A population too small for the share is another reason than a hold too short."""
    made, stages = foreseen(expect=EXPECT | {"users": 1000})
    first = next(line for line in warnings(made, stages) if line.startswith("stage 1"))
    assert "cannot decide success_rate ≥ 0.95 and quality_score versus stable, margin 0.02" in first
    assert "more than there are at this share; raise the share" in first


def test_every_reason_is_said_on_its_own() -> None:
    """A gate that never passes does not hide one that a longer hold would decide."""
    made, stages = foreseen(hold="5m", gates=[{"metric": "success_rate", "min": 0.99}, SCORE])
    never, slow = [line for line in warnings(made, stages) if line.startswith("stage 1")]
    assert "cannot decide success_rate ≥ 0.99: what is expected never passes" in never
    assert "too short to decide quality_score" in slow


def test_stages_of_which_the_same_is_foreseen_are_one() -> None:
    """Where nothing can be foreseen the reason is given once for all stages."""
    gates = [{"metric": "success_rate", "min": 0.95, "method": "fixed"}, {"metric": "cost", "max": 1}]
    text = plain(outlook_view(*foreseen(gates=gates, sample_ratio=False)))
    assert text.count("looks once, with method: fixed") == 1
    assert "\n1 to 3  " in text


def test_differences_say_on_which_side_of_stable_they_lie() -> None:
    """Harm to a score lies below stable's, harm to an error rate above it, in points."""
    text = plain(outlook_view(*foreseen(guardrails=[{"metric": "error_rate", "versus": "stable", "margin": 0.01}])))
    score, errors = (next(line for line in text.splitlines() if f"{name} versus" in line) for name in ("score", "rate"))
    assert " below stable" in score
    assert " points above stable" in errors
    assert "watched" in errors
