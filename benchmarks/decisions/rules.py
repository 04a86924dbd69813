"""The rules: Turnout's as calls of `turnout.analysis` on arrays, and the naive ones that others use, for contrast.

Every rule gives booleans over paths × looks: whether it would take the candidate back at that look.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from turnout.analysis.clusters import Sums
from turnout.analysis.confseq import MIN_UNITS, TUNED_FOR, compare, widening
from turnout.analysis.counting import log_components, log_exceedance, log_mixture
from turnout.analysis.evidence import Floats, log_sum
from turnout.analysis.onset import LEAD, log_onset

Flags = NDArray[np.bool_]


def enough(candidate: Sums, stable: Sums) -> Flags:
    """Whether both arms have the 20 units without which nothing is said."""
    return np.minimum(candidate.units, stable.units) >= MIN_UNITS


def first_error(candidate: Floats, stable: Floats, share: float, alpha: float, margin: float = 1.0) -> Flags:
    """`counting`: in which arm does the next user meet a first error?"""
    return log_mixture(log_components(candidate, stable, share, margin, "fail"), "fail") >= -math.log(alpha)


def late_onset(candidate: Floats, stable: Floats, share: float, alpha: float, lead: float = LEAD) -> Flags:
    """`onset`: the same from every minute on. The counts are cumulative over minutes, one look a minute; the planned
    length is the number of minutes."""
    return log_onset_looks(candidate, stable, share, lead) >= -math.log(alpha)


def log_onset_looks(candidate: Floats, stable: Floats, share: float, lead: float) -> Floats:
    """`onset.log_onset` at every look. A start after the look has no counts, e = 1: as the weight not yet released."""
    planned = candidate.shape[-1]
    since = log_mixture(log_components(_since(candidate), _since(stable), share, 1.0, "fail"), "fail")
    return log_onset(since, planned, lead)


def even_bets(candidate: Floats, stable: Floats, share: float, alpha: float) -> Flags:
    """`late_onset` with half of the weight at the start and all rate ratios alike, as the earlier study had them."""
    parts = log_components(_since(candidate), _since(stable), share, 1.0, "fail")
    since = log_sum(parts) - math.log(parts.shape[-1])
    return log_onset(since, candidate.shape[-1], 0.5) >= -math.log(alpha)


def exceedance(candidate: Sums, stable: Sums, alpha: float) -> Flags:
    """`counting`: outcomes beyond a frozen quantile of stable, divided by the design effect."""
    return (log_exceedance(candidate, stable, "fail") >= -math.log(alpha)) & enough(candidate, stable)


def means(candidate: Sums, stable: Sums, alpha: float, *, worse: int, tuned_for: float = TUNED_FOR) -> Flags:
    """`confseq`: the difference of means on the worse side; ``worse`` is 1 for a metric of which more is worse, "
    "else -1."""
    gap, half, usable = _sequence(candidate, stable, alpha, worse, tuned_for)
    return usable & (gap > half)


def means_within(
    candidate: Sums, stable: Sums, alpha: float, *, worse: int, margin: float, tuned_for: float = TUNED_FOR
) -> Flags:
    """`confseq`: the difference of means worse by less than ``margin``, a pass."""
    gap, half, usable = _sequence(candidate, stable, alpha, worse, tuned_for)
    return usable & (gap + half < margin)


def naive_means(candidate: Sums, stable: Sums, alpha: float, *, worse: int, at_least: float = 30) -> Flags:
    """A plain one-sided z test per request, asked again at every look once both arms have ``at_least`` requests."""
    gap = worse * (_mean(candidate) - _mean(stable))
    noise = np.sqrt(_noise(candidate) + _noise(stable))
    return (gap > _z(alpha) * noise) & (np.minimum(candidate.samples, stable.samples) >= at_least)


def naive_rates(candidate: Sums, stable: Sums, alpha: float, at_least: float = 30) -> Flags:
    """The same of two rates, with the pooled variance."""
    return naive_z(candidate, stable, at_least) > _z(alpha)


def naive_z(candidate: Sums, stable: Sums, at_least: float = 30) -> Floats:
    """The pooled z of two rates per request; -inf below ``at_least`` requests or without an event."""
    n, m = np.maximum(candidate.samples, 1), np.maximum(stable.samples, 1)
    rate = (candidate.total + stable.total) / (n + m)
    noise = np.sqrt(rate * (1 - rate) * (1 / n + 1 / m))
    usable = (noise > 0) & (np.minimum(candidate.samples, stable.samples) >= at_least)
    return np.where(usable, (candidate.total / n - stable.total / m) / np.where(noise > 0, noise, 1.0), -np.inf)


def _sequence(
    candidate: Sums, stable: Sums, alpha: float, worse: int, tuned_for: float
) -> tuple[Floats, Floats, Flags]:
    found = compare(candidate, stable)
    usable = enough(candidate, stable) & np.isfinite(found.se)
    half = widening(found.effective_units, alpha, tuned_for) * np.where(usable, found.se, 1.0)
    return worse * found.value, half, usable


def _since(counts: Floats) -> Floats:
    """Looks × starts on the last two axes: what came from the start of a minute to the look, 0 before it."""
    before = np.concatenate((np.zeros((*counts.shape[:-1], 1)), counts[..., :-1]), axis=-1)
    return np.asarray(np.maximum(counts[..., :, np.newaxis] - before[..., np.newaxis, :], 0.0))


def _mean(sums: Sums) -> Floats:
    return sums.total / np.maximum(sums.samples, 1)


def _noise(sums: Sums) -> Floats:
    n = np.maximum(sums.samples, 1)
    return np.maximum(sums.squares / n - _mean(sums) ** 2, 0.0) / n


def _z(alpha: float) -> float:
    return float(-ndtri(alpha))
