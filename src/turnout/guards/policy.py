"""How calls to the variants of a flag are guarded: time limit, breakers, and what a call is expected to cost."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from turnout.domain.bound import Bound
from turnout.domain.budget import micros
from turnout.domain.durations import parse_duration
from turnout.domain.model import Frozen
from turnout.guards.breaker import Breaker, OnChange, Recovery
from turnout.guards.meters import ErrorMeter, QualityMeter, SuccessMeter


def _positive(value: timedelta | str) -> timedelta | str:
    if parse_duration(value) <= timedelta():
        raise ValueError("has to be longer than nothing; write a duration such as 2s")
    return value


def _amount(value: Decimal | float | str) -> Decimal | float | str:
    micros(value)
    return value


def _fits(minimum: int, window: int) -> None:
    if minimum > window:
        raise ValueError(f"minimum ({minimum}) is above window ({window}); widen the window")


Time = Annotated[timedelta | str, BeforeValidator(parse_duration), AfterValidator(_positive)]
"""A ``timedelta``, or a text such as ``2s``, which becomes one."""

Money = Annotated[Decimal | float | str, AfterValidator(_amount)]
"""An amount of money, as `turnout.domain.budget.micros` reads it."""


class ErrorBreaker(Frozen):
    """Opens at the ``failure_threshold``-th failure in a row.

    With a ``min_success_rate``, 0 to 1, it also opens when fewer of the last ``window`` calls went well, once there are
    ``minimum``.

    After ``recovery_timeout`` at most ``at_once`` calls at a time pass as probes, until ``probes`` went well or one did
    not. Of the exceptions that a system raises, those of the kinds ``counts`` count. A call that took too long, or gave
    an answer that was not accepted, always does.
    """

    failure_threshold: int = Field(default=5, ge=1)
    min_success_rate: float | None = Field(default=None, ge=0, le=1)
    window: int = Field(default=50, ge=1)
    minimum: int = Field(default=20, ge=1)
    recovery_timeout: Time = timedelta(seconds=30)
    probes: int = Field(default=3, ge=1, le=1000)
    at_once: int = Field(default=1, ge=1, le=1000)
    counts: tuple[type[Exception], ...] = (Exception,)

    @model_validator(mode="after")
    def _enough(self) -> ErrorBreaker:
        _fits(self.minimum, self.window)
        return self

    def breaker(self, on_change: OnChange) -> Breaker:
        """A closed breaker of this kind."""
        timeout = parse_duration(self.recovery_timeout)
        recovery = Recovery(timeout=timeout, probes=self.probes, at_once=self.at_once)
        return Breaker(self._meter(), recovery, on_change=on_change)

    def _meter(self) -> ErrorMeter:
        if self.min_success_rate is None:
            return ErrorMeter(self.failure_threshold)
        return SuccessMeter(self.failure_threshold, self.min_success_rate, self.window, self.minimum)


class QualityBreaker(Frozen):
    """Opens when the mean quality of the last ``window`` answers is below ``threshold``, once there are ``minimum``.

    After ``recovery_timeout``, ``probes`` answers decide by their mean, at most ``at_once`` of them under way.
    """

    threshold: float
    window: int = Field(default=50, ge=1)
    minimum: int = Field(default=20, ge=1)
    recovery_timeout: Time = timedelta(minutes=5)
    probes: int = Field(default=5, ge=1, le=1000)
    at_once: int = Field(default=2, ge=1, le=1000)

    @model_validator(mode="after")
    def _enough(self) -> QualityBreaker:
        _fits(self.minimum, self.window)
        return self

    def breaker(self, on_change: OnChange) -> Breaker:
        """A closed breaker of this kind."""
        timeout = parse_duration(self.recovery_timeout)
        recovery = Recovery(timeout=timeout, probes=self.probes, at_once=self.at_once)
        return Breaker(QualityMeter(self.threshold, self.window, self.minimum), recovery, on_change=on_change)


class Policy(Frozen):
    """How the calls of one flag are guarded.

    Each system, stable included, has ``timeout`` to answer; None lets it take as long as it likes. ``errors`` and
    ``quality`` are the breakers of every variant but stable, None for none. Exceptions of the kinds ``expected`` are
    answers, such as "no such document": the caller gets them, nothing falls back, nothing counts as failed.
    ``estimate`` is what a call is expected to cost (a number, in the currency of the variant's budget); it is set aside
    before the call. Where no flag says which variant is stable, ``stable`` is, or else the first of the systems.
    """

    timeout: Time | None = timedelta(seconds=10)
    errors: ErrorBreaker | None = ErrorBreaker()
    quality: QualityBreaker | None = None
    expected: tuple[type[Exception], ...] = ()
    estimate: Money = 0
    stable: str | None = None

    @property
    def limit_s(self) -> float | None:
        """The time limit in seconds."""
        return None if self.timeout is None else parse_duration(self.timeout).total_seconds()

    @property
    def estimate_micros(self) -> int:
        """The estimate in millionths of the currency."""
        return micros(self.estimate)


def configured(policy: Policy, bound: Bound) -> Policy:
    """``policy`` with what the environment says of the flag, which goes before what the program says.

    Breakers that are switched off are off, both of them. A number alone changes the breaker that there is; a quality
    threshold and a least success rate make one.
    """
    if bound.circuit_breaker_enabled is False:
        return policy.model_copy(update={"errors": None, "quality": None})
    errors, quality = policy.errors, policy.quality
    if errors is None and (bound.circuit_breaker_enabled or bound.min_success_rate is not None):
        errors = ErrorBreaker()
    seconds = bound.circuit_breaker_timeout_seconds
    numbers = {
        "failure_threshold": bound.circuit_breaker_failure_threshold,
        "min_success_rate": bound.min_success_rate,
        "recovery_timeout": None if seconds is None else timedelta(seconds=seconds),
    }
    if errors is not None:
        errors = errors.model_copy(update={name: number for name, number in numbers.items() if number is not None})
    if bound.quality_threshold is not None:
        made = quality or QualityBreaker(threshold=bound.quality_threshold)
        quality = made.model_copy(update={"threshold": bound.quality_threshold})
    return policy.model_copy(update={"errors": errors, "quality": quality})
