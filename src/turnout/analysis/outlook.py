"""What a gate will need before it can decide: how many outcomes, how long, and what it would catch meanwhile.

Every sequential test is followed along its expected path: the counts that the expected rates give on average. It
crosses its boundary there later than half of all real paths do, because a real path may cross on a swing; the tests
hold it against simulated medians and 90 % quantiles. So a stage that is long enough here is long enough in most
cases, not in all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from turnout.analysis.confseq import widening
from turnout.analysis.counting import log_components, log_mixture
from turnout.analysis.eprocess import log_evidence
from turnout.analysis.evidence import Side
from turnout.analysis.onset import LEAD
from turnout.domain.expectation import Expectation, Level
from turnout.domain.metrics import metric_of
from turnout.domain.plan import SAMPLE_RATIO, Gate

_MOST = math.log(1e12)
_MOST_MINUTES = 1e9
_ONSET = -math.log(LEAD)
"""What looking for a late onset costs a failing test: only this part of its weight lies on the start of the stage."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under which a gate is asked: the traffic, the candidate's share of it (0..1), the error rates, the hold.

    ``exposed`` is the share of all users (0..1) that a test includes.
    """

    expected: Expectation
    share: float
    alpha_fail: float
    alpha_pass: float
    hold: timedelta
    exposed: float = 1.0


@dataclass(frozen=True, slots=True)
class Prospect:
    """What one gate can do in one stage.

    ``outcomes`` and ``users`` of the candidate, and the time after the start of the stage, at which a candidate as
    expected typically passes; None where it never does. ``smallest`` is the value of the metric (for a comparison: the
    difference to stable, or the ratio) whose harm is typically found within the hold, and ``twice`` the time until one
    twice as far beyond the limit is found. ``unknown`` says what is lacking to foresee anything. Of a test, outcomes
    and users are those of all arms, and the time is that of its analysis.
    """

    gate: str
    outcomes: float | None = None
    users: float | None = None
    after: timedelta | None = None
    smallest: float | None = None
    twice: timedelta | None = None
    unknown: str = ""

    def fits(self, hold: timedelta) -> bool:
        """Whether a pass is to be expected within ``hold``."""
        return self.after is not None and self.after <= hold


@dataclass(frozen=True, slots=True)
class _Test:
    """One sequential test as a function of the candidate's outcomes n.

    ``passes(n)`` is how far beyond its boundary a candidate as expected is (decided at 0 or more); ``fails(n, harm)``
    the same for one that is ``harm`` beyond the limit, which lies at ``limit``; ``most`` bounds the harm that makes
    sense, its sign tells in which direction harm lies.
    """

    limit: float
    most: float
    passes: Callable[[float], float]
    fails: Callable[[float, float], float]


def prospect(gate: Gate, conditions: Conditions) -> Prospect:
    """What ``gate`` needs and what it catches under ``conditions``."""
    expected = conditions.expected
    if gate.experiment is not None:
        return _of_trial(gate, gate.experiment.sample, conditions)
    if why := _unforeseeable(gate):
        return Prospect(gate.label, unknown=why)
    level = expected.metrics.get(gate.metric) or _mirrored(gate.metric, expected)
    test = None if level is None else _test(gate, level, conditions)
    if test is None:
        return Prospect(gate.label, unknown=_lacking(gate, level))
    needed = _first(test.passes)
    floor = max(gate.min_samples, gate.min_units * expected.requests_per_user)
    outcomes = None if needed is None else max(needed, floor)
    users = None if outcomes is None else max(outcomes / expected.requests_per_user, float(gate.min_units))
    held = _outcomes_in(conditions, conditions.hold)
    harm = _smallest(lambda harm: test.fails(held, harm), test.most)
    return Prospect(
        gate.label,
        outcomes=outcomes,
        users=users,
        after=None if outcomes is None else _time_for(conditions, outcomes),
        smallest=None if harm is None else test.limit + math.copysign(harm, test.most),
        twice=None
        if harm is None
        else _time_of(conditions, _first(lambda n: test.fails(n, min(2 * harm, abs(test.most))))),
    )


def _of_trial(gate: Gate, sample: int, conditions: Conditions) -> Prospect:
    """When a test has its users, those of all arms; it is analysed then, whatever there is to see."""
    expected = conditions.expected
    outcomes = sample * expected.requests_per_user
    minutes = outcomes / (expected.requests_per_minute * conditions.exposed)
    enough = expected.users is None or sample <= expected.users * conditions.exposed
    after = timedelta(minutes=minutes) if enough and minutes < _MOST_MINUTES else None
    return Prospect(gate.label, outcomes=outcomes, users=float(sample), after=after)


def _test(gate: Gate, level: Level, conditions: Conditions) -> _Test | None:
    rate = metric_of(gate.metric).kind == "rate"
    if gate.versus is not None:
        if gate.quantile is not None:
            return _events(1 - gate.quantile, gate.ratio or 1.0, conditions, first_only=False)
        if rate and gate.ratio is not None:
            return _events(_bad(gate.metric, level.mean), gate.ratio, conditions, first_only=True)
        return _difference(gate, level, conditions, rate=rate)
    if gate.quantile is not None:
        allowed = 1 - gate.quantile
        return _rate(allowed, level.above if level.above is not None else allowed / 2, 1.0, conditions)
    if rate:
        limit = gate.max if gate.max is not None else gate.min or 0.0
        higher = metric_of(gate.metric).better == "higher"
        return _rate(1 - limit if higher else limit, _bad(gate.metric, level.mean), -1.0 if higher else 1.0, conditions)
    return _mean(gate, level, conditions)


def _rate(limit: float, bad: float, sign: float, conditions: Conditions) -> _Test:
    """An absolute gate on the rate of bad outcomes; ``sign`` -1 shows it as the rate of good ones."""
    effect = conditions.expected.design_effect

    def passes(n: float) -> float:
        if bad >= limit:
            return -math.inf
        return _log_e(bad * n / effect, n / effect, limit, "pass") + math.log(conditions.alpha_pass)

    def fails(n: float, harm: float) -> float:
        worse = min(1.0, limit + harm)
        return _log_e(worse * n / effect, n / effect, limit, "fail") - _ONSET + math.log(conditions.alpha_fail)

    shown = limit if sign > 0 else 1 - limit
    return _Test(shown, sign * (1 - limit), passes, fails)


def _events(bad: float, ratio: float, conditions: Conditions, *, first_only: bool) -> _Test:
    """A comparison of rare events by the arm they fall in, at the null rate ratio ``ratio``."""
    expected, share = conditions.expected, conditions.share

    def counts(n: float, times: float) -> tuple[float, float]:
        others = n * (1 - share) / share
        if not first_only:
            return min(1.0, bad * times) * n / expected.design_effect, bad * others / expected.design_effect
        chances = expected.requests_per_user / expected.design_effect
        hit, usual = (1 - (1 - min(1.0, bad * r)) ** chances for r in (times, 1.0))
        return hit * n / expected.requests_per_user, usual * others / expected.requests_per_user

    def log_e(n: float, times: float, side: Side) -> float:
        ours, theirs = counts(n, times)
        return float(log_mixture(log_components(np.asarray(ours), np.asarray(theirs), share, ratio, side), side))

    return _Test(
        ratio,
        (1 / bad if bad > 0 else 1.0) - ratio,
        lambda n: log_e(n, 1.0, "pass") + math.log(conditions.alpha_pass),
        lambda n, harm: log_e(n, ratio + harm, "fail") - _ONSET + math.log(conditions.alpha_fail),
    )


def _difference(gate: Gate, level: Level, conditions: Conditions, *, rate: bool) -> _Test | None:
    """A comparison of two means by a confidence sequence on their difference."""
    deviation = math.sqrt(level.mean * (1 - level.mean)) if rate else level.deviation
    if not deviation:
        return None
    higher = metric_of(gate.metric, gate.better or "higher").better == "higher"
    sign = -1.0 if higher else 1.0
    # By a ratio, harm is counted in parts of stable's mean.
    unit = 1.0 if gate.ratio is None else abs(level.mean)
    allowed = sign * (gate.margin or 0.0) if gate.ratio is None else gate.ratio**sign
    margin = abs(allowed if gate.ratio is None else allowed - 1) * unit
    share, effect = conditions.share, conditions.expected.design_effect
    users = conditions.expected.requests_per_user

    def width(n: float, alpha: float) -> float:
        se = deviation * math.sqrt(effect / n * (1 + share / (1 - share)))
        return se * float(widening(np.asarray(n / users * (1 - share)), alpha))

    return _Test(
        allowed,
        sign * (1.0 if rate else 1e3 * deviation / unit) if unit > 0 else 0.0,
        lambda n: margin - width(n, conditions.alpha_pass),
        lambda n, harm: harm * unit - width(n, conditions.alpha_fail),
    )


def _mean(gate: Gate, level: Level, conditions: Conditions) -> _Test | None:
    """An absolute gate on a mean, by a confidence sequence."""
    if level.deviation is None:
        return None
    deviation, effect, users = level.deviation, conditions.expected.design_effect, conditions.expected.requests_per_user
    limit, sign = (gate.min, -1.0) if gate.min is not None else (gate.max or 0.0, 1.0)
    room = sign * (limit - level.mean)
    # Stable's spread counts in proportion to the limit; see `confseq.hold`.
    stretch = min(4.0, max(1.0, limit / level.mean)) if limit * level.mean > 0 else 1.0

    def width(n: float, alpha: float) -> float:
        return stretch * deviation * math.sqrt(effect / n) * float(widening(np.asarray(n / users), alpha))

    return _Test(
        limit,
        sign * 1e3 * deviation,
        lambda n: room - width(n, conditions.alpha_pass) if room > 0 else -math.inf,
        lambda n, harm: harm - width(n, conditions.alpha_fail),
    )


def _unforeseeable(gate: Gate) -> str:
    """Why the traffic says nothing of what ``gate`` needs; empty when it does."""
    if gate.source.kind != "outcomes":
        return f"asks {gate.source.kind}"
    if gate.score is not None:
        return "is a score"
    if gate.method == "fixed":
        return "looks once, with method: fixed"
    return "what it needs does not follow from the traffic" if gate.metric == SAMPLE_RATIO else ""


def _lacking(gate: Gate, level: Level | None) -> str:
    if level is None:
        return f"expect.metrics has no {gate.metric}"
    return f"expect.metrics.{gate.metric} has no deviation"


def _mirrored(metric: str, expected: Expectation) -> Level | None:
    """A success rate follows from an error rate, and the other way round."""
    other = {"success_rate": "error_rate", "error_rate": "success_rate"}.get(metric, "")
    level = expected.metrics.get(other)
    return None if level is None else Level(mean=1 - level.mean)


def _bad(metric: str, mean: float) -> float:
    return 1 - mean if metric_of(metric).better == "higher" else mean


def _log_e(bad: float, total: float, limit: float, side: Side) -> float:
    return float(log_evidence(np.asarray(bad), np.asarray(total), limit, side))


def _first(beyond: Callable[[float], float]) -> float | None:
    """The smallest number of outcomes at which ``beyond`` is not negative; None below 10^12."""
    low, high = 0.0, _MOST
    if beyond(math.exp(high)) < 0:
        return None
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if beyond(math.exp(middle)) >= 0 else (middle, high)
    return math.exp(high)


def _smallest(beyond: Callable[[float], float], most: float) -> float | None:
    """The smallest harm, up to ``most`` in size, at which ``beyond`` is not negative."""
    low, high = 0.0, abs(most)
    if beyond(high) < 0:
        return None
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if beyond(middle) >= 0 else (middle, high)
    return high


def _outcomes_in(conditions: Conditions, time: timedelta) -> float:
    """How many outcomes the candidate has after ``time``."""
    rate = conditions.expected.requests_per_minute * conditions.share
    most = math.inf if conditions.expected.users is None else conditions.expected.users * conditions.share
    return max(1.0, min(rate * time.total_seconds() / 60, most * conditions.expected.requests_per_user))


def _time_for(conditions: Conditions, outcomes: float) -> timedelta | None:
    """When the candidate has had so many outcomes; None when there are never so many users."""
    expected = conditions.expected
    if expected.users is not None and outcomes > expected.users * conditions.share * expected.requests_per_user:
        return None
    minutes = outcomes / (expected.requests_per_minute * conditions.share)
    return timedelta(minutes=minutes) if minutes < _MOST_MINUTES else None


def _time_of(conditions: Conditions, outcomes: float | None) -> timedelta | None:
    return None if outcomes is None else _time_for(conditions, outcomes)
