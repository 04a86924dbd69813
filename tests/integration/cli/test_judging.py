"""turnout judge against canned answers."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.cli.canned import FLAG, Canned, problem
from tests.integration.cli.runner import Turnout
from tests.unit.cli.builders import START, check, decision, spec_document
from turnout.domain.rejudged import RejudgedGate, RejudgedStage, Rejudgement
from turnout.domain.verdicts import Verdict

JUDGE = "POST", f"/v1/rollouts/{FLAG}/judge"
FAILED = (
    "gate error_rate versus stable, ratio 1.5 would have failed stage 2 (50 %) after 14m; "
    "the rollout advanced there after 1d"
)
UNASKED = "gate queue ≤ 5 reads a prometheus source; only gates on outcomes can be asked of the past"


@pytest.fixture
def spec(tmp_path: Path) -> str:
    """A rollout file."""
    file = tmp_path / "other.yaml"
    file.write_text(yaml.safe_dump(spec_document(), sort_keys=False))
    return str(file)


def judged() -> dict[str, Any]:
    """An answer: one gate that would have failed, and one that could not be asked."""
    text = "error_rate is 4 % against stable's 1 %"
    final = check(gate="error_rate versus stable, ratio 1.5", verdict=Verdict.FAIL, text=text, value=4.0)
    failed = RejudgedGate(
        gate=final.gate,
        role="gate",
        passed_after=timedelta(minutes=9),
        failed_after=timedelta(minutes=14),
        final=final,
        rollout=Verdict.PASS,
        text=FAILED,
    )
    stage = RejudgedStage(
        generation=3,
        stage=1,
        name="50 %",
        share=0.5,
        since=START,
        until=START + timedelta(days=1),
        outcomes=12_345,
        looks=500,
        every=timedelta(seconds=172.8),
        decided=decision(3, kind="advanced"),
        gates=(failed, RejudgedGate(gate="queue ≤ 5", role="gate", text=UNASKED)),
    )
    found = Rejudgement(flag=FLAG, rollout_id="r1", check_every=timedelta(seconds=30), stages=(stage,))
    return found.model_dump(mode="json")


def test_a_table_and_sentences(canned: Canned, spec: str) -> None:
    """Each stage is told with its times and numbers, in lines of at most 100 characters before the sentences."""
    canned.answers[JUDGE] = 200, judged()
    ran = Turnout(canned.url)("judge", FLAG, "--spec", spec, "--rollout", "r1")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0] == f"{FLAG}: rollout r1 by other gates"
    assert lines[2].startswith("Stage 2 (50 %), ")
    assert lines[2].endswith(" for 1d, 12,345 outcomes")
    assert lines[3] == "asked 500 times, every 2m 53s instead of every 30s: times are that coarse"
    assert lines[4].split() == ["gate", "first", "pass", "first", "fail", "at", "the", "end", "value", "rollout"]
    assert lines[5].split()[-5:] == ["9m", "14m", "fail", "4", "pass"]
    assert lines[6].split()[-6:] == ["–", "–", "not", "asked", "–", "–"]
    assert max(map(len, lines[:7])) <= 100
    assert lines[7:] == [FAILED, "    fail: error_rate is 4 % against stable's 1 %", UNASKED]
    assert canned.requests[-1][3] == {"spec": spec_document(), "rollout": "r1"}


def test_json_is_the_answer_of_the_api(canned: Canned, spec: str) -> None:
    """For programs the answer is passed on; without --rollout the API takes the last one."""
    canned.answers[JUDGE] = 200, judged()
    ran = Turnout(canned.url)("judge", FLAG, "--spec", spec, "--output", "json")
    assert (ran.code, ran.json) == (0, judged())
    assert canned.requests[-1][3] == {"spec": spec_document()}


def test_problems_have_their_lines(canned: Canned, spec: str) -> None:
    """What the API finds wrong with the spec is told with its line; other refusals in one line."""
    wrong = [{"path": "candidate", "message": "is not that of rollout r1", "remedy": "write candidate: v2"}]
    canned.answers[JUDGE] = 400, problem(400, "invalid_input", "no", wrong)
    ran = Turnout(canned.url)("judge", FLAG, "--spec", spec)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"{spec}:2: candidate: is not that of rollout r1; write candidate: v2\n"
    canned.answers[JUDGE] = 409, problem(409, "conflict", "there are no outcomes")
    ran = Turnout(canned.url)("judge", FLAG, "--spec", spec)
    assert (ran.code, ran.err) == (4, "turnout: conflict: there are no outcomes\n")
