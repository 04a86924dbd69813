"""What is expected of a rollout's traffic: from its spec, completed by the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from turnout.domain.errors import InvalidInput, Problem
from turnout.domain.expectation import Expectation
from turnout.domain.problems import problems_of

_OPTIONS = {
    "requests_per_minute": "--rate",
    "requests_per_user": "--per-user",
    "users": "--users",
    "metrics": "--metric",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What the command line says; None and nothing where it says nothing."""

    rate: float | None = None
    per_user: float | None = None
    users: float | None = None
    metrics: Sequence[str] = ()


def expectation(written: Expectation | None, said: Said) -> Expectation | None:
    """Both together, the command line first; None without any request rate.

    Raises:
        InvalidInput: what is said cannot be, with the option and what to write.
    """
    given = {"requests_per_minute": said.rate, "requests_per_user": said.per_user, "users": said.users}
    fields: dict[str, object] = written.model_dump(exclude_unset=True) if written is not None else {}
    fields |= {name: value for name, value in given.items() if value is not None}
    if "requests_per_minute" not in fields:
        return None
    metrics: dict[str, dict[str, object]] = written.model_dump()["metrics"] if written is not None else {}
    for name, level in map(_level, said.metrics):
        metrics[name] = metrics.get(name, {}) | level
    try:
        return Expectation.model_validate(fields | {"metrics": metrics})
    except ValidationError as error:
        raise InvalidInput(problems_of(error, Expectation)) from error


def as_option(problem: Problem) -> Problem:
    """``problem`` of an expectation, told of the option that said it."""
    field, _, name = problem.path.partition(".")
    return replace(problem, path=f"{_OPTIONS[field]} {name}".strip()) if field in _OPTIONS else problem


def _level(text: str) -> tuple[str, dict[str, float]]:
    """``error_rate=0.01``, or ``quality_score=0.85:0.15`` with a standard deviation."""
    name, _, numbers = text.rpartition("=")
    name = name.strip()
    mean, _, deviation = numbers.partition(":")
    try:
        if not name:
            raise ValueError(text)
        level = {"mean": float(mean)} | ({"deviation": float(deviation)} if deviation else {})
    except ValueError:
        remedy = "write for example error_rate=0.01, or quality_score=0.85:0.15 with a standard deviation"
        raise InvalidInput([Problem("--metric", "is no expected value", remedy, repr(text))]) from None
    return name, level
