"""The settings of a flag in the environment: what is read, and what is said of what cannot be."""

from __future__ import annotations

from decimal import Decimal

import pytest

from turnout.domain.bound import NOTHING, Bound, environment_name, parse_bound, read_bound
from turnout.domain.budget import NO_LIMITS, Limits
from turnout.domain.errors import InvalidInput

EVERY = {
    "LIGHTRAG_ENABLED": "true",
    "LIGHTRAG_ROLLOUT_PERCENTAGE": "12.5%",
    "LIGHTRAG_QUALITY_THRESHOLD": "0.8",
    "LIGHTRAG_MIN_SUCCESS_RATE": "0.95",
    "LIGHTRAG_CIRCUIT_BREAKER_ENABLED": "On",
    "LIGHTRAG_CIRCUIT_BREAKER_FAILURE_THRESHOLD": "5",
    "LIGHTRAG_CIRCUIT_BREAKER_TIMEOUT_SECONDS": "60",
    "LIGHTRAG_AB_TEST_ENABLED": "no",
    "LIGHTRAG_AB_TEST_NAME": "spring answers",
    "LIGHTRAG_AB_TEST_SAMPLE_SIZE": "1000",
    "LIGHTRAG_DAILY_BUDGET_USD": "49.90",
    "LIGHTRAG_BUDGET_ALERT_THRESHOLD": "0.8",
    "LIGHTRAG_EMERGENCY_STOP_ENABLED": "0",
}


def test_every_name_is_read_with_its_type() -> None:
    """Each of the thirteen names sets its field, exactly; money and percentages stay decimal."""
    assert parse_bound("LIGHTRAG_", EVERY) == Bound(
        enabled=True,
        rollout_percentage=Decimal("12.5"),
        quality_threshold=0.8,
        min_success_rate=0.95,
        circuit_breaker_enabled=True,
        circuit_breaker_failure_threshold=5,
        circuit_breaker_timeout_seconds=60,
        ab_test_enabled=False,
        ab_test_name="spring answers",
        ab_test_sample_size=1000,
        daily_budget_usd=Decimal("49.90"),
        budget_alert_threshold=0.8,
        emergency_stop_enabled=False,
    )
    assert {"LIGHTRAG_" + name.upper() for name in Bound.model_fields} == set(EVERY)


def test_empty_and_other_variables_say_nothing() -> None:
    """An empty variable counts as not set; a service's own variables under the prefix are its own."""
    own = {"LIGHTRAG_ENABLED": " ", "LIGHTRAG_API_KEY": "secret", "LIGHTRAG_URL": "http://x", "OTHER_ENABLED": "false"}
    assert read_bound("LIGHTRAG_", own) == (NOTHING, ())


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("ENABLED", "maybe", "write true or false"),
        ("ROLLOUT_PERCENTAGE", "101", "0 to 100"),
        ("ROLLOUT_PERCENTAGE", "nan", "0 to 100"),
        ("ROLLOUT_PERCENTAGE", "0.0001", "three decimals"),
        ("QUALITY_THRESHOLD", "-0.1", "0 or more"),
        ("MIN_SUCCESS_RATE", "95", "0 to 1"),
        ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "0", "whole number of 1 or more"),
        ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "2.5", "whole number of 1 or more"),
        ("CIRCUIT_BREAKER_TIMEOUT_SECONDS", "0", "seconds above 0"),
        ("AB_TEST_NAME", "a\nb", "printable"),
        ("AB_TEST_SAMPLE_SIZE", "many", "whole number"),
        ("DAILY_BUDGET_USD", "inf", "dollars"),
        ("DAILY_BUDGET_USD", "$5", "dollars"),
        ("DAILY_BUDGET_USD", "1e10", "a thousand million"),
        ("BUDGET_ALERT_THRESHOLD", "80", "0.8 for 80 %"),
    ],
)
def test_a_fault_names_variable_value_and_remedy(name: str, value: str, remedy: str) -> None:
    """What cannot be used is refused in words that say what to write, together with every other fault."""
    with pytest.raises(InvalidInput) as caught:
        parse_bound("LIGHTRAG_", {f"LIGHTRAG_{name}": value, "LIGHTRAG_AB_TEST_ENABLED": "?"})
    first = next(p for p in caught.value.problems if p.path == f"LIGHTRAG_{name}")
    assert (first.value, remedy in first.remedy) == (value, True)
    assert len(caught.value.problems) == 2


def test_an_unreadable_switch_is_set_to_the_safe_side() -> None:
    """Whoever misspells a stop gets the stop, and is told."""
    bound, faults = read_bound("L_", {"L_EMERGENCY_STOP_ENABLED": "ture", "L_ROLLOUT_PERCENTAGE": "x"})
    assert (bound.emergency_stop_enabled, bound.rollout_percentage, bound.decides) == (
        True,
        None,
        "emergency_stop_enabled",
    )
    assert "until then everybody gets the other variant" in faults[1].remedy
    assert read_bound("L_", {"L_ENABLED": "nope"})[0].enabled is False
    bound, (fault,) = read_bound("L_", {"L_DAILY_BUDGET_USD": "5 dollars"})
    assert (bound.limits.daily, "until then no call of the variant is paid for" in fault.remedy) == (0, True)


def test_a_misspelt_name_is_told() -> None:
    """A name that is nearly a setting's is a slip."""
    _, faults = read_bound("LIGHTRAG_", {"LIGHTRAG_ROLOUT_PERCENTAGE": "5"})
    assert [str(f) for f in faults] == [
        "LIGHTRAG_ROLOUT_PERCENTAGE: is no setting of a flag; did you mean LIGHTRAG_ROLLOUT_PERCENTAGE?"
    ]


def test_which_setting_decides() -> None:
    """A stop beats a switch, a switch beats a percentage; what is on decides nothing by itself."""
    assert Bound(enabled=True, ab_test_enabled=True).decides is None
    assert Bound(enabled=True, rollout_percentage=Decimal(0)).decides == "rollout_percentage"
    assert Bound(enabled=False, rollout_percentage=Decimal(9)).decides == "enabled"
    assert Bound(enabled=False, emergency_stop_enabled=True).decides == "emergency_stop_enabled"


def test_the_name_of_a_flags_override() -> None:
    """Capitals, and _ for what a variable's name cannot hold."""
    assert environment_name("answer-engine.v2") == "TURNOUT_FLAG_ANSWER_ENGINE_V2"


def test_the_limits_of_a_budget_are_exact() -> None:
    """Dollars become millionths; nothing said is no limit, and 0 is one."""
    assert parse_bound("LIGHTRAG_", EVERY).limits == Limits(daily=49_900_000, alert_at=0.8)
    assert (NOTHING.limits, Bound(daily_budget_usd=Decimal(0)).limits.daily) == (NO_LIMITS, 0)
