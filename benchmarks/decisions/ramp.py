"""Ramps: the share grows while the base rate drifts, and nothing is wrong with the candidate."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from benchmarks.decisions import rules
from benchmarks.decisions.figures import share
from benchmarks.decisions.result import Requirement, Result
from benchmarks.decisions.run import Run, Size
from benchmarks.decisions.traffic import Random, binomial, independent
from benchmarks.report import Section
from turnout.analysis.counting import log_components, log_mixture
from turnout.analysis.evidence import Floats

_STAGES = (0.01, 0.05, 0.25, 0.5)
_MINUTES, _PER_MINUTE, _ALPHA = 25, 1000, 0.05
_SIZE = Size(2000, 200)
_STUDY: Mapping[str, tuple[float | None, float | None]] = {
    "pooled z, one look at the end": (1.0, 0.043),
    "pooled confidence sequence, each minute": (0.997, 0.058),
    "**errors by arm, each with the share at its time**": (0.028, 0.027),
    "errors by arm, fresh each stage at α/4": (0.048, 0.046),
    "errors by arm, fresh each stage at α": (None, None),
}


def measure(run: Run) -> Result:
    """Table 4.4."""
    drift = run.repeat(simulate, _SIZE, "ramp drift", True)
    level = run.repeat(simulate, _SIZE, "ramp level", False)
    rows = [[rule, str(share(drift[rule], one)), str(share(level[rule], two))] for rule, (one, two) in _STUDY.items()]
    rule = "**errors by arm, each with the share at its time**"
    figure = share(drift[rule], 0.028)
    return Result(
        Section(
            "A ramp with drift",
            f"{run.paths(_SIZE):,} paths: stages of 1, 5, 25 and 50 %, 25 minutes of 1,000 requests each, both arms "
            "alike. False rollbacks over the whole ramp, α = 5 % one-sided, while the errors of both arms drift from "
            "1 to 3 %, and without drift. The study's per-stage figures are of another test. Fresh at α is how a "
            "rollout decides: each stage has its own error rate.",
            ("rule", "drift 1 → 3 %", "no drift"),
            rows,
        ),
        requirements=[Requirement("false rollback over a ramp with drift, α = 5 %", figure, 0.05)],
    )


def simulate(random: Random, paths: int, drift: bool) -> dict[str, Floats]:
    """Whether each rule takes the candidate back during the ramp, 0 or 1."""
    minutes = _MINUTES * len(_STAGES)
    part = np.repeat(_STAGES, _MINUTES)
    rate = np.linspace(0.01, 0.03, minutes) if drift else np.full(minutes, 0.01)
    n = binomial(random, _PER_MINUTE, part, (paths, minutes))
    x, y = binomial(random, n, rate), binomial(random, _PER_MINUTE - n, rate)
    ours, theirs = (
        independent(*(np.cumsum(one, axis=-1, dtype=np.float64) for one in (size, hits, hits)))
        for size, hits in ((n, x), (_PER_MINUTE - n, y))
    )
    along, staged = _evidence(x, y)
    flags: dict[str, rules.Flags] = {
        "pooled z, one look at the end": rules.naive_rates(ours, theirs, _ALPHA)[:, -1:],
        "pooled confidence sequence, each minute": rules.means(ours, theirs, _ALPHA, worse=1, tuned_for=250),
        "**errors by arm, each with the share at its time**": along >= -math.log(_ALPHA),
        "errors by arm, fresh each stage at α/4": staged >= -math.log(_ALPHA / 4),
        "errors by arm, fresh each stage at α": staged >= -math.log(_ALPHA),
    }
    return {rule: np.asarray(hits.any(axis=-1), dtype=np.float64) for rule, hits in flags.items()}


def _evidence(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """The logarithms of the e-value over the whole ramp and of the one of the running stage, at every minute.

    The components of finished stages are added to those of the running one, as `log_components` says.
    """
    finished = np.zeros((x.shape[0], 1, 5))
    along: list[Floats] = []
    staged: list[Floats] = []
    for index, part in enumerate(_STAGES):
        own = slice(index * _MINUTES, (index + 1) * _MINUTES)
        ours, theirs = (np.cumsum(arm[:, own], axis=-1) for arm in (x, y))
        components = log_components(ours, theirs, part, 1.0, "fail")
        staged.append(log_mixture(components, "fail"))
        along.append(log_mixture(finished + components, "fail"))
        finished = finished + components[:, -1:]
    return np.concatenate(along, axis=-1), np.concatenate(staged, axis=-1)
