"""All gates and guardrails of a stage together."""

from __future__ import annotations

from datetime import timedelta

from turnout.analysis.checks import asked_of, conclude
from turnout.domain.errors import SourceError
from turnout.domain.plan import Gate, Stage
from turnout.domain.readings import PointReading
from turnout.domain.verdicts import Verdict

STAGE = Stage(
    name="5 %",
    weights={"new": 5_000, "old": 95_000},
    hold=timedelta(hours=1),
    deadline=timedelta(hours=1),
    check_every=timedelta(seconds=30),
    gates=(Gate(metric="queue", max=20), Gate(metric="lag", max=5)),
    guardrails=(Gate(metric="queue", max=40),),
)


def test_everything_is_asked_once() -> None:
    """Gates come first, guardrails after them, each with its own key."""
    asked = asked_of(STAGE)
    assert [one.key for one in asked] == ["gate:0", "gate:1", "guardrail:0"]
    assert [one.gate for one in asked] == [*STAGE.gates, *STAGE.guardrails]


def test_rows_are_kept_apart() -> None:
    """Each gate counts its own breaches, from what was known before, and forgets keys of other stages."""
    answers = [PointReading(50), PointReading(1), PointReading(50)]
    before = {"gate:0": 2, "gate:1": 2, "gate:7": 9}
    checks, after = conclude(asked_of(STAGE), answers, before)
    assert [check.verdict for check in checks] == [Verdict.FAIL, Verdict.PASS, Verdict.INCONCLUSIVE]
    assert [check.role for check in checks] == ["gate", "gate", "guardrail"]
    assert after == {"gate:0": 3, "gate:1": 0, "guardrail:0": 1}


def test_a_failed_source_leaves_the_row() -> None:
    """An outage is a source_error of its own gate alone and neither lengthens nor ends a row of breaches."""
    answers = [SourceError("down"), PointReading(1), PointReading(1)]
    checks, after = conclude(asked_of(STAGE), answers, {"gate:0": 2})
    assert [check.verdict for check in checks] == [Verdict.SOURCE_ERROR, Verdict.PASS, Verdict.PASS]
    assert after["gate:0"] == 2
