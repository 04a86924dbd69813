"""The outcomes in order of time: when could one have known?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from turnout.analysis.study import anytime
from turnout.analysis.study.frame import Measured
from turnout.analysis.study.pairs import Pair
from turnout.analysis.study.result import Estimate

LOOKS = 50
"""How often the recorded time is stopped to look."""


def first_decided(found: Measured, arm: int, last: Estimate, adjusted: Callable[[Pair], Pair]) -> Estimate:
    """``last`` with the smallest p-value of all looks, and the time of the first look that decided.

    The times of the looks divide the rows evenly. A p-value that is valid at every look stays one when the smallest
    is taken (Ville's inequality). A time is given only where the look found the direction that ``last`` has.
    ``adjusted`` is what is done to the arms of a look before they are compared.
    """
    time = found.frame.outcomes.time
    rows = found.frame.rows[arm] | found.frame.rows[found.frame.control]
    if time is None or last.p_value is None:
        return last
    times = time[rows & ~np.isnan(time) & ~np.isnan(found.values)]
    if not times.size:
        return last
    smallest, decided = last.p_value, None
    for at in np.unique(np.quantile(times, np.linspace(0, 1, LOOKS + 1)[1:], method="higher")):
        one = anytime.compared(adjusted(found.pair(arm, time <= at)), found.frame.question)
        if one.p_value is None or not _alike(one, last):
            continue
        smallest = min(smallest, one.p_value)
        if decided is None and one.p_value < found.frame.question.alpha:
            decided = float(at)
    return last.model_copy(update={"p_value": smallest, "decided_at": decided})


def _alike(one: Estimate, other: Estimate) -> bool:
    neutral = {"ratio": 1.0}
    sides = [(e.estimate or 0.0) - neutral.get(e.scale, 0.0) > 0 for e in (one, other)]
    return one.scale == other.scale and one.counted == other.counted and sides[0] == sides[1]
