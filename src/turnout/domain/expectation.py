"""What a person expects of a rollout's traffic, to foresee how long its stages need."""

from __future__ import annotations

from typing import Self, cast

from pydantic import Field, model_validator

from turnout.domain.errors import Problem
from turnout.domain.metrics import metric_of
from turnout.domain.model import Frozen
from turnout.domain.plan import Name
from turnout.domain.problems import Faults


class Level(Frozen):
    """What one metric usually is: its ``mean`` (0 to 1 for a rate) and the standard ``deviation`` of single values.

    ``above`` is the expected share of values above the limit of a quantile gate, 0 to 1. A bare number is a mean.
    """

    mean: float
    deviation: float | None = Field(default=None, gt=0)
    above: float | None = Field(default=None, ge=0, lt=1)

    @model_validator(mode="before")
    @classmethod
    def _bare_mean(cls, value: object) -> object:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return {"mean": value}
        if not isinstance(value, dict | Level):
            raise ValueError("is no expected value; write its mean, such as 0.97, or {mean: 0.85, deviation: 0.15}")
        return cast("object", value)


class Expectation(Frozen):
    """The traffic of a flag, both arms together, and what is normal for its metrics.

    ``correlation`` is how alike the outcomes of one user are (intraclass, 0 to 1); with ``requests_per_user`` it gives
    how many outcomes are worth one independent outcome. ``users`` bounds how many different users there are at all.
    """

    requests_per_minute: float = Field(gt=0, le=1e9)
    requests_per_user: float = Field(default=1.0, ge=1)
    users: float | None = Field(default=None, gt=0)
    correlation: float = Field(default=0.1, ge=0, le=1)
    metrics: dict[Name, Level] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _rates_are_rates(self) -> Self:
        faults = [
            Problem(
                f"metrics.{name}", f"{name} is a rate from 0 to 1, and {level.mean:g} is none", "write 0.97 for 97 %"
            )
            for name, level in self.metrics.items()
            if metric_of(name).kind == "rate" and not 0 <= level.mean <= 1
        ]
        if faults:
            raise Faults(faults)
        return self

    @property
    def design_effect(self) -> float:
        """``1 + (m - 1)·ρ`` (L. Kish, "Survey Sampling", 1965, 5.4)."""
        return 1 + (self.requests_per_user - 1) * self.correlation
