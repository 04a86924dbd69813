"""A mergeable log-histogram: quantiles within one percent of the value, exact counts above a bin's edge."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from turnout.domain.model import Frozen

ACCURACY: Final = 0.01
_GAMMA: Final = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GAMMA: Final = math.log(_GAMMA)
_SMALLEST: Final = 1e-9
ZERO_BIN: Final = -1_000_000
"""The bin of all values below 1e-9, negative ones included."""


def bin_of(value: float) -> int:
    """The bin of ``value``: bin k holds values in (γ^(k-1), γ^k], γ = (1 + 0.01) / (1 - 0.01).

    Masson, Rim and Lee, DDSketch (2019): the estimate 2γ^k / (γ + 1) of any value in it is within 1 %.
    """
    return ZERO_BIN if value < _SMALLEST else math.ceil(math.log(value) / _LOG_GAMMA)


def upper_edge(index: int) -> float:
    """The largest value in bin ``index``."""
    return 0.0 if index == ZERO_BIN else math.exp(index * _LOG_GAMMA)


class Histogram(Frozen):
    """Counts by bin; see `bin_of`. Merging two is adding their counts."""

    counts: Mapping[int, int] = {}

    @property
    def total(self) -> int:
        """How many values there are."""
        return sum(self.counts.values())

    def merged(self, others: Iterable[Histogram]) -> Histogram:
        """This one and ``others`` together."""
        counts = dict(self.counts)
        for other in others:
            for index, count in other.counts.items():
                counts[index] = counts.get(index, 0) + count
        return Histogram(counts=counts)

    def quantile(self, share: float) -> float | None:
        """A value within 1 % of the smallest with at least ``share`` (0..1) of all at or below it; None if empty."""
        rank, seen = max(1, math.ceil(share * self.total)), 0
        for index in sorted(self.counts):
            seen += self.counts[index]
            if seen >= rank:
                return 0.0 if index == ZERO_BIN else 2 * upper_edge(index) / (_GAMMA + 1)
        return None

    def above(self, index: int) -> int:
        """How many values are above the upper edge of bin ``index``: exact."""
        return sum(count for k, count in self.counts.items() if k > index)
