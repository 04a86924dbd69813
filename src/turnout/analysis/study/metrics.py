"""What is asked of a column: ``NAME[:mean|rate|pNN][<=LIMIT|>=LIMIT][:higher|:lower]``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from turnout.domain.errors import InvalidInput, Problem
from turnout.domain.metrics import KNOWN_METRICS, metric_of

Kind = Literal["mean", "rate", "quantile"]
Better = Literal["higher", "lower"]

_WRITTEN = re.compile(
    r"(?P<column>.+?)(?::(?P<kind>mean|rate|p\d+(?:\.\d+)?))?(?:(?P<sign><=|>=)(?P<limit>[^:]*))?(?::(?P<better>higher|lower))?"
)
_REMEDY = (
    "write NAME[:mean|rate|pNN][<=LIMIT|>=LIMIT][:higher|:lower], such as quality:mean:higher or latency:p95<=5000"
)


@dataclass(frozen=True, slots=True)
class Metric:
    """One question about ``column``; ``label`` is how results and options name it.

    ``quantile`` is in 0..1 for the kind quantile. With a ``limit`` every arm is held against that number, which the
    value must not be above (``better`` lower) or below (higher); without one, arms are held against the control.
    ``better`` says which direction is good, None when nobody said.
    """

    column: str
    kind: Kind
    quantile: float | None = None
    limit: float | None = None
    better: Better | None = None

    @property
    def label(self) -> str:
        """``latency:p95<=5000``; without the direction."""
        kind = self.kind if self.quantile is None else f"p{self.quantile * 100:.10g}"
        sign = "" if self.limit is None else f"{'<=' if self.better == 'lower' else '>='}{self.limit:.15g}"
        return f"{self.column}:{kind}{sign}"

    @property
    def allowed(self) -> float | None:
        """With a limit on a quantile or a rate: the share of bad outcomes that is allowed, 0..1.

        "p95 ≤ 5000" allows 5 % above 5000, "p5 ≥ 0.6" allows 5 % below 0.6, "rate ≥ 0.95" allows 5 % of zeros.
        """
        if self.limit is None or self.kind == "mean":
            return None
        share = self.limit if self.quantile is None else self.quantile
        upper = self.better == "lower"
        return share if (self.kind == "rate") == upper else 1 - share


def parse_metric(text: str) -> Metric:
    """``text`` as a metric.

    The kind is mean unless the name is that of a known rate (``error_rate``). A limit says which direction is good;
    otherwise a known name does, and of a quantile lower is.

    Raises:
        InvalidInput: it is none, contradicts itself, or its limit is no number in range.
    """
    found = _WRITTEN.fullmatch(text)
    if found is None or not found["column"].strip():
        raise _problem(text, "is no metric")
    column, known = found["column"], found["column"] in KNOWN_METRICS
    plain = not known or metric_of(column).fractions
    kind, quantile = _kind(text, found["kind"] or ("mean" if plain else metric_of(column).kind))
    limit = None if found["sign"] is None else _limit(text, found["limit"], kind)
    by_limit: Better | None = None if limit is None else ("lower" if found["sign"] == "<=" else "higher")
    said: Better | None = None if found["better"] is None else ("higher" if found["better"] == "higher" else "lower")
    if said and by_limit and said != by_limit:
        raise _problem(text, f"says that {said} is better and sets a limit on the {said} side")
    usual: Better | None = metric_of(column).better if known else ("lower" if kind == "quantile" else None)
    return Metric(column, kind, quantile, limit, said or by_limit or usual)


def _kind(text: str, written: str) -> tuple[Kind, float | None]:
    if written.startswith("p"):
        quantile = float(written[1:]) / 100
        if not 0 < quantile < 1:
            raise _problem(text, f"has no quantile {written}: it must be between p0 and p100, without the ends")
        return "quantile", quantile
    return ("rate" if written == "rate" else "mean"), None


def _limit(text: str, written: str, kind: Kind) -> float:
    try:
        limit = float(written)
    except ValueError:
        raise _problem(text, f"has the limit {written!r}, which is no number") from None
    if not math.isfinite(limit) or (kind == "rate" and not 0 < limit < 1):
        raise _problem(text, "has a limit out of range: that of a rate is between 0 and 1, without the ends")
    return limit


def _problem(text: str, message: str) -> InvalidInput:
    return InvalidInput([Problem("--metric", message, _REMEDY, text)])
