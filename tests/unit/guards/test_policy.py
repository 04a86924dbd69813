"""What the environment makes of how calls are guarded."""

from __future__ import annotations

from datetime import timedelta

import pytest

from turnout.domain.bound import NOTHING, parse_bound
from turnout.guards.policy import ErrorBreaker, Policy, QualityBreaker, configured

QUALITY = QualityBreaker(threshold=0.5, window=30)


def told(policy: Policy, **environ: str) -> Policy:
    """``policy`` where the environment says so."""
    return configured(policy, parse_bound("RAG_", {f"RAG_{name}": value for name, value in environ.items()}))


def test_an_environment_that_says_nothing_changes_nothing() -> None:
    """Also of what is switched off."""
    for policy in (Policy(), Policy(errors=None, quality=QUALITY)):
        assert configured(policy, NOTHING) == policy


def test_breakers_are_switched_off_and_on() -> None:
    """Off means both; on brings back the usual one."""
    off = told(Policy(quality=QUALITY), CIRCUIT_BREAKER_ENABLED="false", CIRCUIT_BREAKER_FAILURE_THRESHOLD="2")
    assert (off.errors, off.quality) == (None, None)
    assert told(Policy(errors=None), CIRCUIT_BREAKER_ENABLED="true").errors == ErrorBreaker()


def test_numbers_go_before_those_of_the_program() -> None:
    """And leave the rest of a breaker as it is; without a breaker they say nothing."""
    numbers = {"CIRCUIT_BREAKER_FAILURE_THRESHOLD": "2", "CIRCUIT_BREAKER_TIMEOUT_SECONDS": "7.5"}
    changed = told(Policy(errors=ErrorBreaker(failure_threshold=9, probes=4)), **numbers).errors
    assert changed == ErrorBreaker(failure_threshold=2, recovery_timeout=timedelta(seconds=7.5), probes=4)
    assert told(Policy(errors=None), **numbers).errors is None


def test_a_quality_threshold_makes_a_breaker() -> None:
    """Or moves the one that there is."""
    assert told(Policy(), QUALITY_THRESHOLD="0.7").quality == QualityBreaker(threshold=0.7)
    assert told(Policy(quality=QUALITY), QUALITY_THRESHOLD="0.7").quality == QualityBreaker(threshold=0.7, window=30)


def test_a_least_success_rate_makes_a_breaker() -> None:
    """Or is added to the one that there is, unless breakers are switched off."""
    assert told(Policy(errors=None), MIN_SUCCESS_RATE="0.95").errors == ErrorBreaker(min_success_rate=0.95)
    wide = ErrorBreaker(failure_threshold=9, min_success_rate=0.5, window=200)
    changed = wide.model_copy(update={"min_success_rate": 0.95})
    assert told(Policy(errors=wide), MIN_SUCCESS_RATE="0.95").errors == changed
    assert told(Policy(), MIN_SUCCESS_RATE="0.95", CIRCUIT_BREAKER_ENABLED="false").errors is None


def test_a_breaker_that_never_has_enough_is_refused() -> None:
    """More calls than the window holds would never be there."""
    with pytest.raises(ValueError, match=r"minimum \(30\) is above window \(10\)"):
        ErrorBreaker(min_success_rate=0.9, window=10, minimum=30)
