"""What a gate will need, foreseen before it is asked."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from turnout.analysis.counting import first_error_evidence
from turnout.analysis.eprocess import evidence
from turnout.analysis.outlook import Conditions, Prospect, prospect
from turnout.domain.expectation import Expectation
from turnout.domain.plan import Gate

HOUR = timedelta(hours=1)


def conditions(
    metrics: dict[str, object], *, share: float = 0.05, hold: timedelta = 24 * HOUR, **more: float
) -> Conditions:
    """A thousand requests a minute, five error rates of 5 % shared by five gates."""
    expected = Expectation.model_validate({"requests_per_minute": 1000, "metrics": metrics} | more)
    return Conditions(expected, share=share, alpha_fail=0.05, alpha_pass=0.05, hold=hold)


def asked(gate: dict[str, object], metrics: dict[str, object], **more: object) -> Prospect:
    """The prospect of a gate without minimum sizes."""
    small = {"min_samples": 1, "min_units": 2}
    return prospect(Gate.model_validate(small | gate), conditions(metrics, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("good", "median", "ninety"), [(1.0, 82, 90), (0.99, 130, 242), (0.98, 242, 548), (0.97, 576, 1532)]
)
def test_an_absolute_pass_needs_between_the_median_and_the_90th_percentile(
    good: float, median: float, ninety: float
) -> None:
    """Simulated sample sizes of success ≥ 95 % (median and 90 % quantile) enclose what is foreseen."""
    found = asked({"metric": "success_rate", "min": 0.95}, {"success_rate": good})
    assert found.outcomes is not None
    assert 0.99 * median <= found.outcomes <= 1.05 * ninety


def test_what_is_foreseen_is_what_the_gate_does_on_the_expected_counts() -> None:
    """At the outcomes foreseen the very e-value rejects, a hundredth below it does not."""
    found = asked({"metric": "error_rate", "max": 0.05}, {"error_rate": 0.02})
    assert found.outcomes is not None
    assert evidence(0.02 * found.outcomes * 1.0001, found.outcomes * 1.0001, 0.05, "pass").rejects(0.05)
    assert not evidence(0.02 * found.outcomes * 0.99, found.outcomes * 0.99, 0.05, "pass").rejects(0.05)


def test_time_follows_from_traffic_and_share() -> None:
    """Twice the share takes half the time; the number of outcomes stays."""
    gate, metrics = {"metric": "error_rate", "max": 0.05}, {"error_rate": 0.02}
    small, large = asked(gate, metrics, share=0.05), asked(gate, metrics, share=0.1)
    assert small.outcomes == pytest.approx(large.outcomes)
    assert small.after is not None
    assert large.after is not None
    assert small.after / large.after == pytest.approx(2)
    assert small.after == timedelta(minutes=(small.outcomes or 0) / 50)


def test_users_who_resemble_themselves_cost_outcomes() -> None:
    """With 20 requests a user and a correlation of 0.3 it takes 6.7 times the outcomes."""
    gate, metrics = {"metric": "error_rate", "max": 0.05}, {"error_rate": 0.02}
    alone = asked(gate, metrics)
    alike = asked(gate, metrics, requests_per_user=20, correlation=0.3)
    assert (alike.outcomes or 0) / (alone.outcomes or 1) == pytest.approx(6.7)
    assert alike.users == pytest.approx((alike.outcomes or 0) / 20)


def test_a_candidate_on_the_limit_never_passes() -> None:
    """At the limit, or beyond it, there is no time that suffices."""
    for rate in (0.05, 0.07):
        found = asked({"metric": "error_rate", "max": 0.05}, {"error_rate": rate})
        assert (found.outcomes, found.after) == (None, None)
        assert not found.fits(1000 * HOUR)


def test_what_a_longer_stage_catches_is_smaller() -> None:
    """The smallest regression shrinks with the hold, lies beyond the limit, and twice as much is found earlier."""
    gate, metrics = {"metric": "error_rate", "max": 0.05}, {"error_rate": 0.02}
    holds = [asked(gate, metrics, hold=hold) for hold in (HOUR, 6 * HOUR, 24 * HOUR)]
    smallest = [found.smallest or 0 for found in holds]
    assert smallest == sorted(smallest, reverse=True)
    assert all(rate > 0.05 for rate in smallest)
    assert all(
        found.twice is not None and found.twice < hold
        for found, hold in zip(holds, (HOUR, 6 * HOUR, 24 * HOUR), strict=True)
    )


def test_a_success_gate_shows_its_smallest_regression_as_a_success_rate() -> None:
    """Below the limit, by as much as the error gate's is above its own."""
    good = asked({"metric": "success_rate", "min": 0.95}, {"success_rate": 0.98})
    bad = asked({"metric": "error_rate", "max": 0.05}, {"error_rate": 0.02})
    assert good.smallest == pytest.approx(1 - (bad.smallest or 0))
    assert good.outcomes == pytest.approx(bad.outcomes)


