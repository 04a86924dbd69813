"""A/B and multivariate tests: what is asked of one, and what it found. Data only."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from turnout.domain.model import Frozen

EXPERIMENT: Final = "experiment"
"""The metric of the gate that judges an `Experiment`."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]

Goal = Literal["improve", "not_worse"]
"""What an arm is wanted for: to be better than the control, or to be no worse than a margin allows."""

Spending = Literal["obrien_fleming", "pocock"]
"""How several planned looks share the error rate: next to nothing early, or about as much at every look."""


class MetricUnderTest(Frozen):
    """One metric of a test.

    ``smallest_effect`` is the smallest improvement that matters, ``margin`` how much worse an arm may be where the
    ``goal`` is only to be not worse; both in the metric's unit (rates 0..1).
    """

    metric: Name
    better: Literal["higher", "lower"]
    goal: Goal = "improve"
    smallest_effect: float | None = Field(default=None, gt=0)
    margin: float | None = Field(default=None, ge=0)


class Experiment(Frozen):
    """A test of several arms with a planned sample.

    ``arms`` are all variants with their weights, the ``control`` among them; ``sample`` is how many users all arms
    together need. ``looks`` are the fractions of the sample at which the test is analysed, the last one at 1; with more
    than one they share the error rate ``significance`` (two-sided) by ``spending``. A test whose time is up is analysed
    with what it has.
    """

    control: Name
    arms: dict[Name, int] = Field(min_length=2)
    metrics: tuple[MetricUnderTest, ...] = Field(min_length=1)
    sample: int = Field(ge=2)
    significance: float = Field(default=0.05, gt=0, lt=0.5)
    power: float = Field(default=0.8, ge=0.5, lt=1)
    looks: tuple[float, ...] = (1.0,)
    spending: Spending = "obrien_fleming"

    @property
    def treatments(self) -> tuple[str, ...]:
        """The arms that are held against the control, in order."""
        return tuple(arm for arm in self.arms if arm != self.control)

    @property
    def improving(self) -> tuple[MetricUnderTest, ...]:
        """The metrics by which an arm can win; the first one ranks several winners."""
        return tuple(metric for metric in self.metrics if metric.goal == "improve")

    @property
    def comparisons(self) -> int:
        """How many comparisons share the error rate: every arm in every metric that it can win by."""
        return len(self.treatments) * len(self.improving)

    @property
    def label(self) -> str:
        """What is tested, in one short phrase: ``success_rate of lightrag versus perplexity``."""
        tested = ", ".join(metric.metric for metric in self.improving)
        return f"{tested} of {', '.join(self.treatments)} versus {self.control}"


ArmVerdict = Literal["control", "better", "worse", "not_worse", "undecided", "no_data"]


class ArmResult(Frozen):
    """One arm in one metric.

    ``value`` is its own mean or rate, ``effect`` the difference to the control in the metric's unit with its interval,
    ``lift`` the same as a share of the control's value. ``p_value`` (two-sided) is of no difference; ``p_corrected``
    counts all comparisons that share the error rate. All but the value are None for the control.
    """

    arm: str
    outcomes: int = 0
    users: int = 0
    value: float | None = None
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    lift: float | None = None
    p_value: float | None = None
    p_corrected: float | None = None
    verdict: ArmVerdict = "no_data"


class MetricResult(Frozen):
    """One metric of all arms, the control first.

    ``kind`` is rate or number, ``method`` names the test, ``confidence`` is that of the intervals.
    """

    metric: str
    goal: Goal
    better: Literal["higher", "lower"]
    kind: Literal["rate", "number"]
    method: str = ""
    confidence: float | None = None
    smallest_effect: float | None = None
    margin: float | None = None
    arms: tuple[ArmResult, ...] = ()

    def of(self, arm: str) -> ArmResult:
        """The result of ``arm``.

        Raises:
            KeyError: there is no such arm.
        """
        for one in self.arms:
            if one.arm == arm:
                return one
        raise KeyError(arm)


class LookTaken(Frozen):
    """One analysis: at which ``fraction`` of the sample, with how many ``users``.

    A comparison counts when its corrected p-value is below ``p_needed``; ``spent`` is how much of the error rate this
    and all earlier looks have used.
    """

    fraction: float
    users: int
    p_needed: float
    spent: float


Correction = Literal["none", "dunnett", "holm", "bonferroni"]
"""One comparison alone; several arms in one metric; several metrics; several of either at several looks."""

Action = Literal["deploy", "keep", "continue"]


class Recommendation(Frozen):
    """What to do: ``deploy`` the ``winner``, ``keep`` the control, or ``continue`` because it is undecided.

    ``confidence`` is one minus the p-value of the claim that ``reason`` makes; None where it makes none.
    """

    action: Action
    reason: str
    winner: str | None = None
    confidence: float | None = Field(default=None, ge=0, le=1)


class ExperimentResult(Frozen):
    """What a test has found.

    ``stage`` is ``waiting`` before the first look, ``interim`` after a look that decided nothing, ``final`` once the
    recommendation stands. ``users`` counts the users of all arms that count towards the ``sample``, ``split`` those of
    each arm with any outcome, ``planned`` the shares they should have (0..1), ``split_p`` the p-value of that split
    (valid at every look). ``correction`` tells how p-values are corrected for several comparisons. ``metrics`` are
    those of the last look.
    """

    control: str
    stage: Literal["waiting", "interim", "final"]
    sample: int
    users: int
    split: dict[str, int]
    planned: dict[str, float]
    split_p: float
    significance: float
    power: float
    correction: Correction = "none"
    looks: tuple[LookTaken, ...] = ()
    metrics: tuple[MetricResult, ...] = ()
    recommendation: Recommendation | None = None

    @property
    def final(self) -> bool:
        """Whether the recommendation stands, whatever comes later."""
        return self.stage == "final"
