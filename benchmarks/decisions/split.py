"""Sample-ratio mismatch: how many users it takes to see a broken split, and how often a good one is accused."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy.special import chdtri

from benchmarks.decisions.figures import at_first, median, share
from benchmarks.decisions.result import Requirement, Result
from benchmarks.decisions.run import Run, Size
from benchmarks.decisions.traffic import Random
from benchmarks.report import Section
from turnout.analysis import srm
from turnout.analysis.evidence import Floats

_USERS, _STEP = 20_000, 20
_SIZE = Size(2000, 200)
_CASES: Mapping[tuple[float, float], tuple[float | None, ...]] = {
    (0.05, 0.03): (1625, 2258, 4920, 1149),
    (0.05, 0.04): (7455, 7585, 12106, 4359),
    (0.5, 0.45): (1653, 2143, 4512, 934),
}
_RULES = ("k = 100", "k = 1000", "k = 10000", "chi-squared")


def measure(run: Run) -> Result:
    """Table 4.6."""
    rows: list[list[str]] = []
    requirements: list[Requirement] = []
    for (planned, real), study in _CASES.items():
        drawn = run.repeat(simulate, _SIZE, f"split {planned} {real}", planned, real)
        found = [median(drawn[rule], known) for rule, known in zip(_RULES, study, strict=True)]
        rows.append([f"planned {planned:.0%}, real {real:.0%}: median users", *map(str, found)])
        requirements.append(
            Requirement(f"median users to see {real:.0%} for {planned:.0%}", found[1], 1.25 * (study[1] or 0))
        )
    for planned in (0.05, 0.5):
        drawn = run.repeat(simulate, _SIZE, f"split {planned}", planned, planned)
        study = (0.001, 0.001, 0.001, 0.026 if planned == 0.05 else None)
        false = [share(np.isfinite(drawn[rule]), known) for rule, known in zip(_RULES, study, strict=True)]
        rows.append([f"planned and real {planned:.0%}: false alarm", *map(str, false)])
        requirements.append(Requirement(f"false mismatch at {planned:.0%}, α = 0.1 %", false[1], srm.MISMATCH_ALPHA))
    return Result(
        Section(
            "A broken split",
            f"{run.paths(_SIZE):,} paths of 20,000 users, a look every {_STEP} users, α = 0.1 %. k is the "
            "concentration of the test; Turnout's is 1000. Chi-squared is Pearson's test at p < 0.1 % asked again at "
            "every look.",
            ("split", *("**k = 1000**" if rule == "k = 1000" else rule for rule in _RULES)),
            rows,
        ),
        requirements=requirements,
    )


def simulate(random: Random, paths: int, planned: float, real: float) -> dict[str, Floats]:
    """Users at which each rule declares a mismatch, infinite for never."""
    users = np.arange(1, _USERS // _STEP + 1, dtype=np.float64) * _STEP
    ours = np.cumsum(random.binomial(_STEP, real, (paths, users.size)), axis=-1).astype(np.float64)
    counts, shares = np.stack((ours, users - ours), axis=-1), np.asarray((planned, 1 - planned))
    found = {
        f"k = {k}": srm.log_evidence(counts, shares, float(k)) >= -math.log(srm.MISMATCH_ALPHA)
        for k in (100, 1000, 10_000)
    }
    squared = (ours - users * planned) ** 2 / (users * planned * (1 - planned))
    found["chi-squared"] = squared > float(chdtri(1, srm.MISMATCH_ALPHA))
    return {rule: at_first(hits, users) for rule, hits in found.items()}
