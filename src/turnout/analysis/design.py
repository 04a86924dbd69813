"""How many units a fixed-horizon comparison needs, what power it has and what it would miss.

For plans that look once at the end; a gate that is watched needs about what a fixed horizon with 80 % power needs
(median). Normal approximation for proportions (J. L. Fleiss, "Statistical Methods for Rates and Proportions", 1981,
3.4 and its unequal form; R's ``power.prop.test`` for equal arms), noncentral t for means (``power.t.test``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

from scipy import optimize
from scipy.special import nctdtr, ndtr, ndtri, stdtrit

_LEAST_UNITS = 3.0
_MOST_UNITS = 1e15
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Design:
    """``share`` of the units in the candidate, error rate ``alpha`` on ``sides`` sides, wanted ``power``.

    ``effect`` is the design effect where outcomes instead of units are counted: they are worth ``1/effect`` each.
    """

    share: float = 0.5
    alpha: float = 0.05
    sides: Literal[1, 2] = 2
    power: float = 0.8
    effect: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no design.

        Raises:
            ValueError: a share, alpha or power that is not between 0 and 1, or an effect below 1.
        """
        for name, value in (("share", self.share), ("alpha", self.alpha), ("power", self.power)):
            if not 0 < value < 1:
                raise ValueError(f"{name} must be between 0 and 1; got {value}")
        if not 1 <= self.effect < math.inf:
            raise ValueError(f"the design effect is at least 1; got {self.effect}")


def rate_power(stable: float, candidate: float, total: float, design: Design) -> float:
    """The power to tell two rates apart with ``total`` outcomes in both arms together.

    ``Φ((|p_c - p_s| - z_α √(p̄q̄(1/n_c + 1/n_s))) / √(p_c q_c/n_c + p_s q_s/n_s))``, p̄ the rate of both arms.

    Raises:
        ValueError: a rate outside 0..1 or a negative total.
    """
    null, real = _rate_errors(stable, candidate, design)
    _check_total(total)
    if total == 0 or stable == candidate:
        return 0.0 if total == 0 else design.alpha / design.sides
    gap = abs(candidate - stable) * math.sqrt(total / design.effect) - _z(design) * null
    return float(ndtr(gap / real)) if real > 0 else float(gap > 0)


def rate_total(stable: float, candidate: float, design: Design) -> float:
    """The outcomes in both arms together (not rounded) that tell two rates apart; infinite for equal rates.

    Raises:
        ValueError: a rate outside 0..1.
    """
    null, real = _rate_errors(stable, candidate, design)
    if stable == candidate:
        return math.inf
    root = (_z(design) * null + float(ndtri(design.power)) * real) / (candidate - stable)
    return root * root * design.effect


def rate_detectable(stable: float, total: float, design: Design, *, higher: bool = True) -> float | None:
    """The candidate's rate nearest to ``stable`` that is found with the wanted power; None if none is.

    Raises:
        ValueError: a rate outside 0..1 or a negative total.
    """
    return _nearest(lambda rate: rate_power(stable, rate, total, design) - design.power, stable, 1.0 if higher else 0.0)


def mean_power(difference: float, deviation: float, total: float, design: Design) -> float:
    """The power to find a ``difference`` of two means of units with standard ``deviation`` in both arms.

    ``P(T > t_{1-α/sides})`` of the noncentral t with n_c + n_s - 2 degrees of freedom and noncentrality
    ``difference / (deviation √(1/n_c + 1/n_s))``. 0 with fewer than three units, which leave no degree of freedom.

    Raises:
        ValueError: a deviation that is not positive, or a negative total.
    """
    _check_deviation(deviation)
    _check_total(total)
    units = total / design.effect
    freedom = units - 2
    if freedom < 1 - _ROUNDING:
        return 0.0
    off = abs(difference) / deviation * math.sqrt(units * design.share * (1 - design.share))
    critical = float(stdtrit(freedom, 1 - design.alpha / design.sides))
    power = 1 - float(nctdtr(freedom, off, critical))
    return power if math.isfinite(power) else float(ndtr(off - critical))


def mean_total(difference: float, deviation: float, design: Design) -> float:
    """The units in both arms together (not rounded, at least three) that find a ``difference``; infinite for none.

    Raises:
        ValueError: a deviation that is not positive.
    """
    _check_deviation(deviation)
    if difference == 0:
        return math.inf

    def lacking(log_total: float) -> float:
        return mean_power(difference, deviation, math.exp(log_total), design) - design.power

    least = math.log(_LEAST_UNITS * design.effect)
    if lacking(least) >= 0:
        return _LEAST_UNITS * design.effect
    return math.exp(_root(lacking, least, math.log(_MOST_UNITS))) if lacking(math.log(_MOST_UNITS)) > 0 else math.inf


def mean_detectable(deviation: float, total: float, design: Design) -> float | None:
    """The smallest difference that is found with the wanted power; None with too few units for any.

    Raises:
        ValueError: a deviation that is not positive, or a negative total.
    """
    return _nearest(lambda gap: mean_power(gap, deviation, total, design) - design.power, 0.0, 1e3 * deviation)


def _z(design: Design) -> float:
    return float(ndtri(1 - design.alpha / design.sides))


def _rate_errors(stable: float, candidate: float, design: Design) -> tuple[float, float]:
    """The standard errors of the difference per root outcome, under equal and under the given rates."""
    for rate in (stable, candidate):
        if not 0 <= rate <= 1:
            raise ValueError(f"a rate must be in 0..1; got {rate}")
    ours, theirs = design.share, 1 - design.share
    both = ours * candidate + theirs * stable
    real = candidate * (1 - candidate) / ours + stable * (1 - stable) / theirs
    return math.sqrt(both * (1 - both) / (ours * theirs)), math.sqrt(real)


def _nearest(lacking: Callable[[float], float], near: float, far: float) -> float | None:
    """Where ``lacking`` turns positive between ``near`` and ``far``."""
    if near == far or lacking(far) < 0:
        return None
    return _root(lacking, near, far)


def _root(function: Callable[[float], float], one: float, two: float) -> float:
    return cast(float, optimize.brentq(function, one, two, xtol=1e-13))


def _check_total(total: float) -> None:
    if not 0 <= total < math.inf:
        raise ValueError(f"the number of outcomes must not be negative; got {total}")


def _check_deviation(deviation: float) -> None:
    if not 0 < deviation < math.inf:
        raise ValueError(f"a standard deviation must be positive; got {deviation}")
