"""Semantic versions as flagd's ``sem_ver`` operator reads and compares them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

_IDENTIFIER = r"(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_VERSION: Final = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    rf"(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?"
    r"(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?",
    re.ASCII,
)
_PARTS: Final = re.compile(r"[-+]")

Prerelease = tuple[tuple[int, int, str], ...]


class Version(NamedTuple):
    """A version that ``<`` and ``==`` compare by the precedence of semver.org; build data is dropped."""

    major: int
    minor: int
    patch: int
    final: bool
    prerelease: Prerelease


def exact_version(text: str) -> Version | None:
    """``text`` as a full version (``1.2.3-rc.1``); None when it is none."""
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    try:
        major, minor, patch = (int(match[i]) for i in (1, 2, 3))
        prerelease = tuple(_rank(part) for part in match[4].split(".")) if match[4] else ()
    except ValueError:  # more digits than Python converts
        return None
    return Version(major, minor, patch, not prerelease, prerelease)


def lenient_version(value: object) -> Version | None:
    """An attribute as a version, as flagd reads it: ``v1.2`` is 1.2.0; None when it is none."""
    text = str(value)
    if text.startswith(("v", "V")):
        text = text[1:]
    numbers = _PARTS.split(text, maxsplit=1)[0]
    padding = ".0" * max(0, 2 - numbers.count("."))
    return exact_version(numbers + padding + text[len(numbers) :])


COMPARISONS: Final[Mapping[str, Callable[[Version, Version], bool]]] = MappingProxyType(
    {
        "=": lambda a, b: a == b,
        "!=": lambda a, b: a != b,
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b,
        "^": lambda a, b: a.major == b.major,
        "~": lambda a, b: a[:2] == b[:2],
    }
)
"""The comparisons of ``sem_ver``: ``^`` asks for the same major version, ``~`` for the same minor one too."""


def _rank(identifier: str) -> tuple[int, int, str]:
    """Numbers before words, numbers by size, words by their ASCII codes."""
    return (0, int(identifier), "") if identifier.isdigit() else (1, 0, identifier)
