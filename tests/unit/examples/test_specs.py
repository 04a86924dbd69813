"""The rollouts under ``examples`` that nothing else starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnout.cli.documents import load, read_flags, read_spec
from turnout.strategies import UNKNOWN_STABLE, compile_plan

EXAMPLES = Path(__file__).parents[3] / "examples"
STAGES = {
    "answers/gradual": ["5 %", "20 %", "50 %", "100 %"],
    "answers/pipeline": ["shadow 50 %", "canary 20 %", "canary 50 %", "gradual 75 %", "gradual 100 %"],
    "cohort/rollout": ["staff 100 %", "beta 50 %", "paying 10 %"],
    "geographic/rollout": ["new-zealand 50 %", "dach 50 %", "other 10 %"],
}


@pytest.mark.parametrize("name", STAGES)
def test_an_example_can_be_started_as_it_stands(name: str) -> None:
    """Its flags are valid, and its rollout is one of theirs."""
    (flag,) = read_flags(load(str((EXAMPLES / name).parent / "flags.yaml")))
    spec = read_spec(load(str(EXAMPLES / f"{name}.yaml")))
    assert (spec.flag, spec.candidate in flag.variants) == (flag.key, True)
    for stable in (flag.stable, UNKNOWN_STABLE):
        assert [stage.name for stage in compile_plan(spec, stable).stages] == STAGES[name]
