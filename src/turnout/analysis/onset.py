"""Trouble that begins later: a mixture of e-processes over the minute at which it may have begun.

A cumulative test slows down with the age of a stage, because a good past outweighs a bad present. A test that
starts at minute k does not know the past; a mixture over k, with weights fixed beforehand, is again an e-process.
(J. Shin, A. Ramdas & A. Rinaldo, "E-detectors", 2022, arXiv 2203.03532, section on mixtures; the recurrence
``S_k = (S_{k-1} + w_k)·L_k`` of one component is the sum over starts of ``w · Π L`` that is computed here.)

Three quarters of the weight lie on the start of the stage, so that trouble from the start costs ln 4/3 at most; the
last quarter is spread over the minutes of the planned length (ADR 0008). Weight of minutes that have not come yet
counts as e = 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import betainc, expit, logit

from turnout.analysis.counting import log_components, log_mixture
from turnout.analysis.eprocess import log_evidence, prior_of
from turnout.analysis.evidence import EValue, Floats, Side, log_sum, silent

LEAD = 0.75
"""The weight of the stage's start beyond its even share."""

_OFFSETS = np.geomspace(0.01, 10.0, 32)
"""Distances of the alternative rates from the limit, in log odds: 25 % apart, which costs 1.4 % of a log e at most."""


def since_each(per_minute: Floats) -> Floats:
    """For every minute of the last axis the sum from it to the end."""
    return np.flip(np.cumsum(np.flip(per_minute, axis=-1), axis=-1), axis=-1)


def start_weights(minutes: int, planned: int, lead: float = LEAD) -> Floats:
    """The weights of the first ``minutes`` starts and, last, of all later ones together; they sum to 1.

    ``lead`` on minute 0 and the rest evenly on ``planned`` minutes from it on.

    Raises:
        ValueError: ``planned`` is below 1 or ``lead`` not in 0..1.
    """
    if planned < 1 or not 0 <= lead <= 1:
        raise ValueError(f"planned must be at least one minute and lead in 0..1; got {planned} and {lead}")
    weights = np.zeros(minutes + 1)
    released = min(minutes, planned)
    weights[:released] = (1 - lead) / planned
    weights[-1] = (1 - lead) * (planned - released) / planned
    weights[0] += lead
    return weights


def log_onset(log_e_since: Floats, planned: int, lead: float = LEAD) -> Floats:
    """The logarithm of the mixture, from those of the e-values since each minute (the last axis, in order).

    Raises:
        ValueError: as `start_weights`.
    """
    with np.errstate(divide="ignore"):
        weights = np.log(start_weights(log_e_since.shape[-1], planned, lead))
    later = np.zeros((*log_e_since.shape[:-1], 1))
    return log_sum(np.concatenate((log_e_since, later), axis=-1) + weights)


def first_error_onset(
    candidate: Sequence[float] | Floats,
    stable: Sequence[float] | Floats,
    share: float,
    side: Side,
    planned: int,
    margin: float = 1.0,
) -> EValue:
    """`counting.first_error_evidence` with a late onset: units whose first error came in each minute of the stage.

    ``planned`` is the stage's planned length in minutes.

    Raises:
        ValueError: the arrays differ in length, or ``margin`` or ``planned`` is not positive.
    """
    ours, theirs = _increments(candidate, stable)
    if not 0 < share < 1:
        return silent("no_split")
    if ours.sum() + theirs.sum() == 0:
        return silent("no_data")
    since = log_mixture(log_components(since_each(ours), since_each(theirs), share, margin, side), side)
    return EValue(float(log_onset(since, planned)))


def rate_onset(
    bad: Sequence[float] | Floats, total: Sequence[float] | Floats, limit: float, side: Side, planned: int
) -> EValue:
    """`eprocess.evidence` with a late onset: bad outcomes and all outcomes in each minute of the stage.

    From the start of the stage it is the very beta-binomial e-process; from later minutes on its prior is put on
    32 rates, which needs no incomplete beta function per minute.

    Raises:
        ValueError: the arrays differ in length, counts contradict each other, or ``planned`` is not positive.
    """
    worse, all_of = _increments(bad, total)
    if np.any(worse > all_of):
        raise ValueError("there are minutes with more bad outcomes than outcomes")
    if all_of.sum() == 0:
        return silent("no_data")
    worse, all_of = since_each(worse), since_each(all_of)
    since = log_grid_evidence(worse, all_of, limit, side)
    since[0] = log_evidence(worse[0], all_of[0], limit, side)
    return EValue(float(log_onset(since, planned)))


def log_grid_evidence(bad: Floats, total: Floats, limit: float, side: Side) -> Floats:
    """`eprocess.log_evidence` with the prior gathered on 32 rates; as valid, and close to it at any count."""
    rate = min(max(limit, 1e-9), 1 - 1e-9)
    rates, weights = _grid(rate, side)
    gain, loss = np.log(rates / rate), np.log((1 - rates) / (1 - rate))
    return log_sum(bad[..., np.newaxis] * gain + (total - bad)[..., np.newaxis] * loss + weights)


def _grid(rate: float, side: Side) -> tuple[Floats, Floats]:
    """The rates and the logarithms of their weights: the prior's mass between the middles, summing to 1."""
    sign = 1.0 if side == "fail" else -1.0
    centre, prior = float(logit(rate)), prior_of(rate)
    middles = np.sqrt(_OFFSETS[1:] * _OFFSETS[:-1])
    ends: Floats = expit(centre + sign * np.concatenate(([0.0], middles, [math.inf])))
    mass: Floats = np.abs(np.diff(betainc(prior.a, prior.b, ends)))
    rates: Floats = expit(centre + sign * _OFFSETS)
    with np.errstate(divide="ignore"):
        return rates, np.log(mass / mass.sum())


def _increments(one: Sequence[float] | Floats, two: Sequence[float] | Floats) -> tuple[Floats, Floats]:
    first, second = np.asarray(one, dtype=np.float64), np.asarray(two, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"there must be one number a minute in both; got {first.shape} and {second.shape}")
    if not np.all((first >= 0) & (second >= 0) & np.isfinite(first) & np.isfinite(second)):
        raise ValueError("counts by minute must be finite and not negative")
    return first, second
