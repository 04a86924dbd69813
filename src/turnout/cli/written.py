"""Numbers by name, and lists of numbers, as people write them on the command line."""

from __future__ import annotations

from collections.abc import Iterable

from turnout.cli.failures import usage


def numbers_of(option: str, written: Iterable[str], example: str) -> dict[str, float]:
    """``["stable=0.95", "candidate=0.05"]`` as numbers by name.

    Raises:
        Failure: a part is no ``NAME=NUMBER``, or a name is there twice.
    """
    numbers: dict[str, float] = {}
    for text in written:
        name, equals, value = text.rpartition("=")
        if not equals or not name.strip():
            raise usage(f"{option} {text} is no NAME=NUMBER; write {option} {example}")
        if name.strip() in numbers:
            raise usage(f"{option} names {name.strip()} twice; keep one of them")
        numbers[name.strip()] = _number(option, value, example)
    return numbers


def fractions_of(option: str, written: str) -> tuple[float, ...]:
    """``0.25,0.5,1`` as numbers; an empty text is none.

    Raises:
        Failure: a part is no number.
    """
    return tuple(_number(option, part, "0.25,0.5,0.75,1") for part in written.split(",")) if written else ()


def _number(option: str, text: str, example: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise usage(f"{option} holds {text.strip()!r}, which is no number; write {option} {example}") from None
