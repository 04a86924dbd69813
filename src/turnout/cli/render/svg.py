"""Small drawings as SVG text: elements, axes and scales. Colours are classes, which the page's style gives."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Final

_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values from ``low`` to ``high`` onto pixels from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where ``value`` is; the middle when the scale has no width."""
        if self.high == self.low:
            return (self.start + self.end) / 2
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values within the scale, at most ``most`` steps apart."""
        width = self.high - self.low
        if not width > 0:
            return [self.low]
        magnitude = 10 ** math.floor(math.log10(width / most))
        step = next(factor * magnitude for factor in _STEPS if width / (factor * magnitude) <= most)
        first = math.ceil(self.low / step - 1e-9)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


def element(name: str, content: str = "", /, **attributes: object) -> str:
    """``<name …>content</name>``; a trailing or inner ``_`` of an attribute stands for nothing or ``-``.

    ``content`` is markup already; attribute values are escaped.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"' for key, value in attributes.items()
    )
    return f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>"


def text(x: float, y: float, words: str, **attributes: object) -> str:
    """A line of text at a point."""
    return element("text", escape(words), x=x, y=y, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: object) -> str:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, **attributes)


def path(points: Iterable[tuple[float, float]], *, closed: bool = False, **attributes: object) -> str:
    """A line through ``points``, or the area it encloses."""
    drawn = " L".join(f"{_number(x)},{_number(y)}" for x, y in points)
    return element("path", d=f"M{drawn}{' Z' if closed else ''}", **attributes)


def drawing(width: float, height: float, title: str, *parts: str) -> str:
    """A whole picture; ``title`` is what it shows, for those who do not see it."""
    inner = element("title", escape(title)) + "".join(parts)
    return element("svg", inner, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=title)


def _number(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
