"""How much more data a gate would need if things go on as they are."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from turnout.analysis.wording import NEAR, count
from turnout.domain.plan import Gate
from turnout.domain.stats import ArmStats

FARTHEST: Final = 1e4
"""A gate that would need so many times the data it has is not decidable at the present estimate."""


def factor_to_decide(decides: Callable[[float], bool]) -> float | None:
    """The smallest factor by which all counts have to grow until ``decides``; None beyond `FARTHEST`.

    To two percent. ``decides`` is asked of data that repeat the present ones, at the same estimate.
    """
    high = 2.0
    while not decides(high):
        high *= 2
        if high > FARTHEST:
            return None
    low = high / 2
    while high / low > 1.02:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high


def lacking(gate: Gate, own: ArmStats, factor: float | None, units: int = 0) -> str:
    """What the candidate lacks: ``about 480 more outcomes, 96 more users``; see `factor_to_decide`.

    The gate's minima, those of the method (``units``), and the projection, whichever is more.
    """
    few = max(gate.min_samples - own.samples, 0), max(max(gate.min_units, units) - own.units, 0)
    if factor is None:
        return _more(few) if any(few) else NEAR
    projected = _rounded(own.samples * (factor - 1)), _rounded(own.units * (factor - 1))
    about = "about " if projected[0] > few[0] or projected[1] > few[1] else ""
    return about + _more((max(few[0], projected[0]), max(few[1], projected[1])))


def lacking_baseline(gate: Gate, stable: ArmStats, units: int = 0) -> str:
    """What stable lacks of the minima, in the same words; empty for nothing."""
    few = max(gate.min_samples - stable.samples, 0), max(max(gate.min_units, units) - stable.units, 0)
    return f"{_more(few)} of stable" if any(few) else ""


def scaled(stats: ArmStats, factor: float) -> ArmStats:
    """``factor`` times as many units that are like the present ones."""
    return stats.model_copy(
        update={
            "units": math.ceil(stats.units * factor),
            "samples": math.ceil(stats.samples * factor),
            "total": stats.total * factor,
            "squares": stats.squares * factor,
            "nn": stats.nn * factor,
            "yy": stats.yy * factor,
            "ny": stats.ny * factor,
            "clusters": math.ceil(stats.clusters * factor),
            "hits": math.ceil(stats.hits * factor),
        }
    )


def _more(numbers: tuple[int, int]) -> str:
    outcomes, users = numbers
    parts = [count(outcomes, "more outcome")] if outcomes else []
    return ", ".join([*parts, count(users, "more user")] if users else parts)


def _rounded(number: float) -> int:
    """Up, to two digits: a projection is no more exact than that."""
    step = 10 ** max(0, math.floor(math.log10(number)) - 1) if number >= 1 else 1
    return math.ceil(number / step) * step
