"""Comparing means, valid however often one looks: asymptotic confidence sequences between units.

I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy & A. Ramdas, "Time-uniform central limit theory and asymptotic
confidence sequences", Ann. Stat. 52 (2024) 2613-2640 (arXiv 2103.06476), the one-sided sequence: half-width
``se·√(2(t+1)/t · ln(1 + √(t+1)/(2α)))`` with t = ρ²n_eff, ρ² tuned to be narrowest at N* effective units.

The standard error counts units and is never below that of the pooled arms (see `clusters.pooled_variance`): with an
arm's own variance alone, skewed costs gave 11–56 % false "cheaper" at a nominal 5 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from turnout.analysis.clusters import Sums, mean, pooled_variance, ratio, spread_about, sums_of, unit_squares, variance
from turnout.analysis.evidence import Floats, Muted
from turnout.domain.stats import ArmStats

MIN_UNITS = 20
"""Units per arm below which nothing is said."""

TUNED_FOR = 100.0
"""Effective units at which the sequence is narrowest, for units that return; 250 suits one outcome a unit."""

_SURE = 700.0

_OWN, _STABLE = 2.0, 4.0
"""How many times an arm's own standard error is believed at most, of what its own and stable's mean make of it."""

_FURTHEST = 1e6


@dataclass(frozen=True, slots=True)
class ConfidenceSequence:
    """``low`` .. ``high`` around ``estimate``, each end at its own one-sided error rate over all looks together.

    ``se`` is the standard error between units, ``effective_units`` what the width was computed for. ``muted`` says
    why there are no bounds; they are infinite then, and ``estimate`` is None without data.
    """

    estimate: float | None
    low: float
    high: float
    se: float
    effective_units: float
    muted: Muted | None = None


@dataclass(frozen=True, slots=True)
class Estimates:
    """What a sequence is made of, as arrays: the estimate, its standard error, the effective number of units."""

    value: Floats
    se: Floats
    effective_units: Floats


def tuned(alpha: float, tuned_for: float = TUNED_FOR) -> float:
    """ρ²: ``(-2 ln 2α + ln(1 - 2 ln 2α))/N*``, which makes the sequence nearly narrowest at N* = ``tuned_for``.

    Howard & al. (2021) 3.5; Waudby-Smith & al. (2024) appendix B.2, at the two-sided level 2α.

    Raises:
        ValueError: ``alpha`` is not between 0 and 0.5, or ``tuned_for`` is not positive.
    """
    if not 0 < alpha < 0.5:
        raise ValueError(f"a one-sided alpha must be between 0 and 0.5, such as 0.05; got {alpha}")
    if not 0 < tuned_for < math.inf:
        raise ValueError(f"the number of units to tune for must be positive; got {tuned_for}")
    level = -2 * math.log(2 * alpha)
    return (level + math.log1p(level)) / tuned_for


def widening(effective_units: Floats, alpha: float, tuned_for: float = TUNED_FOR) -> Floats:
    """How many standard errors wide the one-sided sequence is; infinite for no units.

    Raises:
        ValueError: as `tuned`.
    """
    t = np.asarray(effective_units * tuned(alpha, tuned_for))
    with np.errstate(over="ignore"):
        inner = np.log1p(np.sqrt(t + 1) / (2 * alpha))
        return np.sqrt(ratio(2 * (t + 1) * inner, t, math.inf))


def anytime_p(z: float, effective_units: float, alpha: float, tuned_for: float = TUNED_FOR) -> float:
    """The one-sided anytime-valid p-value of an estimate ``z`` standard errors on the bad side.

    `widening` solved for α at the ρ² of ``alpha``: ``√(t+1)/(2 (exp(z²t/(2(t+1))) - 1))``, at most 1. It is below
    ``alpha`` exactly when the sequence at ``alpha`` excludes the null.

    Raises:
        ValueError: as `tuned`.
    """
    t = effective_units * tuned(alpha, tuned_for)
    exponent = max(z, 0.0) ** 2 * t / (2 * (t + 1))
    if exponent > _SURE:
        return 0.0
    odds = 2 * math.expm1(exponent) / math.sqrt(t + 1)
    return min(1.0, 1 / odds) if odds > 0 else 1.0


def compare(candidate: Sums, stable: Sums) -> Estimates:
    """The difference of two ratio means with the larger of both standard errors; n_eff = G_c·G_s/(G_c + G_s)."""
    between = np.maximum(variance(candidate) + variance(stable), pooled_variance(candidate, stable))
    units = ratio(candidate.units * stable.units, candidate.units + stable.units)
    return Estimates(mean(candidate) - mean(stable), np.sqrt(between), units)


def hold(own: Sums, threshold: float, stable: Sums | None = None, offset: float = 0.0) -> Estimates:
    """A ratio mean with the largest standard error that its being exactly ``threshold`` would explain; n_eff = G.

    Were the threshold the mean, Σ(y_i - threshold·n_i)²/N² would be the variance: the one-armed counterpart of
    pooling, so that units which happen to agree are no certainty. With skewed values that is not enough: a mean that
    happens to be low comes with a spread that happens to be low. Spreads of costs and durations go with the mean, so
    that the threshold explains threshold/mean times the arm's own standard error, of which at most twice is believed.
    The spread of ``stable``, shared out by this arm's Σn_i²/N², was not drawn with this mean; it counts as it is, and
    stretched by threshold/mean of stable up to four times the arm's own. The bounds keep a mean near 0, of values of
    both signs, from being held to be uncertain for ever. `docs/decisions.md` tells what each of these is worth.

    Where values and threshold are ``offset`` less than recorded, to be summed with less rounding, it is the recorded
    ones whose proportions count.
    """
    supposed = ratio(spread_about(own, threshold), own.samples**2, math.inf)
    alone = np.maximum(variance(own), supposed)
    between = alone * np.minimum(_stretch(mean(own) + offset, threshold + offset), _OWN**2)
    if stable is not None:
        each = ratio(spread_about(stable, mean(stable)), unit_squares(stable))
        borrowed = each * ratio(unit_squares(own), own.samples**2)
        scaled = np.minimum(borrowed * _stretch(mean(stable) + offset, threshold + offset), _STABLE**2 * alone)
        between = np.maximum(between, np.maximum(borrowed, scaled))
    return Estimates(mean(own), np.sqrt(between), own.units)


def _stretch(centre: Floats, threshold: float) -> Floats:
    """(threshold/centre)² where that is above 1 and both have the same sign, else 1."""
    towards = ratio(np.asarray(abs(threshold)), np.where(centre * threshold > 0, np.abs(centre), 0.0), 1.0)
    return np.clip(towards, 1.0, _FURTHEST) ** 2


def difference(
    candidate: ArmStats, stable: ArmStats, alpha_low: float, alpha_high: float, tuned_for: float = TUNED_FOR
) -> ConfidenceSequence:
    """The confidence sequence of candidate - stable, in the metric's unit.

    ``alpha_low`` and ``alpha_high`` are the one-sided error rates of its ends. Nothing is said below 20 units in
    either arm. Two arms without any spread have no difference; with one, nothing is said.

    Raises:
        ValueError: as `tuned`.
    """
    if candidate.samples <= 0 or stable.samples <= 0:
        return _muted(None, "no_data")
    found = compare(sums_of(candidate), sums_of(stable))
    few = min(candidate.units, stable.units) < MIN_UNITS
    return _sequence(found, float(found.value), (alpha_low, alpha_high), tuned_for, few=few)


def level(  # noqa: PLR0913 - two ends, two arms, and how the values were summed
    own: ArmStats,
    threshold: float,
    alpha_low: float,
    alpha_high: float,
    tuned_for: float = TUNED_FOR,
    stable: ArmStats | None = None,
    offset: float = 0.0,
) -> ConfidenceSequence:
    """The confidence sequence of one arm's ratio mean, to be held against ``threshold`` alone; see `hold`.

    Raises:
        ValueError: as `tuned`.
    """
    if own.samples <= 0:
        return _muted(None, "no_data")
    found = hold(sums_of(own), threshold, None if stable is None else sums_of(stable), offset)
    gap = float(found.value) - threshold
    return _sequence(found, gap, (alpha_low, alpha_high), tuned_for, few=own.units < MIN_UNITS)


def _sequence(
    found: Estimates, gap: float, alphas: tuple[float, float], tuned_for: float, *, few: bool
) -> ConfidenceSequence:
    estimate, se, units = float(found.value), float(found.se), float(found.effective_units)
    below, above = (float(widening(found.effective_units, alpha, tuned_for)) for alpha in alphas)
    if few:
        return _muted(estimate, "few_units", se, units)
    if not math.isfinite(se) or (se == 0 and gap != 0):
        return _muted(estimate, "no_spread", se, units)
    return ConfidenceSequence(estimate, estimate - below * se, estimate + above * se, se, units)


def _muted(estimate: float | None, why: Muted, se: float = math.inf, units: float = 0.0) -> ConfidenceSequence:
    return ConfidenceSequence(estimate, -math.inf, math.inf, se, units, why)
