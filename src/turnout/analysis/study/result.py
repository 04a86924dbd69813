"""What a study found, as data. Field names are the keys of ``--output json`` and are stable; see docs/analyse.md."""

from __future__ import annotations

from typing import Literal

from turnout.domain.model import Frozen

Verdict = Literal["better", "worse", "higher", "lower", "undecided", "no_data"]
"""What a comparison with the control shows. higher and lower where nobody said which is better."""

Status = Literal["met", "broken", "undecided", "no_data"]
"""What the evidence says of a requirement."""


class Estimate(Frozen):
    """An effect by one ``method``, with its two-sided interval (None for an end that is open) and p-value.

    ``scale``: ``difference`` arm - control in the metric's unit; ``ratio`` of the arm's rate over the control's;
    ``level`` of the arm itself, against a limit. ``counted`` says of a ratio which outcomes it is of: ``events`` or,
    where those are frequent, ``non_events``. ``p_corrected`` counts all comparisons. ``decided_at`` is the first time
    at which it was below the error rate, where a time was given. ``note`` says what limits the result.
    """

    method: str
    scale: Literal["difference", "ratio", "level"]
    estimate: float | None
    low: float | None
    high: float | None
    p_value: float | None
    p_corrected: float | None = None
    verdict: Verdict | None = None
    counted: Literal["events", "non_events"] | None = None
    decided_at: float | None = None
    note: str = ""


class Required(Frozen):
    """A requirement by one method: ``p_met`` and ``p_broken`` are one-sided, each held against half the error rate."""

    status: Status
    p_met: float
    p_broken: float


class Requirement(Frozen):
    """What was asked for: a ``limit`` on the arm, or how much worse than the control it may be."""

    kind: Literal["limit", "margin", "ratio"]
    value: float
    fixed: Required | None = None
    anytime: Required | None = None


class Simultaneous(Frozen):
    """Dunnett's interval and p-value, which count all arms of the metric against the one control."""

    low: float | None
    high: float | None
    p_value: float


class Ranks(Frozen):
    """``superiority`` is the probability that a unit of the arm has the higher mean; ``shift`` Hodges and Lehmann's."""

    superiority: float
    shift: float | None


class Adjustment(Frozen):
    """What the covariate took out: slope, share of the variance that is left, units that had no covariate."""

    theta: float
    variance_left: float
    units_without: int


class Crossing(Frozen):
    """The statistic at this look against the boundary of the planned looks (None: too early to stop)."""

    z: float
    boundary: float | None
    crossed: bool


class Part(Frozen):
    """The effect among the units of one segment."""

    segment: str
    units: int
    control_units: int
    estimate: float | None
    low: float | None
    high: float | None


class Segments(Frozen):
    """Effects by segment and Cochran's test that they are all the same (None with fewer than two usable)."""

    column: str
    parts: tuple[Part, ...]
    q: float | None
    freedom: int
    p_value: float | None


class Finding(Frozen):
    """One metric of one arm. ``control`` fields are None for a metric with a limit, which looks at the arm alone.

    ``value`` is the mean or rate; of a quantile the share of outcomes beyond ``threshold`` (the limit, or the control's
    quantile), and ``quantile`` the arm's own. ``detectable`` is the smallest true difference that this many units
    find with the wanted power, ``power_at_margin`` the power to show that the margin is kept were there none.
    """

    metric: str
    arm: str
    outcomes: int
    units: int
    value: float | None
    control_outcomes: int | None = None
    control_units: int | None = None
    control_value: float | None = None
    threshold: float | None = None
    quantile: float | None = None
    design_effect: float = 1.0
    fixed: Estimate | None = None
    anytime: Estimate | None = None
    simultaneous: Simultaneous | None = None
    ranks: Ranks | None = None
    adjustment: Adjustment | None = None
    crossing: Crossing | None = None
    requirement: Requirement | None = None
    detectable: float | None = None
    power_at_margin: float | None = None
    segments: Segments | None = None
    text: str = ""


class ArmCount(Frozen):
    """How many units an arm has, and its planned share of all units."""

    arm: str
    units: int
    share: float


class SampleRatio(Frozen):
    """Whether the units are split as planned. ``given``: the shares were, else they were taken to be equal."""

    arms: tuple[ArmCount, ...]
    given: bool
    p_value: float
    mismatch: bool
    text: str


class PlannedLook(Frozen):
    """At ``fraction`` of the planned units, ``spent`` of the error rate; stop at |z| of ``boundary`` (None: never)."""

    fraction: float
    spent: float
    boundary: float | None


class Plan(Frozen):
    """The looks that were planned, and where this one stands.

    ``alpha`` is the two-sided error rate of each comparison over all looks, ``fraction`` the share of the planned units
    that is in. ``due``: a planned look has been reached; ``boundary`` is that of |z| now (None: nothing stops it yet),
    with the planned looks before it taken as planned.
    """

    spending: str
    planned_units: int
    alpha: float
    looks: tuple[PlannedLook, ...]
    fraction: float
    due: bool
    boundary: float | None


class Column(Frozen):
    """What became of the values of a column."""

    column: str
    values: int
    missing: int
    not_finite: int


class Rows(Frozen):
    """What became of the rows: read, without unit or arm, repeated, and units left out because they crossed over."""

    read: int
    without_unit_or_arm: int
    repeated: int
    crossed_over_units: int
    units_in_several_segments: int = 0


class Study(Frozen):
    """All that was found. ``comparable`` is false when the sample ratio is wrong: read no comparison then."""

    control: str
    confidence: float
    power: float
    method: Literal["fixed", "anytime", "both"]
    correction: Literal["holm", "bh", "none"]
    comparisons: int
    rows: Rows
    columns: tuple[Column, ...]
    sample_ratio: SampleRatio
    comparable: bool
    plan: Plan | None
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
