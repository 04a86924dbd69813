"""Outcomes: what happened to one served request."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from turnout.domain.model import Frozen

Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", min_length=1, max_length=200)]
# The squares of the numbers are summed, and have to stay finite.
Number = Annotated[float, Field(ge=-1e100, le=1e100, allow_inf_nan=False)]
# PostgreSQL keeps no NUL character in text.
Text = Annotated[str, Field(pattern=r"^[^\x00]+$", min_length=1)]


class Outcome(Frozen):
    """What one served request came to, as a service reports it.

    ``id`` makes reporting idempotent. ``unit`` is the one the flag was resolved for. ``generation`` is the
    traffic generation the unit was resolved under (the flag's metadata has it); without one, the generation
    published at intake counts. ``latency_ms`` is in milliseconds, ``cost`` in the caller's currency; ``quality``
    and ``satisfaction`` are on the caller's scale. ``values`` holds any further number by metric name.
    """

    id: Text = Field(max_length=200)
    flag: Key
    variant: Key
    unit: Text = Field(max_length=500)
    ok: bool | None = None
    latency_ms: Annotated[Number, Field(ge=0)] | None = None
    quality: Number | None = None
    satisfaction: Number | None = None
    cost: Number | None = None
    values: dict[Key, Number] = Field(default_factory=dict, max_length=50)
    generation: int | None = Field(default=None, ge=0)
    at: AwareDatetime | None = None

    def measurements(self) -> dict[str, float]:
        """The outcome's number for every metric it carries; rates are 0 or 1."""
        found: dict[str, float] = dict(self.values)
        if self.ok is not None:
            found["success_rate"] = float(self.ok)
            found["error_rate"] = float(not self.ok)
        named = {
            "response_time": self.latency_ms,
            "quality_score": self.quality,
            "satisfaction": self.satisfaction,
            "cost": self.cost,
        }
        return found | {name: value for name, value in named.items() if value is not None}


def exceedance(metric: str, threshold: float) -> str:
    """The name of the 0/1 metric "``metric`` is above ``threshold``", by which quantiles are judged.

    "p95 ≤ 5000" is the same statement as "at most 5 % of the values exceed 5000".
    """
    return f"{metric}>{threshold!r}"
