"""What a person writes of a rollout, whatever its strategy; checked at the door."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from turnout.domain.durations import Duration
from turnout.domain.metrics import metric_of
from turnout.domain.model import Frozen
from turnout.domain.plan import Bounds, Gate, Name, Undecided, Unknown


def parse_percentage(value: object) -> float:
    """``5``, ``2.5``, ``"5%"`` or ``"5 %"`` as a number of percent.

    Raises:
        ValueError: not a number between 0 and 100, or finer than 0.001 %.
    """
    text = str(value).strip().removesuffix("%").strip()
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if isinstance(value, bool) or not 0 <= number <= 100:
        raise ValueError("is not a percentage; write a number from 0 to 100, such as 5 or 5%")
    if round(number, 3) != number:
        raise ValueError("is finer than the traffic can be split; use at most three decimals")
    return number


Percentage = Annotated[float, BeforeValidator(parse_percentage)]
"""Percent, 0..100, in steps of 0.001."""


class GateSpec(Gate):
    """A gate as written: exactly one kind of limit, and a quantile only where there is a distribution."""

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        limits = [name for name in ("min", "max", "versus") if getattr(self, name) is not None]
        if len(limits) != 1:
            found = " and ".join(limits) or "none"
            raise ValueError(f"a gate needs exactly one of min, max and versus; found {found}")
        if self.margin is not None and self.versus is None:
            raise ValueError("margin belongs to a comparison; add versus: stable, or remove margin")
        return self

    @model_validator(mode="after")
    def _fits_the_metric(self) -> Self:
        metric = metric_of(self.metric)
        if self.quantile is not None and (metric.kind == "rate" or self.max is None):
            raise ValueError("quantile needs a max on a metric with a distribution, such as response_time")
        limit = self.min if self.min is not None else self.max
        if metric.kind == "rate" and limit is not None and not 0 <= limit <= 1:
            raise ValueError(f"{self.metric} is a rate from 0 to 1; write 0.95 for 95 %")
        return self

    @model_validator(mode="after")
    def _fits_the_source(self) -> Self:
        if self.source.kind == "outcomes":
            return self
        field = "query" if self.source.kind == "prometheus" else "pointer"
        single = getattr(self.source, field) is not None
        counts = (self.source.numerator is not None, self.source.denominator is not None)
        if single == any(counts) or any(counts) != all(counts):
            raise ValueError(f"source needs either {field}, or numerator and denominator")
        if self.versus is not None or self.quantile is not None:
            raise ValueError("versus and quantile need single outcomes; put the comparison into the query")
        return self


class GuardrailSpec(GateSpec):
    """A guardrail as written. It is looked at again and again, so its interval is wider unless the spec says."""

    confidence: float = Field(default=0.99, ge=0.5, lt=1)


class ApprovalSpec(Frozen):
    """Consent needed before the candidate's share reaches ``before``; ``by`` names the approver's role."""

    before: Percentage
    by: str | None = None


class Policies(Frozen):
    """All of a rollout spec but its strategy.

    ``deadline`` bounds the time a stage may spend beyond its hold; it defaults to the hold, at least ten minutes.
    """

    flag: str = Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=200)
    candidate: str
    gates: tuple[GateSpec, ...] = ()
    guardrails: tuple[GuardrailSpec, ...] = ()
    approvals: tuple[ApprovalSpec, ...] = ()
    bounds: dict[Name, Bounds] = Field(default_factory=dict)
    check_every: Duration = timedelta(seconds=30)
    deadline: Duration | None = None
    on_no_data: Unknown = "pause"
    on_inconclusive: Undecided = "pause"
    on_source_error: Unknown = "pause"
    max_attempts: int = Field(default=3, ge=1, le=20)

    @field_validator("check_every")
    @classmethod
    def _not_too_often(cls, value: timedelta) -> timedelta:
        if value < timedelta(seconds=1):
            raise ValueError("must be at least 1s")
        return value

    @field_validator("gates")
    @classmethod
    def _gates_do_not_act(cls, gates: tuple[GateSpec, ...]) -> tuple[GateSpec, ...]:
        if any(gate.on_fail is not None for gate in gates):
            raise ValueError("on_fail belongs to a guardrail; what a failed gate does is the strategy's choice")
        return gates
