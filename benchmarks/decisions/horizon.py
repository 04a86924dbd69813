"""One look at a fixed horizon: what counting requests as independent does, and what guards a small arm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.decisions.figures import share
from benchmarks.decisions.result import Requirement, Result
from benchmarks.decisions.run import Run, Size
from benchmarks.decisions.traffic import Random, as_stored, rates
from benchmarks.report import Section
from turnout.analysis import abtest
from turnout.analysis.evidence import Floats
from turnout.domain.stats import ArmStats

_SIZE = Size(2000, 50)
_PER_USER, _ICC = 20, 0.3


@dataclass(frozen=True, slots=True)
class Case:
    """``rate`` None is a score of mean 0.85 and sd 0.15. ``study`` is naive, delta, pooled."""

    rate: float | None
    users: tuple[int, int]
    study: tuple[float, float, float]
    spread: float = 0.0

    @property
    def title(self) -> str:
        """The case in words."""
        metric = "score" if self.rate is None else f"error {self.rate:.0%}"
        return f"{metric}, lognormal request counts" if self.spread else metric


_CASES = (
    Case(None, (10, 190), (0.46, 0.051, 0.049)),
    Case(None, (100, 1900), (0.45, 0.048, 0.05)),
    Case(None, (500, 500), (0.46, 0.048, 0.048)),
    Case(0.05, (10, 190), (0.49, 0.226, 0.049)),
    Case(0.05, (100, 1900), (0.47, 0.077, 0.05)),
    Case(0.05, (500, 9500), (0.44, 0.049, 0.052)),
    Case(0.01, (10, 190), (0.67, 0.508, 0.064)),
    Case(0.01, (100, 1900), (0.48, 0.176, 0.041)),
    Case(0.01, (500, 9500), (0.47, 0.069, 0.046)),
    Case(0.01, (100, 1900), (0.63, 0.247, 0.062), 1.2),
)


def measure(run: Run) -> Result:
    """Table 5.1."""
    rows: list[list[str]] = []
    requirements: list[Requirement] = []
    for case in _CASES:
        drawn = run.repeat(simulate, _SIZE, f"horizon {case}", case)
        naive, delta = (share(drawn[rule], known) for rule, known in zip(("naive", "delta"), case.study, strict=False))
        guarded, better = share(drawn["guarded"]), share(drawn["guarded better"])
        plain = share(drawn["delta better"])
        who = "{} / {}".format(*case.users)
        rows.append([case.title, who, str(naive), str(delta), str(guarded), str(plain), str(better)])
        what = f"false “better”, {case.title}, {who} users, α = 5 %"
        requirements.append(Requirement(what, better, 0.05))
    return Result(
        Section(
            "One look at a fixed horizon",
            f"{run.paths(_SIZE):,} A/A paths a row: 20 requests a user, intra-class correlation 0.3 (a design effect "
            "of 6.7). False differences two-sided at 5 %; then the share that finds the candidate better, one-sided "
            "at 5 %: the error that would pass it. Naive is a z test per request; the delta method is Welch's t "
            "between users; guarded takes the pooled standard error where it is larger. Users are summed in 1,024 "
            "clusters, as stores do.",
            ("metric", "users", "naive", "delta", "**guarded**", "“better”: delta", "“better”: **guarded**"),
            rows,
        ),
        requirements=requirements,
    )


def simulate(random: Random, paths: int, case: Case) -> dict[str, Floats]:
    """Whether each rule finds a difference, 0 or 1."""
    found = [_path(random, case) for _ in range(paths)]
    return {key: np.asarray([one[key] for one in found]) for key in found[0]}


def _path(random: Random, case: Case) -> dict[str, float]:
    ours, theirs = (_arm(random, case, users) for users in case.users)
    plain = abtest.welch(_by_request(ours), _by_request(theirs), 0.95)
    delta, guarded = abtest.welch(ours, theirs, 0.95), abtest.welch(ours, theirs, 0.95, guarded=True)
    sign = -1 if case.rate is not None else 1
    return {
        "naive": float(plain.p_value < 0.05),
        "delta": float(delta.p_value < 0.05),
        "guarded": float(guarded.p_value < 0.05),
        "delta better": float(delta.p_value < 0.1 and delta.statistic * sign > 0),
        "guarded better": float(guarded.p_value < 0.1 and guarded.statistic * sign > 0),
    }


def _arm(random: Random, case: Case, users: int) -> ArmStats:
    counts = np.full(users, _PER_USER)
    if case.spread:
        activity = random.lognormal(0.0, case.spread, users)
        counts = random.multinomial(users * _PER_USER, activity / activity.sum())
    if case.rate is not None:
        totals = random.binomial(counts, rates(random, case.rate, users, _ICC)).astype(np.float64)
        return as_stored(random, counts, totals, float(totals.sum()))
    own, noise = 0.85 + 0.15 * np.sqrt(_ICC) * random.standard_normal(users), 0.15 * np.sqrt(1 - _ICC)
    values = own[:, np.newaxis] + noise * random.standard_normal((users, _PER_USER))
    return as_stored(random, counts, values.sum(axis=1), float((values * values).sum()))


def _by_request(arm: ArmStats) -> ArmStats:
    """Every request taken for a user of its own."""
    return ArmStats(
        units=arm.samples,
        samples=arm.samples,
        total=arm.total,
        squares=arm.squares,
        nn=arm.samples,
        yy=arm.squares,
        ny=arm.total,
    )
