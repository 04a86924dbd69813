"""``python -m benchmarks.decisions``: simulate the decisions and write docs/decisions.md."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import scipy

from benchmarks.decisions import (
    clustered_limits,
    concluded,
    horizon,
    late_onset,
    limits,
    mean_limits,
    noninferiority,
    other_metrics,
    page,
    peeking,
    plots,
    policy,
    ramp,
    rare_errors,
    split,
)
from benchmarks.decisions.result import Result, load, save
from benchmarks.decisions.run import Run
from benchmarks.report import machine

DOCS = Path(__file__).resolve().parents[2] / "docs"

TABLES: Mapping[str, Callable[[Run], Result]] = {
    "policy": policy.measure,
    "concluded": concluded.measure,
    "rare_errors": rare_errors.measure,
    "other_metrics": other_metrics.measure,
    "ramp": ramp.measure,
    "late_onset": late_onset.measure,
    "split": split.measure,
    "horizon": horizon.measure,
    "peeking": peeking.measure,
    "clustered_limits": clustered_limits.measure,
    "mean_limits": mean_limits.measure,
    "limits": limits.measure,
    "noninferiority": noninferiority.measure,
}


def main() -> int:
    """Simulate what is asked for, keep the figures, write the page and its plots; 1 if a requirement is broken."""
    asked = _arguments()
    docs: Path = asked.docs
    figures = docs / "decisions" / "figures.json"
    figures.parent.mkdir(parents=True, exist_ok=True)
    results, scale, where = load(figures) if figures.exists() else ({}, asked.scale, _machine())
    if not asked.render:
        results, scale, where = results | _simulated(asked.only or list(TABLES), asked), asked.scale, _machine()
        results = {name: results[name] for name in TABLES if name in results}
        save(results, scale, where, figures)
    plots.draw(results, figures.parent)
    (docs / "decisions.md").write_text(page.written(results, scale, where))
    broken = [one for result in results.values() for one in result.requirements if not one.holds]
    for one in broken:
        print(f"broken: {one.what}: {one.measured}, at most {one.limit:g}", file=sys.stderr)
    return 1 if broken else 0


def _simulated(names: list[str], asked: argparse.Namespace) -> dict[str, Result]:
    results: dict[str, Result] = {}
    with Run(asked.scale, asked.jobs, asked.seed) as run:
        for name in names:
            began = time.monotonic()
            results[name] = TABLES[name](run)
            print(f"{results[name].section.markdown()}\n\n({name}: {time.monotonic() - began:.0f} s)\n", flush=True)
    return results


def _machine() -> str:
    return f"{machine()}, NumPy {np.__version__}, SciPy {scipy.__version__}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the repetitions; 0.05 is a smoke run")
    parser.add_argument("--jobs", type=int, default=None, help="processes; all processors unless given")
    parser.add_argument("--seed", type=int, default=20_240_501)
    parser.add_argument("--only", choices=list(TABLES), action="append", help="this table; may be repeated")
    parser.add_argument("--render", action="store_true", help="write the page again from the figures kept")
    parser.add_argument("--docs", type=Path, default=DOCS, help="where decisions.md and decisions/ are written")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
