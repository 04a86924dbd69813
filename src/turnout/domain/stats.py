"""Sufficient statistics of one arm and metric: what is kept of the single values, additive over batches."""

from __future__ import annotations

from turnout.domain.model import Frozen

CLUSTERS = 1024
"""Units are summed in this many clusters, drawn by a hash of their own; see `turnout.domain.bucketing.cluster`."""


class ArmStats(Frozen):
    """What is kept of the values of one metric on one arm.

    ``units`` counts distinct units with a value, ``samples`` their values. Units are summed by cluster: cluster i has
    ``n_i`` values that sum to ``y_i``; ``total`` is Σ y_i, ``squares`` the sum of the squared single values, ``nn``
    Σ n_i², ``yy`` Σ y_i², ``ny`` Σ n_i·y_i, ``clusters`` how many clusters have a value (0 stands for ``units``: every
    unit its own). ``hits`` counts units that had at least one value above 0 (kept for the error rate). From these
    follow the ratio mean, its variance by request and its variance by unit.
    """

    units: int = 0
    samples: int = 0
    total: float = 0.0
    squares: float = 0.0
    nn: float = 0.0
    yy: float = 0.0
    ny: float = 0.0
    clusters: int = 0
    hits: int = 0


class Minute(Frozen):
    """What one minute added to one arm and metric. ``minute`` counts from the epoch.

    ``units`` counts units that were first seen on this arm in this minute (with whatever metric), ``hits`` those whose
    first value above 0 fell into it (kept for the error rate). An earlier outcome that arrives late moves its unit to
    its own minute.
    """

    minute: int
    samples: int = 0
    total: float = 0.0
    squares: float = 0.0
    units: int = 0
    hits: int = 0
