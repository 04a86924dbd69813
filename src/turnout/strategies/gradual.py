"""Gradual: many small steps, one back when a gate fails."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field, field_validator

from turnout.domain.durations import Duration
from turnout.domain.model import Frozen
from turnout.domain.plan import OnFail, Plan
from turnout.domain.spec import Percentage, Policies
from turnout.strategies._ramp import Ramp, growing_to_all


class Gradual(Frozen):
    """One stage a percentage, each held for ``stage_duration``.

    A failed gate goes back one stage (``on_fail: previous_stage``); a failed guardrail takes everybody back.
    """

    kind: Literal["gradual"]
    stages: tuple[Percentage, ...] = Field(default=(5, 10, 25, 50, 75, 100), min_length=1)
    stage_duration: Duration = timedelta(hours=24)
    on_fail: OnFail = "previous_stage"

    @field_validator("stages")
    @classmethod
    def _grow_to_all(cls, stages: tuple[float, ...]) -> tuple[float, ...]:
        return growing_to_all(stages)

    @property
    def needs_gates(self) -> bool:
        """Stages follow each other without a person."""
        return True

    def plan(self, spec: Policies, stable: str) -> Plan:
        """One stage per percentage."""
        ramp = Ramp(kind=self.kind, shares=self.stages, hold=self.stage_duration, on_fail=self.on_fail)
        return ramp.plan(spec, stable)
