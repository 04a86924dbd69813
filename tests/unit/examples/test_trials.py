"""The examples of tests, and the pages that show them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from turnout.analysis.foresight import foresee
from turnout.domain.flags import parse_flags
from turnout.strategies import compile_plan, parse_spec

ROOT = Path(__file__).parents[3]
STABLE = {"ab_test": "perplexity", "multivariate": "plain"}
PAGES = {"ab_test": "ab-test.md", "multivariate": "multivariate.md"}


def example(kind: str) -> dict[str, Any]:
    """The spec of an example."""
    read: dict[str, Any] = yaml.safe_load((ROOT / "examples" / kind / "rollout.yaml").read_text())
    return read


@pytest.mark.parametrize("kind", STABLE)
def test_an_example_is_a_plan_for_its_flag(kind: str) -> None:
    """Its arms are variants of the flag beside it, and at the expected traffic the sample is in in time."""
    (flag,) = parse_flags(yaml.safe_load((ROOT / "examples" / kind / "flags.yaml").read_text()))
    spec = parse_spec(example(kind))
    plan = compile_plan(spec, flag.stable)
    assert (spec.flag, flag.stable) == (flag.key, STABLE[kind])
    assert set(plan.stages[0].weights) <= set(flag.variants)
    assert spec.expect is not None
    (outlook,) = foresee(plan, spec.expect)
    trial = outlook.foreseen[0]
    assert trial.gate.experiment is not None
    assert trial.prospect.users == trial.gate.experiment.sample
    assert trial.prospect.fits(plan.stages[0].hold)


@pytest.mark.parametrize("kind", STABLE)
def test_a_page_shows_its_example(kind: str) -> None:
    """The guide's spec is the example's."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/strategies" / PAGES[kind]).read_text(), re.DOTALL)
    assert yaml.safe_load(blocks[0]) == example(kind)
