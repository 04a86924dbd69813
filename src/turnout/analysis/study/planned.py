"""What was planned: looks and their boundaries, and what so many units can find."""

from __future__ import annotations

import math

from scipy.special import ndtri

from turnout.analysis.clusters import pooled_variance, sums_of
from turnout.analysis.design import Design, mean_detectable, mean_power, rate_detectable, rate_power
from turnout.analysis.spending import boundaries
from turnout.analysis.study.pairs import Pair, closed
from turnout.analysis.study.question import Question
from turnout.analysis.study.result import Crossing, Estimate, Plan, PlannedLook

_EARLY = 1e-9


def plan_of(question: Question, units: int, comparisons: int) -> Plan | None:
    """The boundaries of the planned looks, and that of this one with ``units`` in all arms; None without looks.

    The error rate is split evenly over ``comparisons`` unless nothing is to be corrected. This look counts as the last
    planned one that has been reached, at the fraction that is really in.
    """
    if not question.looks:
        return None
    alpha = question.alpha / (1 if question.correction == "none" else max(1, comparisons))
    fraction = units / question.planned_units
    reached = [look for look in question.looks if look <= fraction + _EARLY]
    boundary = None
    if reached:
        boundary = closed(
            boundaries([*reached[:-1], max(fraction, reached[-1])], alpha, question.spending, 2)[-1].boundary
        )
    return Plan(
        spending=question.spending,
        planned_units=question.planned_units,
        alpha=alpha,
        looks=tuple(
            PlannedLook(fraction=look.fraction, spent=look.spent, boundary=closed(look.boundary))
            for look in boundaries(question.looks, alpha, question.spending, 2)
        ),
        fraction=fraction,
        due=bool(reached),
        boundary=boundary,
    )


def crossing(found: Estimate, plan: Plan) -> Crossing:
    """The comparison's z, from its two-sided p-value, against the boundary."""
    p_value = found.p_value if found.p_value is not None else 1.0
    z = -float(ndtri(max(p_value, 1e-300) / 2)) if p_value < 1 else 0.0
    z = math.copysign(z, found.estimate or 0.0)
    crossed = plan.due and plan.boundary is not None and abs(z) >= plan.boundary
    return Crossing(z=z, boundary=plan.boundary, crossed=crossed)


def power(pair: Pair, question: Question, margin: float | None, left: float = 1.0) -> tuple[float | None, float | None]:
    """The smallest difference found with the wanted power, and the power to show a margin kept.

    ``left`` is the share of the variance that a covariate leaves. None where there is too little to tell.
    """
    ours, theirs = pair.arm.stats, pair.control.stats
    if min(ours.units, theirs.units) < 2:
        return None, None
    if pair.metric.kind == "mean":
        return _of_means(pair, question, margin, left)
    share = ours.samples / (ours.samples + theirs.samples)
    design = Design(share=share, alpha=question.alpha, power=question.power, effect=pair.effect)
    rate, total = theirs.total / theirs.samples, float(ours.samples + theirs.samples)
    nearest = rate_detectable(rate, total, design, higher=pair.bad_sign > 0)
    away = None if margin is None else rate + pair.bad_sign * margin
    at_margin = rate_power(rate, away, total, design) if away is not None and 0 <= away <= 1 else None
    return None if nearest is None else abs(nearest - rate), at_margin


def _of_means(pair: Pair, question: Question, margin: float | None, left: float) -> tuple[float | None, float | None]:
    ours, theirs = pair.arm.unit.size, pair.control.unit.size
    between = float(pooled_variance(sums_of(pair.arm.stats), sums_of(pair.control.stats))) * left
    if not 0 < between < math.inf:
        return None, None
    deviation = math.sqrt(between / (1 / ours + 1 / theirs))
    design = Design(share=ours / (ours + theirs), alpha=question.alpha, power=question.power)
    at_margin = None if margin is None else mean_power(margin, deviation, float(ours + theirs), design)
    return mean_detectable(deviation, float(ours + theirs), design), at_margin
