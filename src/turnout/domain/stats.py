"""Sufficient statistics of one arm and metric, additive over units."""

from __future__ import annotations

from turnout.domain.model import Frozen


class ArmStats(Frozen):
    """What is kept of the values of one metric on one arm.

    Unit i sent ``n_i`` values that sum to ``y_i``. ``units`` is the number of units, ``samples`` Σ n_i,
    ``total`` Σ y_i, ``squares`` the sum of the squared single values, ``nn`` Σ n_i², ``yy`` Σ y_i², ``ny`` Σ n_i·y_i.
    From these follow the ratio mean, its variance by request and its variance by unit (clusters).
    """

    units: int = 0
    samples: int = 0
    total: float = 0.0
    squares: float = 0.0
    nn: float = 0.0
    yy: float = 0.0
    ny: float = 0.0
