"""Absolute limits on means of skewed values: whose spread keeps a gate right exactly at its limit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from benchmarks.decisions.figures import at_first, median, share
from benchmarks.decisions.result import Requirement, Result
from benchmarks.decisions.rules import Flags
from benchmarks.decisions.run import Run, Size
from benchmarks.decisions.traffic import Crowd, Habits, Random, clustered, crowd, normals
from benchmarks.report import Section
from turnout.analysis.clusters import Sums, mean, variance
from turnout.analysis.confseq import MIN_UNITS, Estimates, hold, widening
from turnout.analysis.evidence import Floats

_ALPHA, _SHARE, _LOOKS, _USERS = 0.05, 0.05, 100, 2_000
_SIZE = Size(400, 10)
_RULES = ("alone", "without stable", "decided")


@dataclass(frozen=True, slots=True)
class Case:
    """Values whose mean on the candidate is ``limit``; ``worse`` is 1 for a maximum, -1 for a minimum.

    ``draw`` gives a value a request, those of the candidate times its last argument, which is ``scale`` at the limit.
    """

    limit: float
    worse: int
    draw: Callable[[Random, Crowd, float], Floats]
    scale: float = 1.0


def _lognormal(random: Random, traffic: Crowd, times: float) -> Floats:
    return _scaled(traffic, np.exp(1.2 * normals(random, traffic, 0.25)), times)


def _spikes(random: Random, traffic: Crowd, times: float) -> Floats:
    hundredfold = np.where(random.random(traffic.user.size) < 0.01, 100.0, 1.0)
    return _scaled(traffic, hundredfold * np.exp(0.3 * normals(random, traffic, 0.25)), times)


def _purchases(random: Random, traffic: Crowd, times: float) -> Floats:
    bought = random.random(traffic.user.size) < 0.05
    return _scaled(traffic, np.where(bought, np.exp(0.8 * normals(random, traffic, 0.25)), 0.0), times)


def _scores(random: Random, traffic: Crowd, times: float) -> Floats:
    rank = random.random(traffic.users)
    good, best = 0.8 * times, 0.95
    own: Floats = betaincinv(2 * good, 2 * (1 - good), rank)
    stable: Floats = betaincinv(8 * best, 8 * (1 - best), rank)
    return np.where(traffic.on_candidate, own[traffic.user], stable[traffic.user])


def _scaled(traffic: Crowd, values: Floats, times: float) -> Floats:
    return np.where(traffic.on_candidate, times * values, values)


_COST, _SPIKE, _SALE = math.exp(0.72), 1.99 * math.exp(0.045), 0.05 * math.exp(0.32)
CASES: Mapping[str, Case] = {
    "cost (lognormal, log-sd 1.2), stable alike": Case(_COST, 1, _lognormal),
    "cost (lognormal, log-sd 1.2), stable half": Case(2 * _COST, 1, _lognormal, 2.0),
    "cost (1 % a hundredfold), stable half": Case(2 * _SPIKE, 1, _spikes, 2.0),
    "cost (5 % of requests have one), stable half": Case(2 * _SALE, 1, _purchases, 2.0),
    "score (two of three users near 1), stable at 0.95": Case(0.8, -1, _scores),
}


def measure(run: Run) -> Result:
    """How often a mean exactly at its limit is judged, and how soon one well within it passes."""
    rows: list[list[str]] = []
    requirements: list[Requirement] = []
    for name in CASES:
        drawn = run.repeat(simulate, _SIZE, f"means {name}", name, 1.0)
        fails, passes = (
            {rule: share(np.isfinite(drawn[f"{rule} {side}"])) for rule in _RULES} for side in ("fail", "pass")
        )
        rows.append([name, *(f"{fails[rule]} / {passes[rule]}" for rule in _RULES)])
        what = f"exactly at the limit of a mean, {name}, α = 5 %"
        requirements.append(Requirement(f"false pass {what}", passes["decided"], _ALPHA, main=True))
        requirements.append(Requirement(f"false fail {what}", fails["decided"], _ALPHA))
    for name in list(CASES)[:2]:
        drawn = run.repeat(simulate, _SIZE, f"means within {name}", name, 0.7)
        found = [median(drawn[f"{rule} pass"]) for rule in _RULES]
        rows.append([f"{name}, candidate at 0.7 of the limit: median requests to the pass", *map(str, found)])
    return Result(
        Section(
            "Absolute limits on means",
            f"{run.paths(_SIZE):,} paths a row: 2,000 users of 20 requests who come back at random, 5 % of them on the "
            "candidate (about 100), a look at every hundredth part, α = 5 % on either side. False fail / false pass of "
            "a mean exactly at its limit. Skewed means that happen to be low come with a spread that happens to be "
            "low: the candidate's own standard error passes them. Gates take the spread that the limit would explain, "
            "and stable's, in proportion to the means where those differ.",
            ("values", "own standard error", "without stable", "**as gates do**"),
            rows,
        ),
        requirements=requirements,
    )


def simulate(random: Random, paths: int, name: str, times: float) -> dict[str, Floats]:
    """Candidate requests at which each rule fails or passes a candidate at ``times`` its limit, infinite for never."""
    found = [_path(random, CASES[name], times) for _ in range(paths)]
    return {key: np.asarray([one[key] for one in found]) for key in found[0]}


def _path(random: Random, case: Case, times: float) -> dict[str, float]:
    traffic = crowd(random, Habits(_USERS), 20 * _USERS, _LOOKS, _SHARE)
    ours, theirs = clustered(traffic, case.draw(random, traffic, case.scale * times))
    estimates = {
        "alone": Estimates(mean(ours), np.sqrt(variance(ours)), ours.units),
        "without stable": hold(ours, case.limit),
        "decided": hold(ours, case.limit, theirs),
    }
    found: dict[str, float] = {}
    for rule, held in estimates.items():
        for side, sign in (("fail", 1), ("pass", -1)):
            found[f"{rule} {side}"] = float(at_first(_beyond(ours, held, case, sign), ours.samples))
    return found


def _beyond(ours: Sums, held: Estimates, case: Case, sign: int) -> Flags:
    usable = (ours.units >= MIN_UNITS) & np.isfinite(held.se)
    half = widening(held.effective_units, _ALPHA) * np.where(usable, held.se, 1.0)
    return usable & (sign * case.worse * (held.value - case.limit) > half)