@pytest.mark.parametrize(("margin", "median", "ninety"), [(0.01, 1638, None), (0.02, 370, 953), (0.05, 80, 144)])
def test_a_score_comparison_needs_what_simulation_says(margin: float, median: float, ninety: float | None) -> None:
    """Simulated sample sizes of a score of deviation 0.15, equal in both arms, enclose what is foreseen."""
    gate = {"metric": "quality_score", "versus": "stable", "margin": margin}
    found = asked(gate, {"quality_score": {"mean": 0.85, "deviation": 0.15}})
    assert found.outcomes is not None
    assert 0.8 * median <= found.outcomes <= (ninety or 3 * median) * 1.6
    assert found.smallest is not None
    assert found.smallest < -margin


@pytest.mark.parametrize(("base", "ratio", "median", "ninety"), [(0.01, 1.5, 3328, 8875), (0.01, 2, 915, 2488)])
def test_a_comparison_of_errors_needs_what_simulation_says(
    base: float, ratio: float, median: float, ninety: float
) -> None:
    """Simulated sample sizes of non-inferiority of a rare error, equal in both arms, enclose what is foreseen."""
    found = asked({"metric": "error_rate", "versus": "stable", "ratio": ratio}, {"error_rate": base})
    assert found.outcomes is not None
    assert 0.9 * median <= found.outcomes <= ninety
    ours, theirs = base * found.outcomes, base * found.outcomes * 19
    assert first_error_evidence(round(ours * 1.05), round(theirs * 1.05), 0.05, "pass", ratio).rejects(0.06)


def test_quantile_gates_are_rates_of_exceedances() -> None:
    """p95 ≤ 5000 with 1 % expected above it needs what an error rate of 1 % against 5 % needs."""
    found = asked(
        {"metric": "response_time", "quantile": 0.95, "max": 5000}, {"response_time": {"mean": 900, "above": 0.01}}
    )
    same = asked({"metric": "error_rate", "max": 0.05}, {"error_rate": 0.01})
    assert found.outcomes == pytest.approx(same.outcomes)


def test_an_absolute_mean() -> None:
    """A mean far from its limit passes sooner, one on the wrong side never."""
    near = asked({"metric": "quality_score", "min": 0.8}, {"quality_score": {"mean": 0.82, "deviation": 0.15}})
    far = asked({"metric": "quality_score", "min": 0.8}, {"quality_score": {"mean": 0.9, "deviation": 0.15}})
    below = asked({"metric": "quality_score", "min": 0.8}, {"quality_score": {"mean": 0.7, "deviation": 0.15}})
    assert (far.outcomes or 0) < (near.outcomes or 0)
    assert below.outcomes is None


def test_too_few_users_never_suffice() -> None:
    """With a hundred users at 5 % a gate that needs hundreds of outcomes is never decided."""
    found = asked({"metric": "error_rate", "max": 0.05}, {"error_rate": 0.02}, users=100)
    assert found.outcomes is not None
    assert found.after is None


@pytest.mark.parametrize(
    ("gate", "metrics", "unknown"),
    [
        ({"metric": "cost", "max": 1}, {}, "expect.metrics has no cost"),
        ({"metric": "cost", "max": 1}, {"cost": 0.4}, "expect.metrics.cost has no deviation"),
        ({"metric": "sample_ratio"}, {}, "what it needs does not follow from the traffic"),
    ],
)
def test_what_is_not_known_is_said(gate: dict[str, object], metrics: dict[str, object], unknown: str) -> None:
    """Nothing is made up where the expectation lacks a number."""
    found = asked(gate, metrics)
    assert (found.unknown, found.outcomes) == (unknown, None)


def test_every_gate_is_foreseen_without_an_accident() -> None:
    """Extreme rates, shares and limits give numbers or none, never an exception or a NaN."""
    for mean in (0.0, 1e-9, 0.5, 1.0):
        for share in (1e-5, 0.5, 0.99999):
            for gate in (
                {"max": 0.0},
                {"max": 1.0},
                {"versus": "stable", "ratio": 1.5},
                {"versus": "stable", "margin": 0},
            ):
                found = asked({"metric": "error_rate"} | gate, {"error_rate": mean}, share=share)
                numbers = [found.outcomes, found.users, found.smallest]
                assert not any(number is not None and np.isnan(number) for number in numbers)
