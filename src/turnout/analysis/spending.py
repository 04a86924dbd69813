"""Planned looks at an A/B test: boundaries that spend the error rate as information comes in.

K. K. G. Lan & D. L. DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70 (1983) 659-663;
computed by the recursive integration of P. Armitage, C. K. McPherson & B. C. Rowe, "Repeated significance tests on
accumulating data", JRSS A 132 (1969) 235-244 (C. Jennison & B. W. Turnbull, "Group Sequential Methods", 2000, ch. 19).
The information fraction is that of the units, not of the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast

import numpy as np
from scipy import optimize
from scipy.special import ndtr, ndtri

from turnout.analysis.evidence import Floats, check_alpha

Spending = Literal["obrien_fleming", "pocock"]
"""Spends next to nothing early (O'Brien & Fleming type), or about as much at every look (Pocock type)."""

_WIDEST = 8.5
"""Beyond so many standard errors a normal variable has a probability below 1e-16."""

_NEGLIGIBLE = 1e-13
_NODES = (96, 1024)


@dataclass(frozen=True, slots=True)
class Look:
    """At ``fraction`` of the information, ``spent`` of the error rate in all, stop when z is ``boundary`` or more
    (with two sides, |z|). An infinite boundary: too early to stop, what could be spent is kept for later."""

    fraction: float
    spent: float
    boundary: float


def spent_by(fraction: float, alpha: float, spending: Spending) -> float:
    """The one-sided error rate spent when ``fraction`` (0..1) of the information is in.

    Lan & DeMets (1983): ``2 - 2Φ(z_{1-α/2}/√t)`` and ``α ln(1 + (e-1)t)``.

    Raises:
        ValueError: ``alpha`` is not between 0 and 1, or ``fraction`` is negative.
    """
    check_alpha(alpha)
    if not fraction >= 0:
        raise ValueError(f"an information fraction must not be negative; got {fraction}")
    t = min(fraction, 1.0)
    if t == 0:
        return 0.0
    if spending == "pocock":
        return alpha * math.log1p((math.e - 1) * t)
    return 2 * float(ndtr(ndtri(alpha / 2) / math.sqrt(t)))


def boundaries(
    fractions: Sequence[float], alpha: float, spending: Spending, sides: Literal[1, 2] = 1, *, ends: bool = False
) -> tuple[Look, ...]:
    """The looks at ``fractions`` of the planned information, in order; ``alpha`` is that of all sides together.

    With two sides each spends alpha/2, and stopping on either ends the test. A fraction above 1 (more units than
    planned) spends the rest, and so does the last one of a test that ``ends`` there with fewer units.

    Raises:
        ValueError: fractions that do not increase from above 0, or an alpha that is none.
    """
    check_alpha(alpha)
    steps = [0.0, *fractions]
    if not all(one < two < math.inf for one, two in pairwise(steps)):
        raise ValueError(f"information fractions must increase from above 0, such as 0.25, 0.5, 1; got {fractions}")
    looks: list[Look] = []
    path = _Path(two_sided=sides == 2)
    for number, fraction in enumerate(fractions, 1):
        whole = ends and number == len(fractions)
        spent = alpha if whole else sides * spent_by(fraction, alpha / sides, spending)
        looks.append(Look(fraction, spent, path.look(fraction, spent)))
    return tuple(looks)


class _Path:
    """The density of z over the paths that have not stopped, look by look."""

    def __init__(self, *, two_sided: bool) -> None:
        self._two_sided = two_sided
        self._fraction = 0.0
        self._stopped = 0.0
        self._nodes: Floats = np.zeros(1)
        self._mass: Floats = np.ones(1)

    def look(self, fraction: float, spent: float) -> float:
        """The boundary at ``fraction`` that brings the probability to have stopped to ``spent``; go on beyond it."""
        wanted = spent - self._stopped
        boundary = math.inf
        if wanted > _NEGLIGIBLE:
            boundary = _root(lambda z: self._crossing(z, fraction) - wanted)
            self._stopped = spent
        if self._stopped > 0:
            self._go_on(fraction, boundary)
        return boundary

    def _crossing(self, boundary: float, fraction: float) -> float:
        centre, width = self._step(fraction)
        above: Floats = ndtr((centre - boundary) / width)
        if self._two_sided:
            above = above + ndtr((-boundary - centre) / width)
        return float(self._mass @ above)

    def _go_on(self, fraction: float, boundary: float) -> None:
        centre, width = self._step(fraction)
        high = min(boundary, _WIDEST)
        low = -high if self._two_sided else -_WIDEST
        number = int(min(max((high - low) / width * 2, _NODES[0]), _NODES[1]))
        points, weights = np.polynomial.legendre.leggauss(number)
        nodes = (high - low) / 2 * points + (high + low) / 2
        off = (nodes[:, np.newaxis] - centre) / width
        density = np.exp(-off * off / 2) @ self._mass / (width * math.sqrt(2 * math.pi))
        self._nodes, self._mass, self._fraction = nodes, density * weights * (high - low) / 2, fraction

    def _step(self, fraction: float) -> tuple[Floats, float]:
        """Given z at the look before, z at ``fraction`` is normal with this mean and standard deviation."""
        return self._nodes * math.sqrt(self._fraction / fraction), math.sqrt(1 - self._fraction / fraction)


def _root(function: Callable[[float], float]) -> float:
    return cast(float, optimize.brentq(function, -_WIDEST, _WIDEST, xtol=1e-12))
