"""Shadow: the candidate answers beside stable, for nobody to see, until it is known how it would do."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import field_validator

from turnout.domain import flags
from turnout.domain.durations import Duration
from turnout.domain.model import Frozen
from turnout.domain.plan import Plan, Stage
from turnout.domain.spec import Percentage, Policies
from turnout.strategies._ramp import LEAST_DEADLINE, guarding, in_shadow, weights


class Shadow(Frozen):
    """Everybody gets stable; the candidate answers the requests of ``sample`` of the users too, for ``duration``.

    Services compare the answers by ``comparator``, unless they have a comparison of their own. Gates and guardrails are
    about the answers in shadow; what fails ends it, and in the end everybody is on stable whatever was found.
    """

    kind: Literal["shadow"]
    sample: Percentage = 100
    duration: Duration = timedelta(hours=24)
    comparator: flags.Comparator | None = None

    @field_validator("sample")
    @classmethod
    def _asks_somebody(cls, sample: float) -> float:
        if sample == 0:
            raise ValueError("leaves nobody to compare answers of; write a percentage above 0, such as 20%")
        return sample

    @property
    def needs_gates(self) -> bool:
        """Nobody is moved."""
        return False

    def plan(self, spec: Policies, stable: str) -> Plan:
        """One stage, after which nothing has changed for anybody."""
        return Plan(
            flag=spec.flag,
            stable=stable,
            candidate=spec.candidate,
            strategy=self.kind,
            stages=(self._stage(spec, stable),),
            bounds=spec.bounds,
            end="return",
        )

    def _stage(self, spec: Policies, stable: str) -> Stage:
        sample = round(self.sample * 1000)
        return Stage(
            name=f"shadow {self.sample:g} %",
            weights=weights(spec.candidate, stable, 0),
            shadow=flags.Shadow(variant=spec.candidate, sample=sample, comparator=self.comparator),
            hold=self.duration,
            deadline=spec.deadline if spec.deadline is not None else max(self.duration, LEAST_DEADLINE),
            check_every=spec.check_every,
            gates=in_shadow(spec.gates),
            guardrails=guarding(in_shadow(spec.guardrails), "rollback"),
            on_fail="rollback",
            on_no_data=spec.on_no_data,
            on_inconclusive=spec.on_inconclusive,
            on_source_error=spec.on_source_error,
            max_attempts=spec.max_attempts,
        )
