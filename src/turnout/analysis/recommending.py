"""What a test comes to: deploy an arm, keep the control, or continue. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import ndtr, ndtri

from turnout.analysis import wording
from turnout.analysis.wording import Scale
from turnout.domain.experiments import ArmResult, Experiment, MetricResult, Recommendation
from turnout.domain.metrics import metric_of


@dataclass(frozen=True, slots=True)
class _Standing:
    """Where an arm stands: ``wins`` in a metric and is held back by none, ``harms``, or is ``open`` in ``doubts``."""

    arm: str
    gains: tuple[MetricResult, ...]
    harms: tuple[MetricResult, ...]
    doubts: tuple[MetricResult, ...]

    @property
    def wins(self) -> bool:
        return bool(self.gains) and not self.harms and not self.doubts


def recommended(
    experiment: Experiment, metrics: Sequence[MetricResult], *, complete: bool, over: bool
) -> Recommendation | None:
    """What ``metrics`` (judged at a look) recommend; None to go on to the next look.

    ``complete``: the sample is in; ``over``: the time is up. An arm wins that is better in a metric, worse in none, and
    shown to be not worse where that was asked for; of several the one with the largest gain in the first metric. The
    control is kept when every arm does harm, or when the whole sample shows no gain.
    """
    standings = [_standing(arm, metrics) for arm in experiment.treatments]
    winners = [one for one in standings if one.wins]
    if winners:
        return _deploy(max(winners, key=lambda one: _gain(metrics[_first(experiment)], one.arm)), experiment)
    if all(one.harms for one in standings):
        return _keep_for_harm(standings, experiment)
    if not (complete or over):
        return None
    held_back = [one for one in standings if one.gains and not one.harms]
    if held_back:
        return _continue_for_doubt(held_back[0])
    if complete:
        return _keep_for_no_gain(experiment, metrics, standings)
    return Recommendation(action="continue", reason=_too_few(experiment, metrics))


def undecidable(reason: str) -> Recommendation:
    """The recommendation where the numbers cannot be compared."""
    return Recommendation(action="continue", reason=reason)


def _standing(arm: str, metrics: Sequence[MetricResult]) -> _Standing:
    by_verdict = {one.metric: one.of(arm).verdict for one in metrics}
    return _Standing(
        arm,
        gains=tuple(one for one in metrics if by_verdict[one.metric] == "better"),
        harms=tuple(one for one in metrics if by_verdict[one.metric] == "worse"),
        doubts=tuple(
            one for one in metrics if one.goal == "not_worse" and by_verdict[one.metric] in ("undecided", "no_data")
        ),
    )


def _first(experiment: Experiment) -> int:
    return experiment.metrics.index(experiment.improving[0])


def _gain(result: MetricResult, arm: str) -> float:
    effect = result.of(arm).effect
    return -math.inf if effect is None else effect if result.better == "higher" else -effect


def _deploy(winner: _Standing, experiment: Experiment) -> Recommendation:
    gains = [_compared_text(result, winner.arm, experiment.control) for result in winner.gains]
    p_value = max(result.of(winner.arm).p_corrected or 0.0 for result in winner.gains)
    return Recommendation(action="deploy", winner=winner.arm, reason="; ".join(gains), confidence=_confidence(p_value))


def _keep_for_harm(standings: Sequence[_Standing], experiment: Experiment) -> Recommendation:
    harms = [(result, one.arm) for one in standings for result in one.harms]
    reason = "; ".join(_compared_text(result, arm, experiment.control) for result, arm in harms)
    p_values = [result.of(arm).p_corrected or result.of(arm).p_value or 0.0 for result, arm in harms]
    return Recommendation(action="keep", reason=reason, confidence=_confidence(max(p_values)))


def _continue_for_doubt(one: _Standing) -> Recommendation:
    better = ", ".join(result.metric for result in one.gains)
    open_ = "; ".join(f"{_own_text(result, one.arm)}, {_margin_text(result)}" for result in one.doubts)
    reason = f"{one.arm} is better in {better}, but that it is not worse elsewhere is not shown: {open_}"
    return Recommendation(action="continue", reason=reason)


def _keep_for_no_gain(
    experiment: Experiment, metrics: Sequence[MetricResult], standings: Sequence[_Standing]
) -> Recommendation:
    first = metrics[_first(experiment)]
    arms = [one.arm for one in standings if not one.harms]
    shown = "; ".join(_own_text(first, arm) for arm in arms)
    reason = f"the planned sample shows no improvement over {experiment.control}: {shown}"
    if first.smallest_effect is None:
        return Recommendation(action="keep", reason=reason)
    excluded = min(_without_effect(first, first.of(arm)) for arm in arms)
    least = _scale(first, first.of(arms[0])).limit(first.smallest_effect)
    reason += f"; an improvement of {least} or more is excluded with {excluded * 100:.3g} % confidence"
    return Recommendation(action="keep", reason=reason, confidence=excluded)


def _without_effect(result: MetricResult, one: ArmResult) -> float:
    """The confidence that the effect is smaller than the smallest of interest: one-sided, by the interval's width."""
    if one.effect is None or one.low is None or one.high is None or result.confidence is None:
        return 0.0
    error = (one.high - one.low) / 2 / float(ndtri((1 + result.confidence) / 2))
    sign = 1 if result.better == "higher" else -1
    room = (result.smallest_effect or 0.0) - sign * one.effect
    return float(ndtr(room / error)) if error > 0 else float(room > 0)


