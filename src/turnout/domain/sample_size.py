"""How many users a test needs: closed formulas, two-sided, for unequal arms. Pure.

Normal approximations: J. L. Fleiss, "Statistical Methods for Rates and Proportions" (1981), 3.4, for rates; for means
the usual one with W. C. Guenther's correction for the t distribution (The American Statistician 35, 1981, 243-244).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Error rate ``alpha`` (two-sided), ``power``, and the ``share`` of one arm among both, all between 0 and 1."""

    alpha: float
    power: float
    share: float = 0.5

    @property
    def _z(self) -> tuple[float, float]:
        return _NORMAL.inv_cdf(1 - self.alpha / 2), _NORMAL.inv_cdf(self.power)

    def for_rates(self, baseline: float, effect: float) -> int:
        """Users of both arms together that tell a rate of ``baseline + effect`` from the control's ``baseline``.

        ``((z_α √(p̄q̄/(s(1-s))) + z_β √(p_1q_1/s + p_0q_0/(1-s))) / effect)²``, rounded up.

        Raises:
            ValueError: no effect, or one of the rates is outside 0..1.
        """
        other = baseline + effect
        if effect == 0 or not (0 <= baseline <= 1 and 0 <= other <= 1):
            raise ValueError(f"both rates must be in 0..1 and differ; got {baseline} and {other}")
        z_alpha, z_beta = self._z
        ours, theirs = self.share, 1 - self.share
        both = ours * other + theirs * baseline
        null = math.sqrt(both * (1 - both) / (ours * theirs))
        real = math.sqrt(other * (1 - other) / ours + baseline * (1 - baseline) / theirs)
        return math.ceil(((z_alpha * null + z_beta * real) / effect) ** 2)

    def for_means(self, deviation: float, effect: float) -> int:
        """Users of both arms together that find a difference of ``effect`` between means of standard ``deviation``.

        ``(z_α + z_β)² σ² / (s(1-s) effect²) + z_α²/2``, rounded up.

        Raises:
            ValueError: an effect of 0, or a deviation that is not positive.
        """
        if effect == 0 or not deviation > 0:
            raise ValueError(f"there must be an effect and a deviation; got {effect} and {deviation}")
        z_alpha, z_beta = self._z
        needed = ((z_alpha + z_beta) * deviation / effect) ** 2 / (self.share * (1 - self.share))
        return math.ceil(needed + z_alpha**2 / 2)
