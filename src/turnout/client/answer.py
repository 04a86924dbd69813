"""What a guarded call gives."""

from __future__ import annotations

from typing import Generic, Literal, NamedTuple, TypeVar

from turnout.client.assignment import Assignment

T = TypeVar("T")

Reason = Literal[
    "assigned",
    "error_fallback",
    "timeout_fallback",
    "breaker_open",
    "quality_breaker_open",
    "budget_exceeded",
    "stopped",
    "unserved",
    "default",
]
"""Why a variant answered.

``assigned``: it is the one that the flag gives the unit. Otherwise it is stable, because the assigned variant failed
(``error_fallback``), took too long (``timeout_fallback``), may not be called (``breaker_open``,
``quality_breaker_open``), would cost more than there is (``budget_exceeded``) or is none of the systems of the call
(``unserved``); because the flag is ``stopped``; or because no flag says who is served what (``default``).
"""


class Answer(NamedTuple, Generic[T]):
    """The answer of a guarded call: its ``value``, which variant it was ``served_by``, and the ``reason`` of that.

    ``latency_ms`` is how long the system that answered took, in milliseconds. ``error`` is what the assigned variant
    failed with, if it did: what it raised, or a TimeoutError.
    """

    value: T
    served_by: str
    reason: Reason
    assignment: Assignment
    latency_ms: float
    error: BaseException | None = None


class RefusedAnswer(ValueError):
    """A system gave an answer that is none, as the function says that was registered to accept them."""
