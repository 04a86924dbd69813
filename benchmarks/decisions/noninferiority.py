"""Passing a comparison: how long it takes to prove that an equal candidate is not worse by more than a margin."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from benchmarks.decisions import rules
from benchmarks.decisions.figures import at_first, median, quantile, share
from benchmarks.decisions.result import Requirement, Result
from benchmarks.decisions.run import Run, Size
from benchmarks.decisions.traffic import Random, binomial, independent
from benchmarks.report import Section
from turnout.analysis.clusters import Sums
from turnout.analysis.counting import log_components, log_mixture
from turnout.analysis.evidence import Floats

_LOOKS, _STEP, _ALPHA = 5000, 200, 0.05
_SIZE = Size(600, 25)
_EDGE = Size(3000, 25)
_RATES: Mapping[tuple[float, float], tuple[float, float | None]] = {
    (0.01, 1.25): (12_900, 27_300),
    (0.01, 1.5): (3328, 8875),
    (0.01, 2.0): (915, 2488),
    (0.05, 1.25): (2270, None),
    (0.05, 1.5): (660, 1633),
    (0.05, 2.0): (214, 526),
}
_SCORES: Mapping[float, tuple[float, float | None]] = {0.01: (1638, None), 0.02: (370, 953), 0.05: (80, 144)}


def measure(run: Run) -> Result:
    """The last part of table 6."""
    rows: list[list[str]] = []
    requirements: list[Requirement] = []
    for (rate, margin), study in _RATES.items():
        name = f"error rate {rate:.0%}, at most × {margin:g}"
        equal = run.repeat(simulate_rates, _SIZE, f"equal {name}", rate, margin, 1.0)["found"]
        edge = run.repeat(simulate_rates, _EDGE, f"edge {name}", rate, margin, margin)["found"]
        _add(rows, requirements, name, equal, edge, study)
    for margin, study in _SCORES.items():
        name = f"score (sd 0.15), at most −{margin:g}"
        equal = run.repeat(simulate_scores, _SIZE, f"equal {name}", margin, 0.0)["found"]
        edge = run.repeat(simulate_scores, _EDGE, f"edge {name}", margin, margin)["found"]
        _add(rows, requirements, name, equal, edge, study)
    return Result(
        Section(
            "Passing a comparison",
            f"{run.paths(_SIZE):,} paths of a million independent requests, the candidate's share 5 %, a look every "
            "200 requests, α = 5 %. An equal candidate: candidate requests to the pass. A candidate exactly at the "
            f"margin, {run.paths(_EDGE):,} paths: the share of false passes.",
            ("metric and margin", "equal: median", "p90", "at the margin: false pass"),
            rows,
        ),
        requirements=requirements,
    )


def _add(
    rows: list[list[str]],
    requirements: list[Requirement],
    name: str,
    equal: Floats,
    edge: Floats,
    study: tuple[float, float | None],
) -> None:
    false = share(np.isfinite(edge))
    middle = median(equal, study[0])
    rows.append([name, str(middle), str(quantile(equal, 0.9, study[1])), str(false)])
    requirements.append(Requirement(f"false pass at the margin: {name}, α = 5 %", false, _ALPHA))
    requirements.append(Requirement(f"median requests to pass when equal: {name}", middle, 1.25 * study[0]))


def simulate_rates(random: Random, paths: int, rate: float, margin: float, factor: float) -> dict[str, Floats]:
    """Candidate requests to the pass of a ratio of error rates, infinite for never."""
    n = binomial(random, _STEP, 0.05, (paths, _LOOKS))
    x, y = binomial(random, n, rate * factor), binomial(random, _STEP - n, rate)
    n, x, y = (np.cumsum(one, axis=-1).astype(np.float64) for one in (n, x, y))
    evidence = log_mixture(log_components(x, y, 0.05, margin, "pass"), "pass")
    return {"found": at_first(evidence >= -math.log(_ALPHA), n)}


def simulate_scores(random: Random, paths: int, margin: float, drop: float) -> dict[str, Floats]:
    """Candidate requests to the pass of a difference of scores, infinite for never."""
    n = binomial(random, _STEP, 0.05, (paths, _LOOKS))
    ours, theirs = _scores(random, n, 0.85 - drop), _scores(random, _STEP - n, 0.85)
    hits = rules.means_within(ours, theirs, _ALPHA, worse=-1, margin=margin, tuned_for=250)
    return {"found": at_first(hits, ours.samples)}


def _scores(random: Random, n: Floats, mean: float) -> Sums:
    total = n * mean + np.sqrt(n) * 0.15 * random.standard_normal(n.shape)
    squares = total**2 / np.maximum(n, 1) + 0.15**2 * random.chisquare(np.maximum(n - 1, 1))
    return independent(*(np.cumsum(one, axis=-1).astype(np.float64) for one in (n, total, squares)))
