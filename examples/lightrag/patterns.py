"""The eight patterns: what each publishes and starts, at its real pace or, to try it out, within seconds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import yaml

from .service import FLAG
from .settings import Pattern

_FOLDER: Final = Path(__file__).parent
_QUICK: Final[Mapping[str, object]] = {
    **dict.fromkeys(("duration", "observation_period", "stage_duration", "hold", "bake"), "1s"),
    "switch_duration": "4s",
    "interval": "200ms",
    "max_duration": "2m",
    "margin": 0.1,
}
"""What times become, and how much worse an arm of a test may be: what a few hundred people can tell."""

_LEAST: Final[Mapping[str, float]] = {"success_rate": 0.8, "quality_score": 0.65}
"""The least of a quick gate."""

_SAMPLE: Final[Mapping[str, int]] = {"ab_test": 300, "multivariate": 450}
"""People in a quick test."""


def flags_of(pattern: Pattern) -> dict[str, Any]:
    """The flag file, with what the pattern changes in it."""
    document: dict[str, Any] = _read("flags.yaml")
    if pattern == "toggles":
        document["flags"][FLAG] |= _read("patterns/toggles.yaml")["flags"][FLAG]
    return document


def spec_of(pattern: Pattern, service: str, *, quick: bool = False) -> dict[str, Any] | None:
    """The rollout of the pattern, which asks the ``service`` (its URL) for LightRAG's health; None for toggles.

    A ``quick`` one is over in seconds, with limits for a handful of people: it shows what happens, and proves nothing.
    """
    if pattern == "toggles":
        return None
    spec: dict[str, Any] = _read(f"patterns/{pattern}.yaml")
    strategy: dict[str, Any] = spec["strategy"]
    if "health" in strategy:
        strategy["health"]["url"] = f"{service}/lightrag/healthz"
    if not quick:
        return spec
    if pattern in _SAMPLE:
        strategy["minimum_sample_size"] = _SAMPLE[pattern]
    gates = [gate | _provable(gate) for gate in spec.get("gates", ())]
    return spec | {"strategy": _quickened(strategy), "gates": gates, "check_every": "1s", "deadline": "2m"}


def _provable(gate: Mapping[str, object]) -> dict[str, object]:
    """What a few dozen people can show of ``gate``: a lower limit, from fewer of them."""
    least = {"min": _LEAST[str(gate["metric"])]} if "min" in gate else {}
    return {"min_samples": 20, "min_units": 10, **least}


def _quickened(part: Any) -> Any:
    match part:
        case dict():
            named = cast("dict[str, Any]", part)
            return {name: _QUICK.get(name, _quickened(value)) for name, value in named.items()}
        case [*parts]:
            return [_quickened(one) for one in parts]
        case _:
            return part


def _read(name: str) -> Any:
    return yaml.safe_load((_FOLDER / name).read_text(encoding="utf-8"))
