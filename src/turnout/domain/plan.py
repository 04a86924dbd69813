"""The plan: what a rollout will do, as data.

A strategy compiles a spec into a plan once, when the rollout starts; the rollout carries it, so that a later
change of the code never alters a running rollout.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from turnout.domain.durations import Duration
from turnout.domain.model import Frozen
from turnout.domain.pointers import parse_pointer

OnFail = Literal["rollback", "previous_stage", "pause"]
"""What a failed gate does."""

Recourse = Literal["pause", "rollback"]
"""What happens when a guardrail fails, or when a stage still cannot be decided at its deadline."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class OutcomeSource(Frozen):
    """The outcomes that services report; the default source."""

    kind: Literal["outcomes"] = "outcomes"


class PrometheusSource(Frozen):
    """A Prometheus server.

    Either ``query`` (one number) or ``numerator`` and ``denominator`` (counts of events, which allow an interval).
    ``{flag}``, ``{candidate}``, ``{stable}`` and ``{window}`` (time since the stage began, such as ``120s``) are
    replaced in the queries.
    """

    kind: Literal["prometheus"]
    url: str
    query: str | None = None
    numerator: str | None = None
    denominator: str | None = None
    timeout: Duration = timedelta(seconds=10)


def _pointer(text: str) -> str:
    parse_pointer(text)
    return text


Pointer = Annotated[str, AfterValidator(_pointer)]
"""A path into a JSON document; see `turnout.domain.pointers`."""


class JsonSource(Frozen):
    """Any HTTP endpoint that answers JSON; ``pointer`` walks to the number: ``data.items[0].value``.

    ``numerator`` and ``denominator`` are pointers to counts and allow an interval. The URL takes the same
    replacements as a Prometheus query. ``headers`` values may name an environment variable: ``$TOKEN``.
    """

    kind: Literal["json"]
    url: str
    pointer: Pointer | None = None
    numerator: Pointer | None = None
    denominator: Pointer | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    timeout: Duration = timedelta(seconds=10)


Source = Annotated[OutcomeSource | PrometheusSource | JsonSource, Field(discriminator="kind")]


class Gate(Frozen):
    """One question put to the evidence.

    Absolute: ``min`` or ``max`` of a metric, for latency at a ``quantile``. Comparative: ``versus: stable`` with a
    ``margin`` in the metric's unit by which the candidate may be worse than the stable traffic of the same stage.
    ``confidence`` is that of the two-sided interval the decision is based on. A gate decides nothing
    before ``min_samples`` outcomes of ``min_units`` different units. A source that gives one number without a
    sample fails only after ``consecutive`` readings in a row beyond the limit.
    """

    metric: Name
    source: Source = OutcomeSource()
    min: float | None = None
    max: float | None = None
    quantile: float | None = Field(default=None, gt=0, lt=1)
    versus: Literal["stable"] | None = None
    margin: float | None = Field(default=None, ge=0)
    better: Literal["higher", "lower"] | None = None
    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    min_samples: int = Field(default=50, ge=1)
    min_units: int = Field(default=20, ge=2)
    consecutive: int = Field(default=3, ge=1)
    on_fail: Recourse | None = None

    @property
    def label(self) -> str:
        """What the gate asks, in one short phrase: ``p95 of response_time ≤ 5000``."""
        subject = self.metric if self.quantile is None else f"p{self.quantile * 100:g} of {self.metric}"
        if self.versus is not None:
            return f"{subject} versus {self.versus}, margin {self.margin or 0:g}"
        sign, limit = ("≥", self.min) if self.min is not None else ("≤", self.max)
        return f"{subject} {sign} {limit:g}"


class Bounds(Frozen):
    """The range a metric's single values can have; a value outside is rejected and counted."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        low = -math.inf if self.min is None else self.min
        high = math.inf if self.max is None else self.max
        if low >= high or (low, high) == (-math.inf, math.inf):
            raise ValueError("bounds need a min, a max, or both, the min below the max; write {min: 0, max: 1}")
        return self


class Approval(Frozen):
    """A person's consent before a stage begins. ``by`` names the role; none means anybody but the starter."""

    by: str | None = None


class Stage(Frozen):
    """One traffic allocation, how long to hold it, and what is asked of it.

    ``weights`` are in 1/100000 and sum to 100000, the candidate first. ``hold`` counts only time in which the
    evidence was watched. ``deadline`` bounds the time beyond the hold (or without a source) before ``on_*`` applies.
    ``approval`` and ``manual`` are conditions for entering the stage: ``manual`` waits for ``promote``.
    """

    name: str
    weights: dict[str, int]
    hold: Duration
    deadline: Duration
    check_every: Duration
    gates: tuple[Gate, ...] = ()
    guardrails: tuple[Gate, ...] = ()
    on_fail: OnFail = "rollback"
    on_no_data: Recourse = "pause"
    on_inconclusive: Recourse = "pause"
    on_source_error: Recourse = "pause"
    approval: Approval | None = None
    manual: bool = False
    max_attempts: int = Field(default=3, ge=1)


class Plan(Frozen):
    """The ordered stages of one rollout of ``flag`` from ``stable`` to ``candidate``."""

    flag: str
    stable: str
    candidate: str
    strategy: str
    stages: tuple[Stage, ...] = Field(min_length=1)
    bounds: dict[str, Bounds] = Field(default_factory=dict)

    def share(self, stage: int) -> float:
        """The candidate's share of ``stage``, 0..1."""
        return self.stages[stage].weights.get(self.candidate, 0) / 100_000
