"""What an answer is worth: numbers that it carries, and numbers that scorers find."""

from __future__ import annotations

import inspect
import math
import threading
from collections.abc import Callable, Mapping
from decimal import Decimal
from numbers import Real
from typing import Any, Final, cast

from turnout.client.background import told

Score = Callable[..., float]
"""An answer -> a number, on the caller's scale. What else it takes are arguments of the call, by name."""

Judge = Callable[[Any, Mapping[str, Any]], Any]
"""(the answer, the arguments of the call) -> what a function of the caller's makes of them."""

Numbers = dict[str, float]
Trouble = Callable[[str, str], None]
"""Told of the kind of a trouble, and why."""

CARRIED: Final = ("quality", "satisfaction", "cost")
"""What an answer may tell of itself, as an attribute or as a key of a mapping."""

UNSCORED: Final = "unscored"
_MUTE: Final = frozenset({str, bytes, int, float, bool, list, tuple, set, type(None)})


def carried(answer: object) -> Numbers:
    """The numbers among ``quality``, ``satisfaction`` and ``cost`` that ``answer`` carries. Never raises."""
    if type(answer) in _MUTE:
        return {}
    found: Numbers = {}
    for name in CARRIED:
        try:
            value: object = _part(answer, name)
            number = None if value is None else _number(value)
        # Whatever a property of the answer does is no reason to fail the request.
        except Exception:
            number = None
        if number is not None:
            found[name] = number
    return found


def own_quality(answer: object) -> float:
    """The quality that ``answer`` carries. Raises ValueError when it carries none."""
    numbers = carried(answer)
    if "quality" not in numbers:
        raise ValueError("the answer carries no quality")
    return numbers["quality"]


def judge_of(function: Callable[..., Any]) -> Judge:
    """``function`` with those of a call's arguments that it takes besides the answer, which comes first."""
    try:
        taken = list(inspect.signature(function).parameters.values())[1:]
    # Some built-in functions do not tell.
    except (TypeError, ValueError):
        taken = []
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken):
        return lambda answer, arguments: function(answer, **arguments)
    named = {p.name for p in taken if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    if not named:
        return lambda answer, _: function(answer)
    return lambda answer, arguments: function(answer, **{name: arguments[name] for name in named & arguments.keys()})


def scored(
    answer: object, arguments: Mapping[str, Any], scorers: Mapping[str, Judge], into: Numbers, trouble: Trouble
) -> None:
    """Put what every scorer finds ``into`` a mapping; one that raises, or gives no number, is left out and told."""
    for name, score in scorers.items():
        try:
            value: object = score(answer, arguments)
            if inspect.iscoroutine(value):
                value.close()
                raise TypeError("a scorer is a plain function; this one gives a coroutine, which nobody awaits")
            number = _number(value)
            if number is None:
                raise ValueError(f"{value!r} is no number of use")
            into[name] = number
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            trouble(UNSCORED, f"{name}: {told(error)}")


class Once:
    """A scorer that scores ``answer`` once, however many ask; of any other answer it knows nothing."""

    def __init__(self, score: Judge, answer: object) -> None:
        self._score: Final = score
        self._answer: Final = answer
        self._lock = threading.Lock()
        self._found: list[Any] = []

    def __call__(self, answer: object, arguments: Mapping[str, Any]) -> Any:
        """The score."""
        if answer is not self._answer:
            return self._score(answer, arguments)
        with self._lock:
            if not self._found:
                self._found.append(self._score(answer, arguments))
        return self._found[0]


def _part(answer: object, name: str) -> object:
    if isinstance(answer, Mapping):
        return cast("Mapping[object, object]", answer).get(name)
    return getattr(answer, name, None)


def _number(value: object) -> float | None:
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, Real | Decimal)):
        return None
    number = float(cast("float", value))
    return number if math.isfinite(number) and abs(number) <= 1e100 else None
