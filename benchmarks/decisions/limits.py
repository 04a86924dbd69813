"""Absolute limits: outcomes needed to pass or to fail, and how often a rate exactly at the limit is misjudged."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.decisions.figures import at_first, median, quantile, share
from benchmarks.decisions.result import Requirement, Result
from benchmarks.decisions.run import Run, Size
from benchmarks.decisions.traffic import Random
from benchmarks.report import Section
from turnout.analysis.eprocess import decision_counts
from turnout.analysis.evidence import Floats

_LIMIT, _ALPHA, _MOST = 0.05, 0.05, 20_000
_SIZE = Size(2000, 50)
_RATES: Mapping[float, tuple[str, float, float | None]] = {
    0.0: ("pass", 82, None),
    0.01: ("pass", 130, 242),
    0.02: ("pass", 242, 548),
    0.03: ("pass", 576, 1532),
    0.04: ("pass", 3169, 7697),
    0.06: ("fail", 3617, 8470),
    0.08: ("fail", 359, 956),
    0.10: ("fail", 145, 372),
    0.20: ("fail", 28, 62),
    0.50: ("fail", 7, 14),
}
_WRONG: Mapping[float, tuple[float | None, ...]] = {0.05: (0.05, 0.455, 0.974), 0.06: (0.008, 0.106, 0.647)}
_COUNTS: Mapping[int, tuple[int | None, int | None]] = {
    50: (None, 8),
    100: (0, 13),
    200: (2, 20),
    300: (5, 27),
    500: (12, 41),
    1000: (30, 72),
    2000: (71, 131),
    5000: (201, 301),
}


def measure(run: Run) -> Result:
    """Table 6."""
    table = decisions()
    rows: list[list[str]] = []
    series: dict[str, list[float]] = {"rate": [], "median": [], "p90": []}
    requirements: list[Requirement] = []
    for rate, (verdict, middle, late) in _RATES.items():
        found = run.repeat(simulate, _SIZE, f"limits {rate}", rate, *table)[verdict]
        figures = median(found, middle), quantile(found, 0.9, late)
        rows.append([f"{rate:.0%}", verdict, str(figures[0]), str(figures[1]), "", ""])
        requirements.append(
            Requirement(f"median outcomes to {verdict} at {rate:.0%} of a limit of 5 %", figures[0], 1.25 * middle)
        )
        for name, value in zip(series, (rate, figures[0].value, figures[1].value), strict=True):
            series[name].append(value)
    wrong, kept = _misjudged(run, table)
    rows += wrong
    requirements += kept
    rows.append(["4 %", "false fail", "", "", "", f"{run_of_minutes(run)}, per minute"])
    return Result(
        Section(
            "Absolute limits",
            f"{run.paths(_SIZE):,} paths of 20,000 independent outcomes against “bad ≤ 5 %”, every outcome a look, α "
            "= 5 % on either side: outcomes to the verdict, or the share of paths with the wrong one. For contrast: "
            "a 95 % Wilson bound asked again at every outcome, and a point estimate asked again from the 20th. Per "
            "minute: 50 outcomes a minute, the rate of each minute alone held against the limit, taken back after 5 "
            f"minutes above it in an hour, as threshold-based controllers do. Counts that decide: {_counts()}.",
            ("true rate", "verdict", "**median, or share**", "p90", "Wilson re-checked", "point estimate"),
            rows,
        ),
        series,
        requirements,
    )


def _misjudged(run: Run, table: tuple[Floats, Floats]) -> tuple[list[list[str]], list[Requirement]]:
    rows: list[list[str]] = []
    requirements: list[Requirement] = []
    for rate, study in _WRONG.items():
        drawn = run.repeat(simulate, _SIZE, f"limits {rate}", rate, *table)
        wrong = [
            share(np.isfinite(drawn[rule]), known)
            for rule, known in zip(("pass", "wilson", "point"), study, strict=True)
        ]
        rows.append([f"{rate:.0%}", "false pass", str(wrong[0]), "", str(wrong[1]), str(wrong[2])])
        requirements.append(
            Requirement(f"false pass at {rate:.0%} of a limit of 5 %, α = 5 %", wrong[0], _ALPHA, main=rate == _LIMIT)
        )
        if rate == _LIMIT:
            false = share(np.isfinite(drawn["fail"]))
            rows.append([f"{rate:.0%}", "false fail", str(false), "", "", ""])
            requirements.append(Requirement("false fail exactly at a limit of 5 %, α = 5 %", false, _ALPHA))
    return rows, requirements


def run_of_minutes(run: Run) -> str:
    """How often a good candidate at 4 % is taken back by five minutes above 5 %."""
    return str(share(run.repeat(simulate_minutes, _SIZE, "limits minutes")["back"]))


def simulate_minutes(random: Random, paths: int) -> dict[str, Floats]:
    """Whether five of sixty minutes of 50 outcomes each are above the limit."""
    above = random.binomial(50, 0.04, (paths, 60)) / 50 > _LIMIT
    return {"back": (above.sum(axis=-1) >= 5).astype(np.float64)}


def simulate(random: Random, paths: int, rate: float, pass_at_most: Floats, fail_at_least: Floats) -> dict[str, Floats]:
    """Outcomes at which each rule decides, infinite for never. The counts that decide are `decision_counts`'."""
    total = np.arange(1, _MOST + 1, dtype=np.float64)
    bad = np.cumsum(random.random((paths, _MOST)) < rate, axis=-1)
    slack = 1.6449 * np.sqrt(_LIMIT * (1 - _LIMIT) * total)
    flags = {
        "pass": bad <= pass_at_most,
        "fail": bad >= fail_at_least,
        "wilson": bad <= total * _LIMIT - slack,
        "point": (bad <= total * _LIMIT) & (total >= 20),
    }
    return {rule: at_first(hits, total) for rule, hits in flags.items()}


def decisions() -> tuple[Floats, Floats]:
    """After each number of outcomes the most bad ones that pass, and the least that fail."""
    found = decision_counts(range(1, _MOST + 1), _LIMIT, _ALPHA, _ALPHA)
    passes = [-1 if one.pass_at_most is None else one.pass_at_most for one in found]
    fails = [_MOST + 1 if one.fail_at_least is None else one.fail_at_least for one in found]
    return np.asarray(passes, dtype=np.float64), np.asarray(fails, dtype=np.float64)


def _counts() -> str:
    found = decision_counts(tuple(_COUNTS), _LIMIT, _ALPHA, _ALPHA)
    known: list[tuple[int | None, int | None]] = list(_COUNTS.values())
    same = sum((one.pass_at_most, one.fail_at_least) == two for one, two in zip(found, known, strict=True))
    shown = "; ".join(
        f"of {one.total:,} pass with at most {one.pass_at_most}, fail with {one.fail_at_least}"
        for one in found
        if one.pass_at_most is not None
    )
    return f"{shown} ({same} of {len(known)} pairs as in the study)"
