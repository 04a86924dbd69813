"""Figures with their Monte-Carlo standard errors: shares of paths and quantiles over paths."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from turnout.analysis.evidence import Floats

Unit = Literal["share", "number"]


@dataclass(frozen=True, slots=True)
class Figure:
    """``value`` with its standard ``error`` (infinite where unknown), and what the earlier study found, if it asked."""

    value: float
    error: float
    unit: Unit
    study: float | None = None

    def __str__(self) -> str:
        own = _percent(self.value, self.error) if self.unit == "share" else _number(self.value, self.error)
        if self.study is None:
            return own
        return f"{own} [{self.study * 100:.3g} %]" if self.unit == "share" else f"{own} [{_plain(self.study)}]"


def share(flags: ArrayLike, study: float | None = None) -> Figure:
    """The share of paths with the flag; its error is at least that of one path of as many (Agresti & Coull)."""
    array = np.asarray(flags, dtype=np.float64)
    value, smoothed = float(array.mean()), (float(array.sum()) + 1) / (array.size + 2)
    return Figure(value, math.sqrt(smoothed * (1 - smoothed) / array.size), "share", study)


def quantile(values: Floats, at: float, study: float | None = None) -> Figure:
    """The smallest value with at least the share ``at`` of paths at or below it; infinite values are no detection.

    The error is half the distance of the order statistics one binomial standard deviation to either side.
    """
    ordered = np.sort(values)
    middle, reach = at * ordered.size, math.sqrt(at * (1 - at) * ordered.size)
    low, mid, high = (
        float(ordered[min(ordered.size - 1, max(0, math.ceil(rank) - 1))])
        for rank in (middle - reach, middle, middle + reach)
    )
    return Figure(mid, (high - low) / 2 if math.isfinite(high) else math.inf, "number", study)


def median(values: Floats, study: float | None = None) -> Figure:
    """The `quantile` at one half."""
    return quantile(values, 0.5, study)


def first(hits: NDArray[np.bool_]) -> Floats:
    """The index of the first hit of every path (looks are the last axis), infinite without one."""
    return np.where(hits.any(axis=-1), hits.argmax(axis=-1), np.inf)


def at_first(hits: NDArray[np.bool_], clock: Floats) -> Floats:
    """What ``clock`` (paths × looks, or looks) shows at the first hit of every path, infinite without one."""
    shown = np.broadcast_to(clock, hits.shape)
    index = hits.argmax(axis=-1)[..., np.newaxis]
    return np.where(hits.any(axis=-1), np.take_along_axis(shown, index, axis=-1)[..., 0], np.inf)


def _plain(number: float) -> str:
    return f"{number:,.0f}" if number >= 20 else f"{number:g}"


def _percent(value: float, error: float) -> str:
    digits = 1 if error >= 0.0005 else 2
    return f"{value * 100:.{digits}f} ± {error * 100:.{digits}f} %"


def _number(value: float, error: float) -> str:
    if not math.isfinite(value):
        return "–"
    digits = 0 if value >= 20 else 1
    return f"{value:,.{digits}f} ± {error:,.{digits}f}" if math.isfinite(error) else f"{value:,.{digits}f}"
