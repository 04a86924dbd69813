"""Durations the way people write them: ``24h``, ``90s``, ``1h30m``, ``7d``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_TOKEN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_NAMES = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def parse_duration(value: object) -> timedelta:
    """Read ``value`` as a duration: text such as ``1h30m``, a ``timedelta``, or ISO 8601 (``PT1H``).

    Raises:
        ValueError: the text is no duration; a bare number is refused because its unit would be a guess.
    """
    if isinstance(value, timedelta):
        return value
    text = str(value).strip()
    if isinstance(value, str) and text.startswith("P"):
        return _parse_iso(text)
    if not isinstance(value, str) or _TOKEN.sub("", text) or not text:
        raise ValueError("is not a duration; write a number with a unit, such as 30s, 10m, 24h or 7d")
    return timedelta(seconds=sum(float(n) * _UNITS[u] for n, u in _TOKEN.findall(text)))


_ISO = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


def _parse_iso(text: str) -> timedelta:
    match = _ISO.fullmatch(text)
    if match is None or text in ("P", "PT"):
        raise ValueError("is not a duration; write a number with a unit, such as 30s, 10m, 24h or 7d")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def format_duration(value: timedelta) -> str:
    """``value`` in at most two units (``1d 6h``, ``2m 30s``, ``0.5s``), for people."""
    seconds = value.total_seconds()
    if abs(seconds) < 10 and seconds != int(seconds):
        return f"{seconds:.3g}s"
    if seconds < 0:
        return "-" + format_duration(-value)
    rest, parts = round(seconds), list[str]()
    for name, size in _NAMES:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{name}")
    return " ".join(parts[:2]) or "0s"


def _compact(value: timedelta) -> str:
    seconds = value.total_seconds()
    for name, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{name}"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


Duration = Annotated[
    timedelta, BeforeValidator(parse_duration), PlainSerializer(_compact, return_type=str, when_used="json")
]
"""A ``timedelta`` field that reads ``24h`` and writes ``24h``."""
