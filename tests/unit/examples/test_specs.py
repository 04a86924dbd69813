"""The rollouts under ``examples`` that come without an application of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnout.cli.commands.files import UNKNOWN_STABLE
from turnout.cli.documents import load, read_flags, read_spec
from turnout.strategies import compile_plan

EXAMPLES = Path(__file__).parents[3] / "examples"
STAGES = {
    "cohort": ["staff 100 %", "beta 50 %", "paying 10 %"],
    "geographic": ["new-zealand 50 %", "dach 50 %", "other 10 %"],
}


@pytest.mark.parametrize("name", STAGES)
def test_an_example_can_be_started_as_it_stands(name: str) -> None:
    """Its flags are valid, and its rollout is one of theirs."""
    (flag,) = read_flags(load(str(EXAMPLES / name / "flags.yaml")))
    spec = read_spec(load(str(EXAMPLES / name / "rollout.yaml")))
    assert (spec.flag, spec.candidate in flag.variants) == (flag.key, True)
    for stable in (flag.stable, UNKNOWN_STABLE):
        assert [stage.name for stage in compile_plan(spec, stable).stages] == STAGES[name]
