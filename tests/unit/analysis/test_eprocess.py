"""The beta-binomial e-process against quadrature, arbitrary precision, Howard's figures and its own theory."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats

from turnout.analysis.eprocess import (
    Decision,
    Prior,
    anytime_interval,
    decision_counts,
    evidence,
    log_evidence,
    prior_of,
)
from turnout.analysis.evidence import EValue

Side = Literal["fail", "pass"]
SIDES: tuple[Side, Side] = ("fail", "pass")

counts = st.tuples(st.floats(0, 1), st.integers(1, 10**12)).map(lambda drawn: (round(drawn[0] * drawn[1]), drawn[1]))
limits = st.sampled_from([0.001, 0.01, 0.05, 0.2, 0.5, 0.95])


def value(bad: float, total: float, limit: float, side: Side, prior: Prior | None = None) -> float:
    return float(log_evidence(np.asarray(bad), np.asarray(total), limit, side, prior))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("bad", "total", "limit"), [(8, 200, 0.05), (1, 30, 0.05), (9, 40, 0.3), (30, 50, 0.5)])
def test_the_integral(bad: int, total: int, limit: float, side: Side) -> None:
    """The e-value is the likelihood ratio averaged over the truncated prior, here by quadrature."""
    prior = prior_of(limit)
    beta = stats.beta(prior.a, prior.b)
    ends = (limit, 1.0) if side == "fail" else (0.0, limit)

    def ratio(rate: float) -> float:
        likelihood = stats.binom.logpmf(bad, total, rate) - stats.binom.logpmf(bad, total, limit)
        return math.exp(float(likelihood + beta.logpdf(rate)))

    mass = float(beta.cdf(ends[1]) - beta.cdf(ends[0]))
    above, _ = integrate.quad(ratio, *ends, epsabs=0, epsrel=1e-11, limit=500)
    assert value(bad, total, limit, side) == pytest.approx(math.log(above / mass), rel=1e-7)


@pytest.mark.parametrize(
    ("bad", "total", "limit", "side", "expected"),
    [
        (8, 200, 0.05, "fail", -1.468504008953055),
        (2, 200, 0.05, "pass", 4.104394473513194),
        (0, 329, 0.01, "pass", 2.999845759305505),
        (3, 7, 0.5, "fail", -0.3024601081824707),
        (50_500_000, 10**9, 0.05, "fail", 2615.334883315281),
        (50_050_000_000, 10**12, 0.05, "fail", 26296.0585626577),
        (10**9, 10**9, 0.05, "fail", 2995731920.126397),
    ],
)
def test_arbitrary_precision(bad: int, total: int, limit: float, side: Side, expected: float) -> None:
    """The logarithm agrees with mpmath 1.3 at 60 digits, also at counts where log-beta functions lose theirs.

    mpmath: loggamma(a+S)+loggamma(b+n-S)-loggamma(a+b+n) - (the same of a, b) - S log p - (n-S) log(1-p)
    + log betainc(a+S, b+n-S, p, 1, regularized=True) - log betainc(a, b, p, 1, regularized=True), mp.dps = 60,
    with a = 20p, b = 20(1-p) (0, p for the side below).
    """
    assert evidence(bad, total, limit, side).log_e == pytest.approx(expected, rel=1e-11)


def test_howard() -> None:
    """The figures of Howard's reference implementation (confseq, TestOneSidedBetaBinomialMixture) come out.

    v_opt 100, alpha_opt 0.05, g 0.2, h 0.8: log mixture at (s, v) = (10, 100) is -0.07134019, the bound at v = 100
    and alpha 0.05 is 28.41238. Sums and variances are s = S - 0.2n, v = 0.16n.
    """
    level = -2 * math.log(2 * 0.05)
    r = 100 / (level + math.log1p(level)) - 0.16
    prior = Prior(r / 0.8, r / 0.2)
    assert value(10 + 125, 625, 0.2, "fail", prior) == pytest.approx(-0.07134019, abs=1e-8)
    assert value(28.41238 + 125, 625, 0.2, "fail", prior) == pytest.approx(math.log(20), abs=1e-5)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("total", "limit"), [(1, 0.05), (60, 0.05), (300, 0.01), (40, 0.5)])
def test_fair_bet(total: int, limit: float, side: Side) -> None:
    """At the limit the expected e-value is exactly 1, and on the good side of it at most 1."""
    bad = np.arange(total + 1.0)
    log_e = log_evidence(bad, np.full(total + 1, float(total)), limit, side)
    assert float(special.logsumexp(stats.binom.logpmf(bad, total, limit) + log_e)) == pytest.approx(0, abs=1e-9)
    inside = limit * 0.9 if side == "fail" else limit * 1.05
    assert float(special.logsumexp(stats.binom.logpmf(bad, total, inside) + log_e)) < 0


def test_decision_counts() -> None:
    """The counts that decide "bad ≤ 5 %" at 0.05 are those of the research table."""
    table = {50: (None, 8), 100: (0, 13), 200: (2, 20), 300: (5, 27), 500: (12, 41), 1000: (30, 72)}
    table |= {2000: (71, 131), 5000: (201, 301)}
    decided = decision_counts(list(table), 0.05, 0.05, 0.05)
    assert decided == [Decision(total, *both) for total, both in table.items()]


def test_decision_counts_are_edges() -> None:
    """One bad outcome fewer does not fail, one more does not pass."""
    for decision in decision_counts(range(100, 130), 0.05, 0.01, 0.05):
        assert decision.fail_at_least is not None
        assert decision.pass_at_most is not None
        assert evidence(decision.fail_at_least, decision.total, 0.05, "fail").rejects(0.01)
        assert not evidence(decision.fail_at_least - 1, decision.total, 0.05, "fail").rejects(0.01)
        assert evidence(decision.pass_at_most, decision.total, 0.05, "pass").rejects(0.05)
        assert not evidence(decision.pass_at_most + 1, decision.total, 0.05, "pass").rejects(0.05)


def test_never_decided() -> None:
    """Where no count can decide there is none."""
    assert decision_counts([1], 0.05, 0.001, 0.05) == [Decision(1, None, None)]


def test_nothing_yet() -> None:
    """Without outcomes nothing is said and the interval is everything."""
    assert evidence(0, 0, 0.05, "fail") == EValue(0.0, "no_data")
    assert evidence(0, 0, 0.05, "pass") == EValue(0.0, "no_data")
    interval = anytime_interval(0, 0, 0.05, 0.01, 0.05)
    assert (interval.estimate, interval.low, interval.high) == (None, 0.0, 1.0)


@pytest.mark.parametrize(("bad", "total"), [(-1, 5), (6, 5), (math.nan, 5), (1, math.inf), (1, math.nan)])
def test_contradictions(bad: float, total: float) -> None:
    """Counts that contradict each other are refused."""
    with pytest.raises(ValueError, match="between 0 and total"):
        evidence(bad, total, 0.05, "fail")
    with pytest.raises(ValueError, match="between 0 and total"):
        anytime_interval(bad, total, 0.05, 0.01, 0.05)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, math.nan])
def test_alpha_is_checked(alpha: float) -> None:
    """An alpha outside 0..1 is refused."""
    with pytest.raises(ValueError, match="alpha must be between 0 and 1"):
        anytime_interval(1, 5, 0.05, alpha, 0.05)
    with pytest.raises(ValueError, match="alpha must be between 0 and 1"):
        decision_counts([5], 0.05, 0.05, alpha)


def test_limits_of_nothing_and_everything() -> None:
    """A limit of 0 fails with the first bad outcome, a limit of 1 never does; neither is an error."""
    assert evidence(1, 1, 0.0, "fail").rejects(0.001)
    assert not evidence(0, 10**6, 0.0, "fail").rejects(0.5)
    assert not evidence(0, 10**6, 0.0, "pass").rejects(0.5)
    assert not evidence(10**6, 10**6, 1.0, "fail").rejects(0.5)
    assert evidence(0, 1, 1.0, "pass").rejects(0.001)


@given(counts, limits)
def test_never_nan(count: tuple[int, int], limit: float) -> None:
    """No counts up to 10^12 give NaN, and no counts decide both ways."""
    fail, passed = (evidence(*count, limit, side) for side in SIDES)
    assert not math.isnan(fail.log_e)
    assert not math.isnan(passed.log_e)
    assert not (fail.rejects(0.5) and passed.rejects(0.5))


@given(st.integers(0, 400), st.integers(0, 400), limits)
def test_monotone(bad: int, good: int, limit: float) -> None:
    """A bad outcome in place of a good one strengthens failing and weakens passing.

    Below e^-5, which no decision comes near, the incomplete beta function leaves the range of a double.
    """
    total = bad + good + 1
    assert max(value(bad + 1, total, limit, "fail"), -5.0) >= max(value(bad, total, limit, "fail"), -5.0)
    assert max(value(bad + 1, total, limit, "pass"), -5.0) <= max(value(bad, total, limit, "pass"), -5.0)


@given(counts, limits, st.sampled_from([0.001, 0.01, 0.05, 0.3]))
def test_interval_agrees_with_tests(count: tuple[int, int], limit: float, alpha: float) -> None:
    """An end of the interval is beyond the limit exactly when its test rejects, and the estimate is inside."""
    interval = anytime_interval(*count, limit, alpha, alpha)
    assert interval.estimate is not None
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
    for side, end, sign in (("fail", interval.low, 1), ("pass", interval.high, -1)):
        log_e = evidence(*count, limit, "fail" if side == "fail" else "pass").log_e
        if abs(log_e + math.log(alpha)) > 1e-6 and abs(end - limit) > 1e-12:
            assert (sign * (end - limit) > 0) == (log_e >= -math.log(alpha))


@given(st.integers(0, 300), st.integers(1, 300), limits)
def test_interval_is_one_crossing(bad: int, good: int, limit: float) -> None:
    """Every rate below the lower end is rejected, and none between it and the estimate.

    Limits nearer to 0 than 1e-9 are held to be 1e-9.
    """
    interval = anytime_interval(bad, bad + good, limit, 0.05, 0.05)
    prior = prior_of(limit)
    for step in range(1, 10):
        below, above = interval.low * step / 10, interval.low + (bad / (bad + good) - interval.low) * step / 10
        if below > 1e-9:
            assert value(bad, bad + good, below, "fail", prior) > math.log(20) - 1e-6
        if above - interval.low > 1e-12:
            assert value(bad, bad + good, above, "fail", prior) < math.log(20) + 1e-6


def test_p_value() -> None:
    """The p-value is 1/e, at most 1, and 0 for infinite evidence."""
    assert EValue(math.log(40)).p_value == pytest.approx(0.025)
    assert EValue(-3).p_value == EValue(-math.inf).p_value == 1
    assert EValue(math.inf).p_value == 0
    assert EValue(math.log(20)).rejects(0.05)
    assert not EValue(math.log(19.99)).rejects(0.05)
