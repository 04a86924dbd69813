"""The whole policy on clustered traffic: five metrics at α = 1 % each, looked at every minute."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.decisions import rules
from benchmarks.decisions.figures import at_first, first, median, quantile, share
from benchmarks.decisions.result import Requirement, Result
from benchmarks.decisions.run import Run, Size
from benchmarks.decisions.traffic import (
    Crowd,
    Habits,
    Random,
    by_request,
    clustered,
    crowd,
    errors,
    first_hits,
    normals,
)
from benchmarks.report import Section
from turnout.analysis.evidence import Floats

SHARE, LOOKS, ALPHA = 0.05, 100, 0.01
_AA = Size(1000, 20)
_HARM = Size(300, 20)
_RARE = Size(1000, 20)
_LATENCY_SD, _COST_SD = 0.6, 1.2
_P95, _CAP = math.exp(1.6449 * _LATENCY_SD), math.exp(3.0902 * _COST_SD)
_OTHERS = {
    "cumulative": "by the cumulative test",
    "even": "by half of the weight at the start, all ratios alike",
}
METRICS = ("error", "latency", "quality", "satisfaction", "cost")


@dataclass(frozen=True, slots=True)
class Shape:
    """A crowd that sends 100,000 requests."""

    title: str
    habits: Habits


SHAPES = {
    "even": Shape("5,000 users × 20 requests", Habits(5_000)),
    "lognormal": Shape("5,000 users, lognormal activity", Habits(5_000, 1.2)),
    "few": Shape("1,000 users × 100 requests", Habits(1_000)),
}

_STUDY_FALSE = {"naive": (0.68, 0.812, 0.828), "policy": (0.009, 0.013, 0.011)}
_CHANGES: Mapping[str, tuple[str, tuple[tuple[float | None, float | None], ...]]] = {
    "error": ("errors 1 → 3 %", ((527, 1765), (707, 2592), (997, None))),
    "latency": ("latency × 1.3", ((236, 570), (271, 2218), (307, 2544))),
    "quality": ("quality −0.10", ((54, 104), (56, 123), (61, 147))),
    "satisfaction": ("satisfaction −0.12, 10 % rated", ((633, 1519), (714, 3739), (864, None))),
    "cost": ("cost × 1.3, capped", ((899, 3040), (None, None), (None, None))),
}


def measure(run: Run) -> Result:
    """Table 4.3."""
    rows, requirements, bars = _false_rollbacks(run)
    series: dict[str, list[float]] = {}
    for metric, (title, study) in _CHANGES.items():
        cells: list[str] = []
        others: dict[str, list[str]] = {rule: [] for rule in _OTHERS} if metric == "error" else {}
        size = _RARE if metric == "error" else _HARM
        for (name, shape), (middle, late) in zip(SHAPES.items(), study, strict=True):
            drawn = run.repeat(simulate, size, f"policy {metric} {name}", shape, metric)
            found = drawn[f"{metric} requests"]
            centre = median(found, middle)
            cells.append(_detection(found, middle, late))
            for rule, found_so in others.items():
                found_so.append(_detection(drawn[f"{rule} requests"], middle, late))
            if middle is not None:
                what = f"median requests: {title}, {shape.title}"
                requirements.append(Requirement(what, centre, 1.25 * middle, main=True))
            if name == "even":
                series[metric] = _found_by(drawn[f"{metric} minute"])
        rows.append([f"{title}: median / p95", *cells])
        rows += [[f"{title}, {_OTHERS[rule]}", *found_so] for rule, found_so in others.items()]
    return Result(
        Section(
            "The policy on clustered traffic",
            "100,000 requests of the candidate's 5 % of users and the rest, a look every minute of 100, users coming "
            "back at random; intra-class correlation 0.1 of errors, 0.25 of latency and cost, 0.3 of scores. "
            f"{run.paths(_AA):,} paths for each A/A figure and for errors, {run.paths(_HARM):,} for each other "
            "change. Five metrics versus stable, α = 1 % each. Detection in candidate requests (50 a minute). Errors "
            "are judged with a late onset in mind, which delays what is wrong from the start, most where there are few "
            "users to meet a first error. On the same paths: the cumulative test, for which the earlier figures are, "
            "and the even bets that would delay it more ([ADR 0008](adr/0008-where-the-bets-lie.md)).",
            ("", *(shape.title for shape in SHAPES.values())),
            rows,
        ),
        {"minutes": [float(minute) for minute in range(LOOKS + 1)], **series, **bars},
        requirements,
    )


def _false_rollbacks(run: Run) -> tuple[list[list[str]], list[Requirement], dict[str, list[float]]]:
    drawn = {name: run.repeat(simulate, _AA, f"policy same {name}", shape, None) for name, shape in SHAPES.items()}
    lines = {"naive z per request and look": "naive", "**the policy**": "policy"}
    rows: list[list[str]] = []
    requirements: list[Requirement] = []
    bars: dict[str, list[float]] = {}
    for title, kind in lines.items():
        figures = [
            share(_any(paths, kind), study) for paths, study in zip(drawn.values(), _STUDY_FALSE[kind], strict=True)
        ]
        rows.append([f"A/A, any metric rolled back: {title}", *map(str, figures)])
        bars |= {kind: [one.value for one in figures], f"{kind} error": [one.error for one in figures]}
        if kind == "policy":
            requirements += [
                Requirement(f"any-metric false rollback: {shape.title}", figure, 0.05, main=True)
                for shape, figure in zip(SHAPES.values(), figures, strict=True)
            ]
    for metric in METRICS:
        alone = [share(np.isfinite(paths[f"{metric} minute"])) for paths in drawn.values()]
        rows.append([f"A/A, {metric} alone", *map(str, alone)])
    return rows, requirements, bars


def _any(paths: Mapping[str, Floats], kind: str) -> Floats:
    if kind == "naive":
        return paths["naive"]
    back = np.any([np.isfinite(paths[f"{metric} minute"]) for metric in METRICS], axis=0)
    return np.asarray(back, dtype=np.float64)


def _detection(found: Floats, middle: float | None, late: float | None) -> str:
    return f"{median(found, middle)} / {quantile(found, 0.95, late)}, {np.isfinite(found).mean():.0%} found"


def _found_by(minute: Floats) -> list[float]:
    return [float(np.mean(minute <= at)) for at in range(LOOKS + 1)]


def simulate(random: Random, paths: int, shape: Shape, changed: str | None) -> dict[str, Floats]:
    """Per path the minute and the candidate requests of each metric's rollback, and whether a naive rule did.

    With ``changed`` only that metric is simulated, worse on the candidate.
    """
    found = [_path(random, shape, changed) for _ in range(paths)]
    return {key: np.asarray([one[key] for one in found]) for key in found[0]}


def _path(random: Random, shape: Shape, changed: str | None) -> dict[str, float]:
    traffic = crowd(random, shape.habits, 100_000, LOOKS, SHARE)
    served = np.bincount(traffic.look, traffic.on_candidate, minlength=LOOKS).cumsum()
    found: dict[str, float] = {}
    naive = False
    for metric in METRICS if changed is None else (changed,):
        said = judged(traffic, metric, *drawn_values(random, traffic, metric, worse=changed is not None))
        found[f"{metric} minute"] = float(first(said["turnout"])) + 1
        found[f"{metric} requests"] = float(at_first(said["turnout"], served))
        naive = naive or bool(said["naive"].any())
        found |= {f"{rule} requests": float(at_first(said[rule], served)) for rule in _OTHERS if rule in said}
    return found | {"naive": float(naive)}


def judged(traffic: Crowd, metric: str, values: Floats, rated: rules.Flags | None) -> dict[str, rules.Flags]:
    """What Turnout and what a naive rule say of one metric at every look; of errors also other tests."""
    if metric == "error":
        hits = first_hits(traffic, values)
        return {
            "turnout": rules.late_onset(*hits, SHARE, ALPHA),
            "cumulative": rules.first_error(*hits, SHARE, ALPHA),
            "even": rules.even_bets(*hits, SHARE, ALPHA),
            "naive": rules.naive_rates(*by_request(traffic, values), ALPHA),
        }
    ours, theirs = clustered(traffic, values, rated)
    n, m = by_request(traffic, values, rated)
    if metric == "latency":
        return {"turnout": rules.exceedance(ours, theirs, ALPHA), "naive": rules.naive_rates(n, m, ALPHA)}
    sign = 1 if metric == "cost" else -1
    return {
        "turnout": rules.means(ours, theirs, ALPHA, worse=sign),
        "naive": rules.naive_means(n, m, ALPHA, worse=sign),
    }


def drawn_values(random: Random, traffic: Crowd, metric: str, *, worse: bool) -> tuple[Floats, rules.Flags | None]:
    """A value per request, and which requests have one (None for all). Latency is 1 beyond stable's p95, else 0."""
    hit = traffic.on_candidate if worse else np.zeros(traffic.user.size, dtype=np.bool_)
    if metric == "error":
        return errors(random, traffic, 0.01, 0.1, 0.03 if worse else None), None
    if metric == "latency":
        latency = np.exp(_LATENCY_SD * normals(random, traffic, 0.25)) * np.where(hit, 1.3, 1.0)
        return (latency > _P95).astype(np.float64), None
    if metric == "cost":
        cost = np.exp(_COST_SD * normals(random, traffic, 0.25)) * np.where(hit, 1.3, 1.0)
        return np.minimum(cost, _CAP), None
    if metric == "quality":
        return 0.85 - 0.10 * hit + 0.15 * normals(random, traffic, 0.3), None
    rated = random.random(traffic.user.size) < 0.1
    return 0.75 - 0.12 * hit + 0.25 * normals(random, traffic, 0.3), rated
