"""Looking every minute at users who return: tests that count requests against tests that count users."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchmarks.decisions import rules
from benchmarks.decisions.figures import at_first, median, share
from benchmarks.decisions.result import Requirement, Result
from benchmarks.decisions.run import Run, Size
from benchmarks.decisions.traffic import (
    Crowd,
    Habits,
    Order,
    Random,
    by_request,
    clustered,
    crowd,
    errors,
    first_hits,
    normals,
)
from benchmarks.report import Section
from turnout.analysis.counting import log_components, log_mixture
from turnout.analysis.evidence import Floats

_LOOKS, _REQUESTS, _ICC, _ALPHA = 100, 100_000, 0.3, 0.05
_SIZE = Size(400, 20)
_RULES = ("naive", "independent", "per request", "means", "first error", "exceedance")
_NONE = (None,) * 6
_HEADER = (
    "case",
    "naive z",
    "sequence per request",
    "errors by arm per request",
    "**sequence per user**",
    "**first errors by arm**",
    "**exceedances by arm**",
)


@dataclass(frozen=True, slots=True)
class Case:
    """``rate`` None is a score. ``study`` by order, in the order of the rules."""

    rate: float | None
    users: int
    share: float
    back: tuple[float | None, ...]
    session: tuple[float | None, ...]

    @property
    def title(self) -> str:
        """The case in words."""
        metric = "score" if self.rate is None else f"error {self.rate:.0%}"
        return f"{metric}, {self.users:,} users, share {self.share:.0%}"


_CASES = (
    Case(0.01, 2000, 0.05, (0.43, 0.26, 0.24, 0, 0.015, 0.015), (0.64, 0.53, 0.52, 0, 0.021, 0.018)),
    Case(0.05, 2000, 0.5, (0.44, 0.23, 0.08, 0.013, 0.009, 0.009), (0.86, 0.74, 0.66, 0.015, 0.024, 0.014)),
    Case(None, 2000, 0.05, (0.46, 0.25, None, 0.01, None, None), (0.79, 0.65, None, 0.006, None, None)),
    Case(None, 10_000, 0.05, (0.39, 0.10, None, 0.019, None, None), (0.68, 0.38, None, 0.017, None, None)),
)
_FOUND = {"return": (343, 366, 916), "session": (750, 1040, 2080)}


def measure(run: Run) -> Result:
    """Table 5.2."""
    rows: list[list[str]] = []
    requirements: list[Requirement] = []
    for case in _CASES:
        for order, study in (("return", case.back), ("session", case.session)):
            drawn = run.repeat(simulate, _SIZE, f"peeking {case.title} {order}", case, order, False)
            cells = [
                str(share(np.isfinite(drawn[rule]), known)) if rule in drawn else ""
                for rule, known in zip(_RULES, study, strict=True)
            ]
            rows.append([f"{case.title}, {order}", *cells])
            for rule in ("means", "first error", "exceedance"):
                if rule in drawn:
                    what = f"false rollback, {rule}: {case.title}, {order}, α = 5 %"
                    requirements.append(Requirement(what, share(np.isfinite(drawn[rule])), _ALPHA))
    detections, delays = _detections(run)
    rows += detections
    requirements += delays
    return Result(
        Section(
            "Looking every minute at users who return",
            f"{run.paths(_SIZE):,} paths a row: 100,000 requests, a look every minute of 1,000, intra-class "
            "correlation 0.3, α = 5 %; users come back at random (return) or send all requests in one go (session). "
            "False rollbacks; the last rows are detections in candidate requests. The first three rules take "
            "requests for independent: the naive z test, the same confidence sequence, the same test by arms. "
            "Anytime-valid is not valid with the wrong variance.",
            _HEADER,
            rows,
        ),
        requirements=requirements,
    )


def _detections(run: Run) -> tuple[list[list[str]], list[Requirement]]:
    rows: list[list[str]] = []
    requirements: list[Requirement] = []
    for order, (first, rao, means) in _FOUND.items():
        case = Case(0.01, 10_000, 0.05, _NONE, _NONE)
        drawn = run.repeat(simulate, _SIZE, f"peeking found {order}", case, order, True)
        found = (median(drawn["means"], means), median(drawn["first error"], first), median(drawn["exceedance"], rao))
        rows.append([f"1 → 3 % errors, 10,000 users, {order}: median requests", "", "", "", *map(str, found)])
        what = f"median requests to find 1 → 3 % errors, 10,000 users, {order}"
        requirements.append(Requirement(what, found[1], 1.25 * first))
    return rows, requirements


def simulate(random: Random, paths: int, case: Case, order: Order, worse: bool) -> dict[str, Floats]:
    """Candidate requests at which each rule takes the candidate back, infinite for never."""
    found = [_path(random, case, order, worse=worse) for _ in range(paths)]
    return {key: np.asarray([one[key] for one in found]) for key in found[0]}


def _path(random: Random, case: Case, order: Order, *, worse: bool) -> dict[str, float]:
    traffic = crowd(random, Habits(case.users, order=order), _REQUESTS, _LOOKS, case.share)
    if case.rate is None:
        values, sign = 0.85 + 0.15 * normals(random, traffic, _ICC), -1
    else:
        values, sign = errors(random, traffic, case.rate, _ICC, 0.03 if worse else None), 1
    (ours, theirs), (n, m) = clustered(traffic, values), by_request(traffic, values)
    flags = {
        "naive": rules.naive_means(n, m, _ALPHA, worse=sign),
        "independent": rules.means(n, m, _ALPHA, worse=sign),
        "means": rules.means(ours, theirs, _ALPHA, worse=sign),
    }
    if case.rate is not None:
        flags["naive"] = rules.naive_rates(n, m, _ALPHA)
        flags |= _counted(traffic, values, case.share)
        flags["exceedance"] = rules.exceedance(ours, theirs, _ALPHA)
    return {rule: float(at_first(hits, n.samples)) for rule, hits in flags.items()}


def _counted(traffic: Crowd, values: Floats, part: float) -> dict[str, rules.Flags]:
    n, m = by_request(traffic, values)
    single = log_mixture(log_components(n.total, m.total, part, 1.0, "fail"), "fail")
    first = first_hits(traffic, values)
    return {
        "per request": single >= -math.log(_ALPHA),
        "first error": rules.first_error(*first, part, _ALPHA),
    }
