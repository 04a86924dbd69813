"""The plan: what a rollout will do, as data.

A strategy compiles a spec into a plan once, when the rollout starts; the rollout carries it, so that a later
change of the code never alters a running rollout.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, Field, JsonValue, StringConstraints, model_validator

from turnout.domain.bucketing import TOTAL
from turnout.domain.channels import Channel
from turnout.domain.durations import Duration
from turnout.domain.experiments import Experiment
from turnout.domain.flags import Segment, Shadow
from turnout.domain.health import Expectation, HealthProbe
from turnout.domain.model import Frozen
from turnout.domain.pointers import Pointer
from turnout.domain.routing import Router, Timeout, Url
from turnout.domain.splits import Preview
from turnout.domain.windows import Window

OnFail = Literal["rollback", "previous_stage", "pause"]
"""What a failed gate does."""

Recourse = Literal["pause", "rollback"]
"""What the failure of a guardrail asks for at once."""

Unknown = Literal["pause", "rollback", "hold"]
"""What happens when there is no evidence at the deadline; ``hold`` waits for it without an end."""

Undecided = Literal["pause", "rollback", "hold", "advance_if_no_evidence_of_harm"]
"""What happens when the evidence is inconclusive at the deadline."""

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


class HttpSource(Frozen):
    """The health of a service: 1 for an answer to a GET that is as expected, 0 for any other and for none at all.

    A gate on it passes with ``consecutive`` good answers in a row, and not before; how many bad ones in a row make it
    fail is the gate's own ``consecutive``.
    """

    kind: Literal["http"]
    url: Url
    expect: Expectation = Expectation()
    consecutive: int = Field(default=3, ge=1, le=100)
    timeout: Timeout = timedelta(seconds=2)

    @property
    def probe(self) -> HealthProbe:
        """What is asked each time."""
        return HealthProbe(url=self.url, expect=self.expect, consecutive=self.consecutive, timeout=self.timeout)


class RouterSource(Frozen):
    """Whether the router does as the stage says: 1 if it does, 0 if it did not; it is set right then.

    Every stage of a plan with a router has a signal on it; nobody writes one.
    """

    kind: Literal["router"]
    router: Router


Source = Annotated[
    OutcomeSource | PrometheusSource | JsonSource | HttpSource | RouterSource, Field(discriminator="kind")
]


class ScoredMetric(Frozen):
    """One metric of a `Scorecard`.

    ``direction`` says which change is bad: of an error rate an ``increase``, of a quality a ``decrease``. A
    ``critical`` metric that does not pass makes the whole score 0. ``weight`` is its part of the score; the weights of
    a scorecard need not sum to anything. ``must_have_data`` counts silence as a failure.
    """

    metric: Name
    direction: Literal["increase", "decrease", "either"]
    weight: float = Field(default=1.0, gt=0, le=1e6)
    critical: bool = False
    must_have_data: bool = False


class Scorecard(Frozen):
    """A judgement of many metrics by one score from 0 to 100, in the manner of Kayenta (Spinnaker's canary judge).

    Per metric the values of single minutes of both arms are compared by a Mann–Whitney test at ``confidence`` with a
    ``tolerance``, a share of the estimated shift. At least ``passing`` passes, below ``marginal`` fails.
    """

    metrics: tuple[ScoredMetric, ...] = Field(min_length=1, max_length=50)
    passing: float = Field(default=95, gt=0, le=100)
    marginal: float = Field(default=75, ge=0, lt=100)
    confidence: float = Field(default=0.98, gt=0.5, lt=1)
    tolerance: float = Field(default=0.25, ge=0, lt=1)
    min_points: int = Field(default=50, ge=3)


SAMPLE_RATIO: Final = "sample_ratio"
"""The metric of the gate that asks whether units are split between the arms as planned."""

SCORE: Final = "score"
"""The metric of a gate with a `Scorecard`."""


class Gate(Frozen):
    """One question put to the evidence.

    Absolute: ``min`` or ``max`` of a metric, for latency at a ``quantile``. Comparative: ``versus: stable``, against
    the stable traffic of the same stage, with a ``margin`` in the metric's unit or a ``ratio`` by which the candidate
    may be worse. A gate passes nothing before ``min_samples`` outcomes of ``min_units`` different units.

    ``method: anytime`` stays right however often one looks; ``fixed`` is a plain interval, right for one look. The
    error rate of a pass is ``1 - confidence``; that of a fail is shared among all deciding checks of the stage.
    ``alpha_pass`` and ``alpha_fail`` set them for this gate. A source that gives one number without a sample fails
    only after ``consecutive`` readings in a row beyond the limit, or after more than ``failure_limit`` of them in the
    stage; ``consecutive_error_limit`` failed reads in a row are borne before the stage holds for the source. Counts
    from an aggregating source are worth ``1/design_effect`` independent outcomes each. A ``dry_run`` gate is shown and
    decides nothing. ``score`` makes it a gate on a `Scorecard`; the metric ``sample_ratio`` asks about the split, and
    ``experiment`` is the test of an ``ab_test`` or ``multivariate`` strategy.

    It is about the candidate, or about another ``arm`` of a test. A guardrail's ``on_fail`` acts at once; with ``hold``
    it is a signal: the stage waits until it has recovered.
    """

    metric: Name
    source: Source = OutcomeSource()
    min: float | None = None
    max: float | None = None
    quantile: float | None = Field(default=None, gt=0, lt=1)
    versus: Literal["stable"] | None = None
    margin: float | None = Field(default=None, ge=0)
    ratio: float | None = Field(default=None, gt=0)
    better: Literal["higher", "lower"] | None = None
    method: Literal["anytime", "fixed"] = "anytime"
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    alpha_fail: float | None = Field(default=None, gt=0, lt=0.5)
    alpha_pass: float | None = Field(default=None, gt=0, lt=0.5)
    min_samples: int = Field(default=50, ge=1)
    min_units: int = Field(default=20, ge=2)
    consecutive: int = Field(default=3, ge=1)
    failure_limit: int | None = Field(default=None, ge=0)
    consecutive_error_limit: int = Field(default=2, ge=0)
    design_effect: float = Field(default=3.0, ge=1)
    score: Scorecard | None = None
    experiment: Experiment | None = None
    arm: Name | None = None
    dry_run: bool = False
    on_fail: Literal["pause", "rollback", "hold"] | None = None
    on_no_data: Unknown | None = None
    on_inconclusive: Undecided | None = None
    on_source_error: Unknown | None = None

    @property
    def label(self) -> str:
        """What the gate asks, in one short phrase: ``p95 of response_time ≤ 5000``."""
        if self.experiment is not None:
            return self.experiment.label
        if self.score is not None:
            return f"score of {len(self.score.metrics)} metrics ≥ {self.score.passing:g}"
        if self.metric == SAMPLE_RATIO:
            return "users split as planned"
        if self.source.kind == "router":
            return "the router does as planned"
        subject = self.metric if self.quantile is None else f"p{self.quantile * 100:g} of {self.metric}"
        subject = subject if self.arm is None else f"{subject} of {self.arm}"
        if self.versus is not None:
            allowed = f"ratio {self.ratio:g}" if self.ratio is not None else f"margin {self.margin or 0:g}"
            return f"{subject} versus {self.versus}, {allowed}"
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


OnTimeout = Literal["pause", "rollback", "hold"]
"""What happens when nobody has approved in time: nothing is ever approved by itself. ``hold`` says so and waits on."""


class Approval(Frozen):
    """A person's consent before a stage begins. ``by`` names the role; none means anybody but the starter.

    Without consent within ``timeout`` of asking ``on_timeout`` applies.
    """

    by: str | None = None
    timeout: Duration | None = None
    on_timeout: OnTimeout = "pause"


class Stage(Frozen):
    """One traffic allocation, how long to hold it, and what is asked of it.

    ``weights`` are in 1/100000 and sum to 100000, the candidate first. Users in one of ``segments`` go by its weights.
    What is asked is asked of the outcomes outside the segments, of those in the segment named ``focus``, or, where
    the stage has a ``shadow``, of those made in shadow. Only ``exposed`` users in 100000 are included at all.
    ``hold`` counts only time in which the evidence was watched. ``deadline`` bounds the time beyond the hold (or
    without a source) before ``on_*`` applies. ``approval`` and ``manual`` are conditions for entering the stage:
    ``manual`` waits for ``promote``. It is entered within ``windows`` only (none: at any time); those of the last stage
    are also those of completing the rollout. ``preview`` is for the plan's router: requests that get one variant
    whatever the weights.
    """

    name: str
    weights: dict[str, int]
    hold: Duration
    deadline: Duration
    check_every: Duration
    segments: tuple[Segment, ...] = ()
    focus: str | None = None
    shadow: Shadow | None = None
    exposed: int = Field(default=TOTAL, ge=1, le=TOTAL)
    gates: tuple[Gate, ...] = ()
    guardrails: tuple[Gate, ...] = ()
    on_fail: OnFail = "rollback"
    on_no_data: Unknown = "pause"
    on_inconclusive: Undecided = "pause"
    on_source_error: Unknown = "pause"
    approval: Approval | None = None
    manual: bool = False
    windows: tuple[Window, ...] = ()
    max_attempts: int = Field(default=3, ge=1)
    preview: Preview | None = None

    @property
    def test(self) -> bool:
        """Whether its traffic is that of an A/B or multivariate test."""
        return any(gate.experiment is not None for gate in self.gates)

    @property
    def watched(self) -> dict[str, int]:
        """The weights of the users whose outcomes are asked about."""
        return next((segment.weights for segment in self.segments if segment.name == self.focus), self.weights)


OnBreaker = Literal["pause", "rollback", "ignore"]
"""What becomes of a rollout whose candidate a breaker has blocked."""


class Plan(Frozen):
    """The ordered stages of one rollout of ``flag`` from ``stable`` to ``candidate``.

    Nothing begins before ``start_at``. ``notify`` is told of it. ``name`` is what people call it. When a breaker of
    the candidate opens, ``on_breaker`` happens.

    A rollout that completes makes the candidate the flag's stable variant (``end: adopt``), leaves the traffic of its
    last stage as it is (``stay``), or gives everybody stable (``return``). ``follow_up`` is the spec of the rollout
    that ships the winner of a test, without its candidate.

    ``router`` moves the requests of every stage; without one, and with one of kind ``resolver``, the flag's
    assignments alone do.
    """

    flag: str
    stable: str
    candidate: str
    strategy: str
    stages: tuple[Stage, ...] = Field(min_length=1)
    bounds: dict[str, Bounds] = Field(default_factory=dict)
    end: Literal["adopt", "stay", "return"] = "adopt"
    router: Router | None = None
    notify: tuple[Channel, ...] = ()
    start_at: AwareDatetime | None = None
    follow_up: dict[str, JsonValue] | None = None
    on_breaker: OnBreaker = "pause"
    name: str | None = None

    def share(self, stage: int) -> float:
        """The candidate's share of the users that ``stage`` is about, 0..1."""
        return self.stages[stage].watched.get(self.candidate, 0) / 100_000
