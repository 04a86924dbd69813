"""A rare error on independent requests: false rollbacks, and how soon 1 % → 3 % is found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache

import numpy as np

from benchmarks.decisions import rules
from benchmarks.decisions.figures import at_first, median, quantile, share
from benchmarks.decisions.result import Requirement, Result
from benchmarks.decisions.run import Run, Size
from benchmarks.decisions.traffic import Random, binomial, independent
from benchmarks.report import Section
from turnout.analysis.eprocess import log_evidence
from turnout.analysis.evidence import Floats
from turnout.analysis.spending import boundaries

_LOOKS, _STEP = 500, 200
_BASE, _BAD = 0.01, 0.03
_SIZE = Size(2000, 100)

_STUDY: Mapping[str, tuple[float | None, float | None, float | None]] = {
    "naive z at each look": (0.381, 65, 399),
    "naive z, 10 looks": (0.179, None, None),
    "naive z, one look at the end": (0.048, None, None),
    "naive z, Bonferroni over 500 looks": (0.040, 299, 1053),
    "group sequential, O'Brien–Fleming": (0.051, 726, 1173),
    "confidence sequence of the difference": (0.003, 547, 1214),
    "**errors by arm**": (0.022, 276, 889),
    "errors by arm, ratio ≤ 1.25 allowed": (0.003, 417, 1298),
    "absolute, error rate ≤ 1.5 %": (0.002, 912, 2448),
    "absolute, error rate ≤ 2 %": (0.0, 2829, None),
    "**errors by arm, α = 1 %**": (0.006, 413, 1135),
}
_SHARES = ((0.01, 251.0), (0.25, 400.0), (0.5, 678.0))


def measure(run: Run) -> Result:
    """Table 4.1."""
    same = run.repeat(simulate, _SIZE, "rare same", _BASE, 0.05)
    worse = run.repeat(simulate, _SIZE, "rare worse", _BAD, 0.05)
    rows: list[list[str]] = []
    for rule, (false, middle, late) in _STUDY.items():
        found = worse[rule]
        cells = (share(np.isfinite(same[rule]), false), median(found, middle), quantile(found, 0.95, late))
        rows.append([rule, *map(str, cells), str(share(np.isfinite(found)))])
    for part, study in _SHARES:
        found = run.repeat(simulate_one, _SIZE, f"rare {part}", _BAD, part)["found"]
        rows.append([f"errors by arm, candidate's share {part:.0%}", "", str(median(found, study)), "", ""])
    return Result(
        Section(
            "A rare error, independent requests",
            f"{run.paths(_SIZE):,} paths each: 100,000 requests, 1,000 a minute, the candidate's share 5 %, a look "
            "every 200 requests, one-sided α = 5 % unless said. A/A: both arms 1 % errors; then the candidate has 3 "
            "%. Detection in candidate requests (50 a minute).",
            ("rule", "A/A: false rollback", "detection, median", "p95", "found"),
            rows,
        ),
        _growth(same),
        _requirements(same, worse),
    )


def _requirements(same: Mapping[str, Floats], worse: Mapping[str, Floats]) -> list[Requirement]:
    rule = "**errors by arm**"
    return [
        Requirement("false rollback on a rare error, α = 5 %", share(np.isfinite(same[rule]), 0.022), 0.05),
        Requirement("median requests to find 1 % → 3 % errors", median(worse[rule], 276), 1.25 * 276, main=True),
    ]


def _growth(same: Mapping[str, Floats]) -> dict[str, list[float]]:
    """The share of A/A paths taken back so far, by candidate requests (50 a minute)."""
    minutes = np.arange(0, 101, 2)
    lines = {"naive": "naive z at each look", "errors by arm": "**errors by arm**"}
    series = {name: [float(np.mean(same[rule] <= minute * 50)) for minute in minutes] for name, rule in lines.items()}
    return {"minutes": minutes.astype(float).tolist(), **series}


def simulate(random: Random, paths: int, rate: float, part: float) -> dict[str, Floats]:
    """Candidate requests at which each rule takes the candidate back, infinite for never."""
    n, m, x, y = _counts(random, paths, rate, part)
    ours, theirs = independent(n, x, x), independent(m, y, y)
    z = rules.naive_z(ours, theirs)
    ends = np.arange(_LOOKS)
    flags = {
        "naive z at each look": z > 1.6449,
        "naive z, 10 looks": (z > 1.6449) & ((ends + 1) % (_LOOKS // 10) == 0),
        "naive z, one look at the end": (z > 1.6449) & (ends == _LOOKS - 1),
        "naive z, Bonferroni over 500 looks": z > 3.7190,
        "group sequential, O'Brien–Fleming": z >= _boundary(),
        "confidence sequence of the difference": rules.means(ours, theirs, 0.05, worse=1, tuned_for=250),
        "**errors by arm**": rules.first_error(x, y, part, 0.05),
        "errors by arm, ratio ≤ 1.25 allowed": rules.first_error(x, y, part, 0.05, 1.25),
        "absolute, error rate ≤ 1.5 %": log_evidence(x, n, 0.015, "fail") >= -math.log(0.05),
        "absolute, error rate ≤ 2 %": log_evidence(x, n, 0.02, "fail") >= -math.log(0.05),
        "**errors by arm, α = 1 %**": rules.first_error(x, y, part, 0.01),
    }
    return {rule: at_first(hits, n) for rule, hits in flags.items()}


def simulate_one(random: Random, paths: int, rate: float, part: float) -> dict[str, Floats]:
    """`simulate` for errors by arm alone."""
    n, _, x, y = _counts(random, paths, rate, part)
    return {"found": at_first(rules.first_error(x, y, part, 0.05), n)}


def _counts(random: Random, paths: int, rate: float, part: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Requests and errors of both arms up to every look: n, m, x, y."""
    n = binomial(random, _STEP, part, (paths, _LOOKS))
    x, y = binomial(random, n, rate), binomial(random, _STEP - n, _BASE)
    whole = (n, _STEP - n, x, y)
    n, m, x, y = (np.cumsum(one, axis=-1).astype(np.float64) for one in whole)
    return n, m, x, y


@cache
def _boundary() -> Floats:
    """The O'Brien–Fleming boundary at 50 planned looks, infinite between them."""
    looks = boundaries([(index + 1) / 50 for index in range(50)], 0.05, "obrien_fleming")
    edge = np.full(_LOOKS, np.inf)
    edge[_LOOKS // 50 - 1 :: _LOOKS // 50] = [look.boundary for look in looks]
    return edge
