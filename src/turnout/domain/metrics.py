"""The metrics an outcome carries: their names, kinds, units and which direction is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

AGREEMENT: Final = "agreement"
"""The metric of how alike the candidate's answers in shadow are to stable's: 0 (nothing in common) to 1 (the same)."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A known metric. ``kind`` is ``rate`` (0/1 per outcome) or ``number``; ``unit`` is for people.

    A rate of ``fractions`` has values from 0 to 1: what is tested of counts holds for their sums as well, as such a
    value is no more extreme than a 0 or 1 of the same mean (W. Hoeffding, "Probability inequalities for sums of bounded
    random variables", J. Am. Stat. Assoc. 58 (1963) 13-30, (4.1)).
    """

    name: str
    kind: Literal["rate", "number"]
    better: Literal["higher", "lower"]
    unit: str = ""
    fractions: bool = False


_KNOWN = {
    metric.name: metric
    for metric in (
        Metric("success_rate", "rate", "higher"),
        Metric("error_rate", "rate", "lower"),
        Metric("response_time", "number", "lower", "ms"),
        Metric("quality_score", "number", "higher"),
        Metric("satisfaction", "number", "higher"),
        Metric("cost", "number", "lower"),
        Metric(AGREEMENT, "rate", "higher", fractions=True),
    )
}
KNOWN_METRICS: tuple[str, ...] = tuple(_KNOWN)
"""Names with a meaning; any other name is a custom number from an outcome's ``values``, where agreement is as well."""


def metric_of(name: str, better: Literal["higher", "lower"] = "higher") -> Metric:
    """The metric called ``name``; a custom one is a number for which ``better`` says what is good."""
    return _KNOWN.get(name) or Metric(name, "number", better)
