"""The rollout specs that the documentation shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from turnout.strategies import compile_plan, parse_spec

ROOT = Path(__file__).parents[3]


def specs_in(page: str) -> list[dict[str, Any]]:
    """Every YAML block of ``page`` that is a whole spec."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    read = [
        yaml.safe_load(block) for block in blocks if re.search(r"^flag:.*^(strategy|pipeline):", block, re.M | re.S)
    ]
    return [spec for spec in read if isinstance(spec, dict)]


def stable_of(spec: dict[str, Any]) -> str:
    """What the flag of ``spec`` serves before, as its page tells it."""
    return "blue" if spec.get("candidate") == "green" else "perplexity"


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs" / "strategies").glob("*.md")))
def test_every_strategy_has_a_complete_spec(page: str) -> None:
    """The page of a strategy shows a spec of it that can be started as it stands."""
    specs = specs_in(f"docs/strategies/{page}")
    kind = page.removesuffix(".md").replace("-", "_")
    assert kind in {compile_plan(parse_spec(spec), stable_of(spec)).strategy for spec in specs}


@pytest.mark.parametrize("page", ["README.md", "docs/rollouts.md", "docs/calendar.md"])
def test_documented_specs_are_accepted(page: str) -> None:
    """What a page shows as a spec can be started as it stands."""
    specs = specs_in(page)
    assert specs
    for spec in specs:
        assert len(compile_plan(parse_spec(spec), "perplexity").stages) == 3
