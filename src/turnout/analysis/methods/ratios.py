"""The ratio of two means with its anytime-valid interval, in the manner of Fieller."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from turnout.analysis import confseq
from turnout.analysis.intervals import Interval
from turnout.domain.stats import ArmStats

_WIDEST: Final = 1e6
_STEPS: Final = 60


def multiplied(stats: ArmStats, times: float) -> ArmStats:
    """The statistics of ``times`` each value."""
    if times == 1:
        return stats
    square = times * times
    changed = {
        "total": stats.total * times,
        "squares": stats.squares * square,
        "yy": stats.yy * square,
        "ny": stats.ny * times,
    }
    return stats.model_copy(update=changed)


def interval(candidate: ArmStats, stable: ArmStats, ends: tuple[float, float]) -> Interval:
    """The ratios r for which the sequence of candidate - r·stable holds 0, its ends at the error rates ``ends``.

    E. C. Fieller, "Some problems in interval estimation", J. R. Stat. Soc. B 16 (1954) 175-185, with a confidence
    sequence in place of Student's interval. Unbounded (0 .. inf) unless both means are positive; ends beyond a
    million times the ratio, or below a millionth of it, are open.
    """
    if min(candidate.samples, stable.samples) <= 0 or min(candidate.total, stable.total) <= 0:
        return Interval(None, 0.0, math.inf)
    ratio = candidate.total / candidate.samples / (stable.total / stable.samples)
    if not (0 < ratio < math.inf):
        return Interval(None, 0.0, math.inf)

    def below(times: float) -> bool:
        return confseq.difference(candidate, multiplied(stable, times), *ends).low > 0

    def above(times: float) -> bool:
        return confseq.difference(candidate, multiplied(stable, times), *ends).high < 0

    return Interval(ratio, _edge(ratio, 1 / _WIDEST, below, 0.0), _edge(ratio, _WIDEST, above, math.inf))


def _edge(ratio: float, reach: float, excluded: Callable[[float], bool], open_end: float) -> float:
    """The ratio at which exclusion begins on the way from ``ratio`` to ``reach`` times it."""
    inside, outside = 0.0, math.log(reach)
    if not excluded(ratio * reach):
        return open_end
    for _ in range(_STEPS):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if excluded(ratio * math.exp(middle)) else (middle, outside)
    return ratio * math.exp((inside + outside) / 2)