def _too_few(experiment: Experiment, metrics: Sequence[MetricResult]) -> str:
    first = metrics[_first(experiment)]
    users = sum(one.users for one in first.arms)
    shown = "; ".join(_own_text(first, arm) for arm in experiment.treatments)
    return f"the time is up with {users} of {experiment.sample} planned users, too few to tell: {shown}"


def _compared_text(result: MetricResult, arm: str, control: str) -> str:
    """``success_rate of lightrag is 3.1 percentage points above perplexity's (95 % interval 1.0–5.2 …, p = 0.002)``."""
    one = result.of(arm)
    if one.effect is None:
        return f"{result.metric} of {arm} has too few users"
    above = "above" if one.effect > 0 else "below"
    shown = _scale(result, one).value(abs(one.effect))
    return f"{result.metric} of {arm} is {shown} {above} that of {control} ({_evidence(result, one)})"


def _own_text(result: MetricResult, arm: str) -> str:
    one = result.of(arm)
    if one.effect is None:
        return f"{result.metric} of {arm} has too few users"
    return f"{result.metric} of {arm} differs by {_scale(result, one).value(one.effect)} ({_evidence(result, one)})"


def _evidence(result: MetricResult, one: ArmResult) -> str:
    scale, parts = _scale(result, one), list[str]()
    if one.low is not None and one.high is not None and result.confidence is not None:
        level = f"{result.confidence * 100:.4g} % interval"
        parts.append(f"{level} {wording.span(scale, one.low, one.high)}")
    p_value = one.p_corrected if one.p_corrected is not None else one.p_value
    if p_value is not None:
        corrected = "corrected " if one.p_corrected is not None and one.p_corrected != one.p_value else ""
        parts.append(f"{corrected}p = {p_value:.2g}" if p_value >= 1e-4 else f"{corrected}p < 0.0001")
    return ", ".join(parts)


def _margin_text(result: MetricResult) -> str:
    scale = Scale(result.kind == "rate", "percentage points" if result.kind == "rate" else _unit(result))
    return f"the margin is {scale.limit(result.margin or 0.0)}"


def _scale(result: MetricResult, one: ArmResult) -> Scale:
    rate = result.kind == "rate"
    scale = Scale(rate, "percentage points" if rate else _unit(result))
    return scale if one.low is None or one.high is None else scale.fitting(one.low, one.high)


def _unit(result: MetricResult) -> str:
    return metric_of(result.metric).unit


def _confidence(p_value: float) -> float:
    return min(1.0, max(0.0, 1 - p_value))
