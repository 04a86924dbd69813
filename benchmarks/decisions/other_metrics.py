"""Latency, quality, satisfaction and cost on independent requests."""

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
from turnout.analysis.evidence import Floats

_LOOKS, _STEP, _PART = 500, 200, 0.05
_SIZE = Size(1000, 20)
_COST_SD = 1.2
_CAP = math.exp(3.0902 * _COST_SD)
_ONE_EACH = 250.0
"""What the sequence is tuned for with one outcome a user."""

_LATENCY_SD = 0.6

_METRICS: Mapping[str, tuple[str, Mapping[str, tuple[float, ...]]]] = {
    "quality": (
        "quality 0.85 → 0.75 (sd 0.15)",
        {
            "naive z": (0.32, 35, 44),
            "confidence sequence": (0.017, 43, 71),
            "confidence sequence, α = 1 %": (0.003, 51, 84),
        },
    ),
    "satisfaction": (
        "satisfaction −0.16 (sd 0.25), in ratings",
        {"confidence sequence": (0.009, 48, 90), "confidence sequence, α = 1 %": (0.0005, 59, 113)},
    ),
    "cost": (
        "cost × 1.3 (lognormal, log-sd 1.2), capped at stable's p99.9",
        {
            "naive z": (0.22, 115),
            "confidence sequence": (0.003, 415, 946),
            "confidence sequence, α = 1 %": (0.0, 633, 1265),
        },
    ),
    "latency": (
        "latency × 1.3 (log-sd 0.6), beyond stable's p95",
        {
            "naive z": (0.37, 42, 170),
            "exceedances by arm": (0.019, 133, 362),
            "exceedances by arm, α = 1 %": (0.003, 192, 439),
        },
    ),
}


def measure(run: Run) -> Result:
    """Table 4.2."""
    rows: list[list[str]] = []
    requirements: list[Requirement] = []
    for metric, (title, study) in _METRICS.items():
        same = run.repeat(simulate, _SIZE, f"{metric} same", metric, False)
        worse = run.repeat(simulate, _SIZE, f"{metric} worse", metric, True)
        for rule, known in study.items():
            false, middle, late = (*known, None, None)[:3]
            found = worse[rule]
            cells = share(np.isfinite(same[rule]), false), median(found, middle), quantile(found, 0.95, late)
            rows.append([title, rule, *map(str, cells)])
            if middle is not None and rule in ("confidence sequence", "exceedances by arm"):
                requirements.append(Requirement(f"median requests: {title}", median(found, middle), 1.25 * middle))
    return Result(
        Section(
            "The other metrics, independent requests",
            f"{run.paths(_SIZE):,} paths each, the traffic of the table before, one-sided α = 5 % unless said.",
            ("metric, change", "rule", "A/A: false rollback", "detection, median", "p95"),
            rows,
        ),
        requirements=requirements,
    )


def simulate(random: Random, paths: int, metric: str, changed: bool) -> dict[str, Floats]:
    """Candidate values at which each rule takes the candidate back."""
    ours, theirs, worse = _drawn(random, paths, metric, changed)
    if metric == "latency":
        flags = {
            "naive z": rules.naive_rates(ours, theirs, 0.05),
            "exceedances by arm": rules.exceedance(ours, theirs, 0.05),
            "exceedances by arm, α = 1 %": rules.exceedance(ours, theirs, 0.01),
        }
    else:
        flags = {
            "naive z": rules.naive_means(ours, theirs, 0.05, worse=worse),
            "confidence sequence": rules.means(ours, theirs, 0.05, worse=worse, tuned_for=_ONE_EACH),
            "confidence sequence, α = 1 %": rules.means(ours, theirs, 0.01, worse=worse, tuned_for=_ONE_EACH),
        }
    return {rule: at_first(hits, ours.samples) for rule, hits in flags.items()}


def _drawn(random: Random, paths: int, metric: str, changed: bool) -> tuple[Sums, Sums, int]:
    if metric == "latency":
        moved = math.log(1.3) / _LATENCY_SD if changed else 0.0
        beyond = 0.5 * math.erfc((1.6449 - moved) / math.sqrt(2))
        return (*_counted(random, paths, beyond), 1)
    if metric == "cost":
        return (*_priced(random, paths, 1.3 if changed else 1.0), 1)
    step, mean, sd = (_STEP, 0.85, 0.15) if metric == "quality" else (_STEP // 10, 0.75, 0.25)
    drop = 0.0 if not changed else 0.1 if metric == "quality" else 0.16
    n = binomial(random, step, _PART, (paths, _LOOKS))
    return _normal(random, n, mean - drop, sd), _normal(random, step - n, mean, sd), -1


def _counted(random: Random, paths: int, beyond: float) -> tuple[Sums, Sums]:
    n = binomial(random, _STEP, _PART, (paths, _LOOKS))
    arms = ((n, binomial(random, n, beyond)), (_STEP - n, binomial(random, _STEP - n, 0.05)))
    ours, theirs = (_summed(size, events, events) for size, events in arms)
    return ours, theirs


def _priced(random: Random, paths: int, factor: float) -> tuple[Sums, Sums]:
    shape = (paths, _LOOKS, _STEP)
    ours = random.random(shape) < _PART
    cost = np.minimum(random.lognormal(0.0, _COST_SD, shape) * np.where(ours, factor, 1.0), _CAP)
    arms = (_summed(arm.sum(-1), (cost * arm).sum(-1), (cost * cost * arm).sum(-1)) for arm in (ours, ~ours))
    candidate, stable = arms
    return candidate, stable


def _normal(random: Random, n: Floats, mean: float, sd: float) -> Sums:
    """Sums of n normal values a look, drawn exactly: their mean is normal, their spread chi-squared."""
    total = n * mean + np.sqrt(n) * sd * random.standard_normal(n.shape)
    spread = sd * sd * random.chisquare(np.maximum(n - 1, 1e-9))
    return _summed(n, total, np.where(n > 0, total**2 / np.maximum(n, 1) + np.where(n > 1, spread, 0.0), 0.0))


def _summed(samples: Floats, total: Floats, squares: Floats) -> Sums:
    n, y, yy = (np.cumsum(one, axis=-1, dtype=np.float64) for one in (samples, total, squares))
    return independent(n, y, yy)
