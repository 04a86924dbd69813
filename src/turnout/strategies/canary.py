"""Canary: a small share first, then a large one, then everybody."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, Self

from pydantic import model_validator

from turnout.domain.durations import Duration
from turnout.domain.model import Frozen
from turnout.domain.plan import Plan
from turnout.domain.spec import Percentage, Policies
from turnout.strategies._ramp import Ramp


class Canary(Frozen):
    """``percentage`` → ``max_percentage`` → 100 %, each held for ``observation_period``.

    Without ``auto_promote`` every later stage waits for ``promote``; without ``auto_rollback`` bad evidence
    pauses. A failed gate takes everybody back.
    """

    kind: Literal["canary"]
    percentage: Percentage = 5
    max_percentage: Percentage = 50
    observation_period: Duration = timedelta(hours=24)
    auto_promote: bool = True
    auto_rollback: bool = True

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if not 0 < self.percentage <= self.max_percentage:
            raise ValueError(
                f"percentage {self.percentage:g} and max_percentage {self.max_percentage:g} do not grow; "
                "write a percentage above 0 and not above max_percentage"
            )
        return self

    @property
    def needs_gates(self) -> bool:
        """Whether stages follow each other without a person."""
        return self.auto_promote

    def plan(self, spec: Policies, stable: str) -> Plan:
        """The stages of this canary, equal shares merged."""
        shares = sorted({self.percentage, self.max_percentage, 100.0})
        recourse: Literal["rollback", "pause"] = "rollback" if self.auto_rollback else "pause"
        ramp = Ramp(
            kind=self.kind,
            shares=shares,
            hold=self.observation_period,
            on_fail=recourse,
            on_guardrail=recourse,
            manual=not self.auto_promote,
        )
        return ramp.plan(spec, stable)
