"""The metrics an outcome carries: their names, kinds, units and which direction is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """A known metric. ``kind`` is ``rate`` (0/1 per outcome) or ``number``; ``unit`` is for people."""

    name: str
    kind: Literal["rate", "number"]
    better: Literal["higher", "lower"]
    unit: str = ""


_KNOWN = {
    metric.name: metric
    for metric in (
        Metric("success_rate", "rate", "higher"),
        Metric("error_rate", "rate", "lower"),
        Metric("response_time", "number", "lower", "ms"),
        Metric("quality_score", "number", "higher"),
        Metric("satisfaction", "number", "higher"),
        Metric("cost", "number", "lower"),
    )
}
KNOWN_METRICS: tuple[str, ...] = tuple(_KNOWN)
"""Names every outcome can carry; any other name is a custom number from an outcome's ``values``."""


def metric_of(name: str, better: Literal["higher", "lower"] = "higher") -> Metric:
    """The metric called ``name``; a custom one is a number for which ``better`` says what is good."""
    return _KNOWN.get(name) or Metric(name, "number", better)
