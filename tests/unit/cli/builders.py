"""Rollouts, decisions and checks to render."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from turnout.cli.views import RolloutView
from turnout.domain.plan import Plan
from turnout.domain.rollout import Decision, State
from turnout.domain.verdicts import Check, Verdict
from turnout.strategies import compile_plan, parse_spec

START = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)


def spec_document(**more: Any) -> dict[str, Any]:
    """A canary of answer-engine over 5, 50 and 100 %, a day each."""
    return {
        "flag": "answer-engine",
        "candidate": "lightrag",
        "strategy": {"kind": "canary"},
        "gates": [{"metric": "success_rate", "min": 0.95}],
        **more,
    }


def plan(**more: Any) -> Plan:
    """The plan of `spec_document`."""
    return compile_plan(parse_spec(spec_document(**more)), "perplexity")


def check(**more: Any) -> Check:
    """A passing gate on success_rate."""
    fields: dict[str, Any] = {
        "gate": "success_rate ≥ 0.95",
        "metric": "success_rate",
        "role": "gate",
        "verdict": Verdict.PASS,
        "text": "",
        "value": 0.98,
        "low": 0.97,
        "high": 0.99,
        "threshold": 0.95,
        "samples": 1234,
        "units": 300,
    }
    return Check(**(fields | more))


def decision(seq: int = 1, **more: Any) -> Decision:
    """A decision of the rollout below, an hour after the one before."""
    fields: dict[str, Any] = {
        "rollout_id": "r1",
        "flag": "answer-engine",
        "seq": seq,
        "kind": "started",
        "at": START + timedelta(hours=seq - 1),
        "state": State.RUNNING,
        "stage": 0,
        "share": 0.05,
        "text": "started by ann: canary from perplexity to lightrag",
    }
    return Decision(**(fields | more))


def view(**more: Any) -> RolloutView:
    """A rollout six hours into its first day."""
    fields: dict[str, Any] = {
        "id": "r1",
        "flag": "answer-engine",
        "strategy": "canary",
        "candidate": "lightrag",
        "stable": "perplexity",
        "state": State.RUNNING,
        "stage": 0,
        "share": 0.05,
        "started_by": "ann",
        "started_at": START,
        "counted": timedelta(hours=6),
        "hold": timedelta(hours=24),
        "plan": plan(),
    }
    return RolloutView(**(fields | more))
