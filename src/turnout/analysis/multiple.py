"""Several comparisons at once: several arms against one control, several metrics, several segments.

Success metrics of an experiment: Holm. Exploration: Benjamini–Hochberg. Guardrails need no correction (each must
hold: intersection-union). Several arms against one control: Dunnett, which knows that they share it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy import optimize
from scipy.special import chdtri, gammaln, ndtr

from turnout.analysis.abtest import Comparison
from turnout.analysis.clusters import mean, spread_about, sums_of, unit_squares
from turnout.analysis.evidence import Floats
from turnout.domain.stats import ArmStats

_NODES = 128
_WIDEST = 9.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that control the probability of any false finding, under any dependence.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6 (1979) 65-70.

    Raises:
        ValueError: a p-value outside 0..1.
    """
    order = _ordered(p_values)
    adjusted, highest = [0.0] * len(order), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that control the share of false findings among the findings (independent or positive tests).

    Y. Benjamini & Y. Hochberg, "Controlling the false discovery rate", JRSS B 57 (1995) 289-300.

    Raises:
        ValueError: a p-value outside 0..1.
    """
    order = _ordered(p_values)
    adjusted, lowest = [0.0] * len(order), 1.0
    for rank in range(len(order), 0, -1):
        lowest = min(lowest, p_values[order[rank - 1]] * len(order) / rank)
        adjusted[order[rank - 1]] = lowest
    return adjusted


def dunnett(arms: Sequence[ArmStats], control: ArmStats, confidence: float) -> list[Comparison]:
    """Every arm against ``control``: simultaneous intervals and adjusted two-sided p-values.

    C. W. Dunnett, "A multiple comparison procedure for comparing several treatments with a control", JASA 50 (1955)
    1096-1121, one common variance, Σ G - arms - 1 degrees of freedom. With several outcomes a unit the common
    spread is that of Σ(y_i - r n_i)² per Σn_i² and an arm's variance its share by Σn_i²/N². An arm without data has
    no estimate; with too few units in all, or no spread anywhere, nothing is bounded.
    """
    kept = [arm for arm in arms if arm.samples > 0]
    if control.samples <= 0 or not kept:
        return [Comparison(None, -math.inf, math.inf, 0.0, 1.0, 0.0) for _ in arms]
    freedom = sum(arm.units - 1 for arm in (*kept, control))
    weights = [_weight(arm) for arm in (*kept, control)]
    common = _common_variance((*kept, control), freedom)
    family = _Family(tuple(math.sqrt(weights[-1] / (weight + weights[-1])) for weight in weights[:-1]), freedom)
    critical = family.critical(confidence) if freedom > 0 and 0 < common < math.inf else math.inf
    return [_against(arm, control, common, family, critical) for arm in arms]


@dataclass(frozen=True, slots=True)
class _Family:
    """Joint distribution of t statistics that share a control: correlations λ_iλ_j and one estimate of variance."""

    loadings: tuple[float, ...]
    freedom: int

    def beyond(self, t: float) -> float:
        """P(max |T_i| > t): the control's error and the common deviation are integrated out, the rest is independent.

        Dunnett (1955), formula (3)."""
        error, error_weight = _normal_nodes()
        deviation, deviation_weight = _chi_nodes(self.freedom)
        reach = t * deviation[:, np.newaxis]
        within = np.ones((deviation.size, error.size))
        for loading in self.loadings:
            rest = math.sqrt(1 - loading * loading)
            within = within * (ndtr((loading * error + reach) / rest) - ndtr((loading * error - reach) / rest))
        return min(1.0, max(0.0, 1 - float(deviation_weight @ within @ error_weight)))

    def critical(self, confidence: float) -> float:
        """The t that is exceeded anywhere with probability 1 - ``confidence``."""

        def excess(t: float) -> float:
            return self.beyond(t) - (1 - confidence)

        return cast(float, optimize.brentq(excess, 0.0, 1e4, xtol=1e-12))


def _against(arm: ArmStats, control: ArmStats, common: float, family: _Family, critical: float) -> Comparison:
    if arm.samples <= 0:
        return Comparison(None, -math.inf, math.inf, 0.0, 1.0, 0.0)
    estimate = arm.total / arm.samples - control.total / control.samples
    if not math.isfinite(critical):
        return Comparison(estimate, -math.inf, math.inf, 0.0, 1.0, 0.0)
    se = math.sqrt(common * (_weight(arm) + _weight(control)))
    t = estimate / se
    half = critical * se
    return Comparison(estimate, estimate - half, estimate + half, t, family.beyond(abs(t)), float(family.freedom))


def _common_variance(arms: Sequence[ArmStats], freedom: int) -> float:
    sums = [sums_of(arm) for arm in arms]
    spread = sum(float(spread_about(one, mean(one))) for one in sums)
    units = sum(arm.units for arm in arms)
    squares = sum(float(unit_squares(one)) for one in sums)
    return spread / squares * units / freedom if freedom > 0 else math.inf


def _weight(arm: ArmStats) -> float:
    return float(unit_squares(sums_of(arm))) / arm.samples**2


def _normal_nodes() -> tuple[Floats, Floats]:
    points, weights = np.polynomial.legendre.leggauss(_NODES)
    nodes = points * _WIDEST
    return nodes, weights * _WIDEST * np.exp(-nodes * nodes / 2) / math.sqrt(2 * math.pi)


def _chi_nodes(freedom: int) -> tuple[Floats, Floats]:
    """Nodes and weights for the distribution of s/σ, √(χ²/freedom)."""
    low, high = (math.sqrt(float(chdtri(freedom, tail)) / freedom) for tail in (1 - 1e-14, 1e-14))
    points, weights = np.polynomial.legendre.leggauss(_NODES)
    nodes = (high - low) / 2 * points + (high + low) / 2
    log_density = (freedom - 1) * np.log(nodes) - freedom * (nodes * nodes - 1) / 2
    scale = math.log(2) + freedom / 2 * math.log(freedom / 2) - float(gammaln(freedom / 2)) - freedom / 2
    return nodes, weights * (high - low) / 2 * np.exp(log_density + scale)


def _ordered(p_values: Sequence[float]) -> list[int]:
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError(f"p-values must be in 0..1; got {list(p_values)}")
    return sorted(range(len(p_values)), key=lambda index: p_values[index])
