"""Stages, gates and checks to watch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from turnout.domain.plan import Gate, Stage
from turnout.domain.rollout import Clock, Observation, WatchRequest
from turnout.domain.verdicts import Check, Verdict
from turnout.domain.vigil import Progress, advance, conclude

START = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
SPLIT = Gate(metric="sample_ratio", on_fail="hold")


def gate(**more: Any) -> Gate:
    """A gate on the success rate."""
    return Gate(**({"metric": "success_rate", "min": 0.95} | more))


def compared(**more: Any) -> Gate:
    """A gate that compares the error rate with stable's."""
    return Gate(**({"metric": "error_rate", "versus": "stable", "ratio": 1.5} | more))


def stage(gates: Sequence[Gate] = (gate(),), guardrails: Sequence[Gate] = (), **more: Any) -> Stage:
    """A stage of ten hours with a deadline of three, checked every hour."""
    fields: dict[str, Any] = {
        "name": "5 %",
        "weights": {"lightrag": 5_000, "perplexity": 95_000},
        "hold": 10 * HOUR,
        "deadline": 3 * HOUR,
        "check_every": HOUR,
        "gates": tuple(gates),
        "guardrails": tuple(guardrails),
    }
    return Stage(**(fields | more))


def request(of: Stage | None = None, **more: Any) -> WatchRequest:
    """A watch over ``of`` that counts and is not blocked."""
    fields: dict[str, Any] = {
        "rollout_id": "r1",
        "flag": "answer-engine",
        "stable": "perplexity",
        "candidate": "lightrag",
        "index": 0,
        "stage": of or stage(),
        "generation": 1,
        "since": START,
        "clock": Clock(),
        "counting": True,
    }
    return WatchRequest(**(fields | more))


def check(verdict: Verdict, role: str = "gate", **more: Any) -> Check:
    """A check on a thousand outcomes of a hundred users."""
    fields: dict[str, Any] = {
        "gate": "g",
        "metric": "success_rate",
        "role": role,
        "verdict": verdict,
        "text": f"{role} {verdict}",
        "samples": 1000,
        "units": 100,
    }
    return Check(**(fields | more))


def after(counted: timedelta = timedelta(), waited: timedelta = timedelta(), errors: int = 0) -> Progress:
    """Progress with the given clock."""
    return Progress(START, Clock(counted=counted, waited=waited), errors)


def over(waited: timedelta = timedelta()) -> Progress:
    """Progress at the end of the hold of `stage`."""
    return after(10 * HOUR, waited)


def step(
    asked: WatchRequest, progress: Progress, checks: Sequence[Check], passed: timedelta = HOUR
) -> tuple[Progress, Observation | None]:
    """One check, ``passed`` after the one before."""
    progress = advance(asked, progress, checks, progress.at + passed)
    return progress, conclude(asked, progress, checks)
