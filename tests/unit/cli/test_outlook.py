"""turnout plan foresees what gates need and catch, and warns of stages that cannot decide."""

from __future__ import annotations

import io
import math
from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console

from turnout.analysis.foresight import StageOutlook, foresee
from turnout.cli.expecting import Said, expectation
from turnout.cli.render.outlook import outlook_data, outlook_view, warnings
from turnout.domain.errors import InvalidInput
from turnout.domain.expectation import Expectation
from turnout.domain.plan import Plan
from turnout.strategies import compile_plan, parse_spec

METRICS: dict[str, Any] = {"success_rate": 0.98, "quality_score": {"mean": 0.85, "deviation": 0.15}}
GATES = [{"metric": "success_rate", "min": 0.95}, {"metric": "quality_score", "versus": "stable", "margin": 0.02}]
GUARDRAILS = [{"metric": "error_rate", "versus": "stable", "ratio": 1.5}]


def canary(hold: str, **more: Any) -> Plan:
    """5, 50 and 100 % of an answer engine."""
    strategy = {"kind": "canary", "observation_period": hold}
    spec = {"flag": "f", "candidate": "new", "strategy": strategy, "gates": GATES, "guardrails": GUARDRAILS} | more
    return compile_plan(parse_spec(spec), "old")


def outlook(hold: str, rate: float = 1000, **more: Any) -> tuple[Plan, tuple[StageOutlook, ...]]:
    """The plan, and what is foreseen at ``rate`` requests a minute."""
    made = canary(hold, **more)
    return made, foresee(made, Expectation.model_validate({"requests_per_minute": rate, "metrics": METRICS}))


def test_a_stage_that_is_too_short_is_named_with_the_length_that_would_do() -> None:
    """The first stage needs longer than it is held; held for what it needs, it is not too short any more."""
    made, stages = outlook("5m")
    assert [stage.index for stage in stages if stage.short] == [0]
    (warning,) = warnings(made, stages)
    assert warning.startswith("stage 1 (5 %) is too short to decide")
    assert "it is held for 5m and needs about" in warning
    needed = stages[0].needed
    assert needed is not None
    enough, better = outlook(f"{math.ceil(needed / timedelta(seconds=1))}s", deadline="10m")
    assert warnings(enough, better) == []


def test_what_no_hold_decides_is_said() -> None:
    """A candidate expected on the wrong side of the limit passes never."""
    made = canary("24h", gates=[{"metric": "success_rate", "min": 0.99}])
    stages = foresee(made, Expectation.model_validate({"requests_per_minute": 1000, "metrics": METRICS}))
    assert [stage.needed for stage in stages] == [None, None, None]
    assert all("cannot decide success_rate ≥ 0.99" in warning for warning in warnings(made, stages))


def test_guardrails_share_the_error_rate_and_need_no_pass() -> None:
    """More checks make each of them catch a little less; a guardrail never makes a stage too short."""
    _, alone = outlook("1h", guardrails=[])
    _, together = outlook("1h")
    assert (together[0].foreseen[0].prospect.smallest or 0) < (alone[0].foreseen[0].prospect.smallest or 0)
    assert {one.role for one in together[0].short} <= {"gate"}


def test_a_dry_run_makes_no_stage_too_short() -> None:
    """What decides nothing needs no time."""
    gates = [GATES[0], {**GATES[1], "dry_run": True}]
    _, stages = outlook("5m", gates=gates)
    assert [one.gate.label for stage in stages for one in stage.short] == ["success_rate ≥ 0.95"]


def test_the_table_fits_a_hundred_columns() -> None:
    """Every check of every stage has a row; what cannot be foreseen says why."""
    made, stages = outlook("1h", gates=[*GATES, {"metric": "cost", "max": 1}])
    screen = io.StringIO()
    Console(file=screen, width=100).print(outlook_view(made, stages))
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 100
    assert sum("success_rate ≥ 0.95  " in line for line in lines) == 3
    assert sum("expect.metrics has" in line for line in lines) == 3
    assert sum("×" in line for line in lines) == 2


def test_programs_get_seconds_and_full_precision() -> None:
    """The keys that the documentation names, without rounding."""
    made, stages = outlook("5m")
    first = outlook_data(made, stages)[0]
    assert (first["index"], first["hold_seconds"], first["enough"]) == (0, 300, False)
    checks = first["checks"]
    assert isinstance(checks, list)
    assert [check["role"] for check in checks] == ["gate", "gate", "guardrail"]
    assert checks[0]["passes_after_seconds"] == pytest.approx(checks[0]["outcomes"] / 50 * 60)
    assert checks[2]["catches"] > 1.5


def test_the_command_line_completes_the_file() -> None:
    """Options go before the file's ``expect``; without a rate there is nothing to expect."""
    assert expectation(None, Said(users=5)) is None
    written = Expectation.model_validate({"requests_per_minute": 10, "metrics": {"error_rate": 0.01, "cost": 1}})
    both = expectation(written, Said(rate=20, per_user=3, metrics=["error_rate=0.02", "quality_score=0.8:0.1"]))
    assert both is not None
    assert (both.requests_per_minute, both.requests_per_user) == (20, 3)
    assert both.metrics["error_rate"].mean == 0.02
    assert (both.metrics["quality_score"].deviation, both.metrics["cost"].mean) == (0.1, 1)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (Said(rate=0), "requests_per_minute: input should be greater than 0"),
        (Said(rate=1, metrics=["error_rate"]), "--metric: is no expected value"),
        (Said(rate=1, metrics=["error_rate=a"]), "--metric: is no expected value"),
        (Said(rate=1, metrics=["error_rate=2"]), "error_rate is a rate from 0 to 1, and 2 is none"),
    ],
)
def test_what_cannot_be_expected_is_refused(said: Said, message: str) -> None:
    """With the option or field, and what to write."""
    with pytest.raises(InvalidInput) as error:
        expectation(None, said)
    assert message in str(error.value.problems[0])
