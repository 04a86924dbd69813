"""Outcomes: what happened to one served request."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field

from turnout.domain.model import Frozen

Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", min_length=1, max_length=200)]
# The squares of the numbers are summed, and have to stay finite.
Number = Annotated[float, Field(ge=-1e100, le=1e100, allow_inf_nan=False)]
# PostgreSQL keeps no NUL character in text.
Text = Annotated[str, Field(pattern=r"^[^\x00]+$", min_length=1)]

Mode = Literal["serve", "shadow"]
"""Whether the user got the answer, or it was only made beside that, to be compared."""

ANY_METRIC: Final = "*"
"""The pseudo-metric that every outcome has, whatever it carries: by it units are counted when they arrive."""


class Outcome(Frozen):
    """What one served request came to, as a service reports it.

    ``id`` makes reporting idempotent. ``unit`` is the one the flag was resolved for. ``generation`` is the
    traffic generation the unit was resolved under (the flag's metadata has it); without one, the generation
    published at intake counts. ``latency_ms`` is in milliseconds, ``cost`` in the caller's currency; ``quality``
    and ``satisfaction`` are on the caller's scale. ``values`` holds any further number by metric name.
    ``decided_by`` is what the evaluation's metadata says under ``decidedBy``: outcomes of units that a rule, a holdout,
    a layer or an emergency stop served are kept, but were not drawn by the traffic and count for no comparison; nor
    does what stable answered in another variant's place (``fallback:<reason>``). In ``mode`` shadow the answer was
    served to nobody.
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
    decided_by: Annotated[Text, Field(max_length=300)] | None = None
    mode: Mode = "serve"

    @property
    def drawn(self) -> bool:
        """Whether the flag's traffic decided, so that the outcome counts for its statistics.

        Not so where a prerequisite, a rule, a holdout, a layer, the environment, a breaker or an emergency stop did:
        but for the last three they are told by name, as ``rule:staff``, and likewise a guarded call's fallback, as
        ``fallback:breaker_open``. Segments are traffic, and so is what goes to one arm alone (``static``) and what a
        split has no arm for (``default``). A shadow is drawn by its own sample, whatever served the user.
        """
        if self.mode == "shadow" or self.decided_by is None or self.segment is not None:
            return True
        return self.decided_by not in {"stopped", "breaker", "environment"} and ":" not in self.decided_by

    @property
    def segment(self) -> str | None:
        """The segment of the traffic that decided, if one did."""
        kind, colon, name = (self.decided_by or "").partition(":")
        return name if kind == "segment" and colon else None

    @property
    def arm(self) -> str:
        """The arm that the outcome counts for; see `arm_name`."""
        shadow = self.mode == "shadow"
        return arm_name(self.variant, None if shadow else self.segment, shadow=shadow)

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


def arm_name(variant: str, segment: str | None = None, *, shadow: bool = False) -> str:
    """What the statistics of ``variant`` are kept under: apart by segment, and apart from what was served to users.

    ``lightrag``, ``lightrag@beta`` in the segment ``beta``, ``lightrag:shadow`` in shadow. Neither ``@`` nor ``:`` is
    part of any name.
    """
    return f"{variant}@{segment}" if segment is not None else f"{variant}:shadow" if shadow else variant


def exceedance(metric: str, threshold: float) -> str:
    """The name of the 0/1 metric "``metric`` is above ``threshold``", by which quantiles are judged.

    "p95 ≤ 5000" is the same statement as "at most 5 % of the values exceed 5000".
    """
    return f"{metric}>{threshold!r}"


def beyond_stable(metric: str, quantile: float) -> str:
    """The name of the 0/1 metric "``metric`` is above the ``quantile`` of stable", by which quantiles are compared.

    The limit is frozen once per generation, before the values that are held against it: the quantile of the stable arm
    in the nearest earlier generation in which that arm has at least a thousand values, or else that of the present one
    as soon as it has so many. Values that came before count for nothing.
    """
    return f"{metric}>stable:{quantile!r}"


def capped(metric: str) -> str:
    """The name of the number metric "``metric``, or its cap where it is above": a mean that single values cannot move.

    The cap is the 99.9th percentile of stable, frozen like the limit of `beyond_stable`. Before there is one, nothing
    is capped.
    """
    return f"{metric}^cap"
