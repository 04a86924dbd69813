"""Budgets and breakers, as people see them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from tests.unit.cli.builders import view
from turnout.cli.render.flags import serves
from turnout.cli.render.guarding import BreakerView, BudgetView, breakers_table, budgets_table
from turnout.cli.render.rollout import status_view
from turnout.cli.render.words import moment
from turnout.cli.session import plain
from turnout.domain.breaking import BreakerPolicy, BreakerReport, closed, opened, probing
from turnout.domain.flags import initial_traffic, parse_flags
from turnout.ports import FlagRecord

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
REPORT = BreakerReport(circuit="open", why="5 failures in a row", reporter="api-1")


def test_a_budget_is_a_row() -> None:
    """What it is, what is spent and leased, and when it begins anew."""
    budget = BudgetView(
        flag="answer-engine",
        variant="lightrag",
        currency="EUR",
        timezone="Europe/Berlin",
        day=date(2026, 5, 1),
        ends=NOW + timedelta(hours=10),
        daily=25_000_000,
        spent=20_500_000,
        leased=250_000,
        left=4_250_000,
        alert_at=0.8,
    )
    text = plain(budgets_table([budget]))
    for word in ("lightrag", "2026-05-01 Europe/Berlin", "25.00 EUR", "20.50", "82 %", "0.25", "4.25"):
        assert word in text
    given = budget.model_copy(update={"daily": 0, "left": 0, "source": "environment"})
    assert "0.00 EUR (environment)" in plain(budgets_table([given]))
    assert "budgets: {variant" in plain(budgets_table([]))


def test_a_breaker_is_a_row() -> None:
    """Where it is, what users get, and why."""
    policy = BreakerPolicy()
    first = opened(policy, None, REPORT, NOW)
    half = probing(policy, first, NOW)
    done = closed(half, NOW, "3 probes went well", "turnout")
    rows = [
        BreakerView(flag="answer-engine", variant="lightrag", blocking=one is not done, **dict(one))
        for one in (first, half, done)
    ]
    lines = plain(breakers_table(rows)).splitlines()
    for line, word in zip(lines[-3:], ("nobody", "probes, 5 %", "as its traffic says"), strict=True):
        assert word in line
    assert "5 failures in a row" in lines[-3]
    assert "half open" in lines[-2]
    assert "3 probes went well" in lines[-1]
    assert plain(breakers_table([])) == "no breaker has ever opened\n"


def test_the_times_of_a_breaker_are_told_to_the_second() -> None:
    """Breakers live for seconds."""
    breaker = opened(BreakerPolicy(), None, REPORT, NOW)
    text = plain(breakers_table([BreakerView(flag="f", variant="v", blocking=True, **dict(breaker))]))
    assert moment(NOW) in text
    assert moment(NOW + timedelta(seconds=30)) in text


def test_status_says_whom_a_breaker_keeps_from_the_candidate() -> None:
    """And until when; while it probes, which share of its traffic the candidate keeps."""
    policy = BreakerPolicy()
    first = opened(policy, None, REPORT, NOW)
    text = plain(status_view(view(breakers={"lightrag": first}), NOW))
    until = moment(NOW + timedelta(seconds=30))
    assert f"breaker: everybody gets perplexity in place of lightrag until {until}; since {moment(NOW)}: 5 fail" in text
    half = plain(status_view(view(breakers={"lightrag": probing(policy, first, NOW)}), NOW))
    assert "breaker: all but probes, 5 % of its share, get perplexity in place of lightrag" in half
    assert "breaker:" not in plain(status_view(view(), NOW))


def test_status_says_that_the_flag_is_stopped() -> None:
    """The share of the stage is what nobody gets then."""
    text = plain(status_view(view(stopped=True), NOW))
    assert "emergency stop: everybody gets perplexity; turnout flags restore answer-engine ends that" in text


def test_a_flag_says_what_is_blocked() -> None:
    """With the share that probes get."""
    (flag,) = parse_flags({"flags": {"f": {"variants": {"a": 1, "b": 2}, "stable": "a", "split": {"b": 50, "a": 50}}}})
    breaker = opened(BreakerPolicy(), None, REPORT, NOW)
    fields = {"flag": flag, "traffic": initial_traffic(flag), "updated_at": NOW, "updated_by": "ann"}
    record = FlagRecord.model_validate(fields | {"breakers": {"b": breaker}})
    assert serves(record).plain == "b 50 %, a 50 %; b blocked by its breaker"
    half = record.model_copy(update={"breakers": {"b": probing(BreakerPolicy(), breaker, NOW)}})
    assert serves(half).plain == "b 50 %, a 50 %; b blocked by its breaker, but for probes (5 % of its share)"
