"""What a person writes of a rollout, whatever its strategy; checked at the door."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, field_validator, model_validator

from turnout.domain.channels import Channel
from turnout.domain.durations import Duration
from turnout.domain.errors import Problem
from turnout.domain.expectation import Expectation
from turnout.domain.gates import GateSpec, GuardrailSpec, bounds_faults
from turnout.domain.model import Frozen
from turnout.domain.plan import SAMPLE_RATIO, Bounds, Name, OnBreaker, OnTimeout, Undecided, Unknown
from turnout.domain.problems import Faults
from turnout.domain.routing import Router
from turnout.domain.windows import Windows


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


def parse_moment(value: object) -> datetime:
    """``2026-12-01T09:00:00+01:00`` as a time.

    Raises:
        ValueError: no time, or one without an offset, so that it could be any hour.
    """
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("is no time with an offset; write it such as 2026-12-01T09:00:00+01:00")
    return moment


Moment = Annotated[AwareDatetime, BeforeValidator(parse_moment)]
"""A time with its offset to UTC."""


def _printable(value: str) -> str:
    if not value.isprintable() or not value.strip():
        raise ValueError("is no name; write at most 200 printable characters")
    return value


Title = Annotated[str, Field(max_length=200), AfterValidator(_printable)]
"""What people call a rollout."""


class ApprovalSpec(Frozen):
    """Consent needed before the candidate's share reaches ``before``; ``by`` names the approver's role.

    Nobody waits longer than ``timeout`` for it: then the rollout pauses, rolls back, or says so and waits on.
    """

    before: Percentage
    by: str | None = None
    timeout: Duration | None = None
    on_timeout: OnTimeout = "pause"

    @model_validator(mode="after")
    def _a_time_to_wait(self) -> Self:
        if self.timeout is not None and self.timeout <= timedelta():
            raise ValueError(
                "timeout is no time to wait; write one such as 24h, or leave it out to wait without an end"
            )
        if self.timeout is None and "on_timeout" in self.model_fields_set:
            raise ValueError("on_timeout without a timeout never applies; add timeout:, such as 24h")
        return self


class Policies(Frozen):
    """All of a rollout spec but its strategy. ``name`` is what people call it.

    ``deadline`` bounds the time a stage may spend beyond its hold; it defaults to the hold, at least ten minutes.
    ``sample_ratio`` watches that users are split as planned, by a guardrail in every stage in which both arms have
    traffic; one written in ``guardrails`` takes its place. ``expect`` says what traffic is normal: it foretells how
    long gates need and decides nothing. ``router`` moves requests outside of the services, next to the assignments.
    Traffic moves forward within ``windows`` only, and not before ``start_at``.
    """

    flag: str = Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=200)
    candidate: str
    name: Title | None = None
    gates: tuple[GateSpec, ...] = ()
    guardrails: tuple[GuardrailSpec, ...] = ()
    approvals: tuple[ApprovalSpec, ...] = ()
    windows: Windows = ()
    start_at: Moment | None = None
    bounds: dict[Name, Bounds] = Field(default_factory=dict)
    sample_ratio: bool = True
    expect: Expectation | None = None
    router: Router | None = None
    notify: Annotated[tuple[Channel, ...], Field(max_length=20)] = ()
    check_every: Duration = timedelta(seconds=30)
    deadline: Duration | None = None
    on_no_data: Unknown = "pause"
    on_inconclusive: Undecided = "pause"
    on_source_error: Unknown = "pause"
    on_breaker: OnBreaker = "pause"
    max_attempts: int = Field(default=3, ge=1, le=20)

    @field_validator("check_every")
    @classmethod
    def _not_too_often(cls, value: timedelta) -> timedelta:
        if value < timedelta(seconds=1):
            raise ValueError("must be at least 1s")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        faults = [*self._gate_faults(), *bounds_faults(self.bounds, self._by_path())]
        if faults:
            raise Faults(faults)
        return self

    def _gate_faults(self) -> Iterator[Problem]:
        for index, gate in enumerate(self.gates):
            if gate.on_fail is not None:
                remedy = "move it to guardrails:, or remove on_fail; the strategy says what a failed gate does"
                yield Problem(f"gates[{index}].on_fail", "belongs to a guardrail", remedy, repr(gate.on_fail))
            if gate.metric == SAMPLE_RATIO:
                why = "says nothing about the candidate, so no stage can pass by it"
                yield Problem(f"gates[{index}].metric", why, "move it to guardrails:", repr(gate.metric))

    def _by_path(self) -> dict[str, GateSpec]:
        gates = {f"gates[{index}]": gate for index, gate in enumerate(self.gates)}
        return gates | {f"guardrails[{index}]": gate for index, gate in enumerate(self.guardrails)}
