"""Turnout: progressive delivery on evidence.

Names are loaded when they are first used: workflows import ``turnout.domain`` and must not load an HTTP client.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from turnout.client import (
        Answer,
        Assignment,
        ErrorBreaker,
        Policy,
        QualityBreaker,
        Served,
        Status,
        Turnout,
    )
    from turnout.domain.errors import (
        CommandRefused,
        Conflict,
        Forbidden,
        InvalidInput,
        NotFound,
        Problem,
        RolloutOpen,
        SourceError,
        StaleGeneration,
        TurnoutError,
        Unavailable,
    )

__all__ = [
    "Answer",
    "Assignment",
    "CommandRefused",
    "Conflict",
    "ErrorBreaker",
    "Forbidden",
    "InvalidInput",
    "NotFound",
    "Policy",
    "Problem",
    "QualityBreaker",
    "RolloutOpen",
    "Served",
    "SourceError",
    "StaleGeneration",
    "Status",
    "Turnout",
    "TurnoutError",
    "Unavailable",
]

_CLIENT: Final = frozenset(
    {"Answer", "Assignment", "ErrorBreaker", "Policy", "QualityBreaker", "Served", "Status", "Turnout"}
)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module("turnout.client" if name in _CLIENT else "turnout.domain.errors")
    value: object = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
