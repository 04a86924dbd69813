"""What one table gives: a section of the page, the series of its plots, and what it must keep."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.decisions.figures import Figure
from benchmarks.report import Section


@dataclass(frozen=True, slots=True)
class Requirement:
    """``measured`` must be at most ``limit``; beyond three Monte-Carlo errors it is broken. ``main`` ones lead."""

    what: str
    measured: Figure
    limit: float
    main: bool = False

    @property
    def holds(self) -> bool:
        """Whether the measurement, less three of its errors, is within the limit."""
        return self.measured.value - 3 * self.measured.error <= self.limit

    @property
    def outcome(self) -> str:
        """In words: whether it holds, and whether only thanks to the error of the measurement."""
        if self.measured.value <= self.limit:
            return "holds"
        return "above, within 3 errors" if self.holds else "**broken**"


@dataclass(frozen=True, slots=True)
class Result:
    """A table, the series behind its plots by name, and the requirements it shows."""

    section: Section
    series: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])
    requirements: Sequence[Requirement] = ()


def save(results: Mapping[str, Result], scale: float, machine: str, path: Path) -> None:
    """Keep all figures, so that the page can be written again without a simulation."""
    tables = {name: asdict(result) for name, result in results.items()}
    path.write_text(json.dumps({"scale": scale, "machine": machine, "tables": tables}, indent=1) + "\n")


def load(path: Path) -> tuple[dict[str, Result], float, str]:
    """What `save` has kept: the results by table, the scale and the machine."""
    kept = json.loads(path.read_text())
    return {name: _result(table) for name, table in kept["tables"].items()}, kept["scale"], kept["machine"]


def _result(kept: Mapping[str, Any]) -> Result:
    requirements = [
        Requirement(one["what"], Figure(**one["measured"]), one["limit"], one["main"]) for one in kept["requirements"]
    ]
    return Result(Section(**kept["section"]), kept["series"], requirements)
