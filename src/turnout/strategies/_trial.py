"""What A/B and multivariate tests share: what is measured, how many users it takes, and the one stage of the plan."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Final, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from turnout.domain.bucketing import TOTAL
from turnout.domain.durations import Duration
from turnout.domain.errors import InvalidInput, Problem
from turnout.domain.experiments import EXPERIMENT, Experiment, Goal, MetricUnderTest, Spending
from turnout.domain.gates import GateSpec
from turnout.domain.metrics import AGREEMENT, KNOWN_METRICS, metric_of
from turnout.domain.model import Frozen
from turnout.domain.plan import SAMPLE_RATIO, Gate, Name, OnFail, Plan, Stage
from turnout.domain.problems import Faults
from turnout.domain.sample_size import Wanted
from turnout.domain.spec import Percentage, Policies
from turnout.strategies._ramp import LEAST_DEADLINE, askable, growing_to_all, with_the_split

_OWN: Final = {"strategy", "pipeline", "candidate", "gates", "start_at"}
"""What of its spec is the test's own, and not that of the rollout which ships its winner."""

_BOTH_ARMS: Final = 50.0
"""Any share below 100 %: the control has traffic throughout."""


class TrialMetric(Frozen):
    """One metric of a test, or just its name.

    By the ``goal`` an arm is wanted to ``improve`` it, or to be ``not_worse`` by more than ``margin``.
    ``smallest_effect`` is the smallest improvement that matters; with the control's usual ``baseline`` (a rate) or the
    standard ``deviation`` of single values it gives the sample. All are in the metric's unit, rates 0..1.
    """

    metric: Name
    goal: Goal = "improve"
    better: Literal["higher", "lower"] | None = None
    smallest_effect: float | None = Field(default=None, gt=0)
    margin: float | None = Field(default=None, ge=0)
    baseline: float | None = None
    deviation: float | None = Field(default=None, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: object) -> object:
        return {"metric": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        faults = [*self._goal_faults(), *self._size_faults()]
        if faults:
            raise Faults(faults)
        return self

    @property
    def rate(self) -> bool:
        """Whether its values are 0 or 1."""
        return metric_of(self.metric).kind == "rate"

    @property
    def change(self) -> float | None:
        """The difference that the test has to find: the smallest effect in its good direction, or the margin."""
        size = self.smallest_effect if self.goal == "improve" else self.margin
        if not size:
            return None
        higher = metric_of(self.metric, self.better or "higher").better == "higher"
        return size if higher == (self.goal == "improve") else -size

    def users(self, wanted: Wanted) -> int | None:
        """Users of both arms together that find `change`; None where baseline or deviation is not given."""
        change = self.change
        if change is None:
            return None
        if self.rate:
            return None if self.baseline is None else wanted.for_rates(self.baseline, change)
        return None if self.deviation is None else wanted.for_means(self.deviation, change)

    def asked(self) -> MetricUnderTest:
        """As the plan carries it."""
        return MetricUnderTest(
            metric=self.metric,
            better=metric_of(self.metric, self.better or "higher").better,
            goal=self.goal,
            smallest_effect=self.smallest_effect,
            margin=self.margin,
        )

    def _goal_faults(self) -> Iterator[Problem]:
        if self.metric in (SAMPLE_RATIO, EXPERIMENT, AGREEMENT):
            why = "is no metric of what users were served"
            yield Problem("metric", why, "name one such as success_rate, or a custom one", repr(self.metric))
        if self.better is not None and self.metric in KNOWN_METRICS:
            yield Problem("better", f"which way {self.metric} is better is known", "remove it", repr(self.better))
        if self.goal == "not_worse" and self.margin is None:
            yield Problem("margin", "is how much worse an arm may be, and goal: not_worse needs it", "add margin: 0.01")
        if self.goal == "improve" and self.margin is not None:
            why = "belongs to goal: not_worse"
            yield Problem("margin", why, "remove it, or write goal: not_worse", f"{self.margin:g}")
        if self.goal == "not_worse" and self.smallest_effect is not None:
            why = "belongs to a metric that is to improve"
            yield Problem("smallest_effect", why, "write margin instead", f"{self.smallest_effect:g}")

    def _size_faults(self) -> Iterator[Problem]:
        if not self.rate:
            if self.baseline is not None:
                why = f"{self.metric} is a number, whose sample follows from its deviation"
                yield Problem("baseline", why, "write deviation instead", f"{self.baseline:g}")
            return
        if self.deviation is not None:
            why = f"{self.metric} is a rate, whose sample follows from its baseline"
            yield Problem("deviation", why, "write baseline instead", f"{self.deviation:g}")
        if self.baseline is not None and not 0 <= self.baseline <= 1:
            yield Problem("baseline", "is a rate from 0 to 1", "write 0.95 for 95 %", f"{self.baseline:g}")
        elif self.baseline is not None and not 0 <= self.baseline + (self.change or 0.0) <= 1:
            field, size = ("smallest_effect", self.smallest_effect) if self.margin is None else ("margin", self.margin)
            why = f"goes beyond 0 to 1 from the baseline of {self.baseline:g}"
            yield Problem(field, why, "write a smaller one", f"{size:g}")


class Shipping(Frozen):
    """How the winner is shipped: a ``gradual`` rollout that begins when the test has completed.

    Its fields are those of the strategy; the ``gates`` are the test's own unless given.
    """

    stages: tuple[Percentage, ...] = Field(default=(5, 10, 25, 50, 75, 100), min_length=1)
    stage_duration: Duration = timedelta(hours=24)
    on_fail: OnFail = "previous_stage"
    gates: tuple[GateSpec, ...] = ()

    @field_validator("stages")
    @classmethod
    def _grow_to_all(cls, stages: tuple[float, ...]) -> tuple[float, ...]:
        return growing_to_all(stages)

    def document(self, spec: Policies) -> dict[str, JsonValue]:
        """The spec of the rollout without its candidate.

        Raises:
            InvalidInput: there is no gate, and traffic grows only on evidence.
        """
        gates = self.gates or spec.gates
        if all(gate.dry_run for gate in gates):
            why = "is a gradual rollout, whose traffic grows only on evidence, and there is no gate"
            raise InvalidInput([Problem("strategy.ship_winner", why, "add gates: to it, or to the spec")])
        said: dict[str, JsonValue] = spec.model_dump(mode="json", exclude_unset=True, exclude=_OWN)
        ramp: dict[str, JsonValue] = self.model_dump(mode="json", exclude={"gates"})
        asked: list[JsonValue] = [gate.model_dump(mode="json", exclude_unset=True) for gate in gates]
        return {**said, "strategy": {"kind": "gradual", **ramp}, "gates": asked}


class Trial(Frozen):
    """The fields of every test.

    ``minimum_sample_size`` is the number of users of all arms together at which the test is analysed; without one it
    follows from ``power``, ``significance`` and the metrics. ``looks`` are fractions of the sample at which to look
    already, sharing the error rate by ``spending``. ``exposure`` is the share of all users that the test includes.
    After a winner everybody gets stable again (``end: return``), the shares stay as they are, or it becomes stable.
    ``ship_winner`` starts a gradual rollout of the winner then.
    """

    metrics: tuple[TrialMetric, ...] = Field(max_length=20)
    minimum_sample_size: int | None = Field(default=None, ge=2)
    power: float = Field(default=0.8, ge=0.5, lt=1)
    significance: float = Field(default=0.05, gt=0, le=0.2)
    max_duration: Duration = timedelta(days=28)
    looks: tuple[float, ...] = (1.0,)
    spending: Spending = "obrien_fleming"
    exposure: Percentage = 100
    end: Literal["return", "stay", "adopt"] = "return"
    ship_winner: Shipping | None = None

    @field_validator("looks")
    @classmethod
    def _end_at_the_sample(cls, looks: tuple[float, ...]) -> tuple[float, ...]:
        if not looks or looks[-1] != 1 or any(not one < two for one, two in pairwise((0.0, *looks))):
            raise ValueError("must grow from above 0 to 1, the whole sample; write for example [0.5, 1]")
        return looks

    @field_validator("max_duration")
    @classmethod
    def _takes_time(cls, value: timedelta) -> timedelta:
        if value <= timedelta():
            raise ValueError("must be above 0; write for example 14d")
        return value

    @field_validator("exposure")
    @classmethod
    def _includes_somebody(cls, value: float) -> float:
        if value <= 0:
            raise ValueError("includes nobody; write for example 20%")
        return value

    @model_validator(mode="after")
    def _can_be_planned(self) -> Self:
        faults = [*self._metric_faults(), *self._sample_faults()]
        if faults:
            raise Faults(faults)
        return self

    @property
    def needs_gates(self) -> bool:
        """The test itself is the gate."""
        return False

    def trial_of(self, arms: Mapping[str, int], control: str) -> Experiment:
        """The test of ``arms`` (weights in 1/100000) against ``control``."""
        metrics = tuple(metric.asked() for metric in self.metrics)
        return Experiment(
            control=control,
            arms=dict(arms),
            metrics=metrics,
            sample=self._sample(arms, control),
            significance=self.significance,
            power=self.power,
            looks=self.looks,
            spending=self.spending,
        )

    def _sample(self, arms: Mapping[str, int], control: str) -> int:
        """The users of all arms that the most demanding comparison needs, the error rate split evenly among all."""
        if self.minimum_sample_size is not None:
            return self.minimum_sample_size
        treatments = [arm for arm in arms if arm != control]
        family = len(treatments) * sum(metric.goal == "improve" for metric in self.metrics)
        needed = [2]
        for arm in treatments:
            both = arms[arm] + arms[control]
            for metric in self.metrics:
                alpha = self.significance / (family if metric.goal == "improve" else 1)
                users = metric.users(Wanted(alpha, self.power, arms[arm] / both))
                needed.append(math.ceil((users or 0) * TOTAL / both))
        return max(needed)

    def _metric_faults(self) -> Iterator[Problem]:
        if self.ship_winner is not None and self.end == "adopt":
            yield Problem("end", "makes the winner stable at once, and leaves nothing to ship", "remove one", "'adopt'")
        names = [metric.metric for metric in self.metrics]
        for index, name in enumerate(names):
            if name in names[:index]:
                yield Problem(f"metrics[{index}].metric", "is tested already", "name each metric once", repr(name))
        if all(metric.goal == "not_worse" for metric in self.metrics):
            yield Problem("metrics", "none is to improve", "name one with goal: improve, so that an arm can win")

    def _sample_faults(self) -> Iterator[Problem]:
        if self.minimum_sample_size is not None:
            return
        for index, metric in enumerate(self.metrics):
            if metric.goal == "not_worse":
                continue
            if metric.smallest_effect is None:
                why = "is missing, and without minimum_sample_size the sample follows from it"
                remedy = f"say which improvement of {metric.metric} matters, or write minimum_sample_size"
                yield Problem(f"metrics[{index}].smallest_effect", why, remedy)
            field = "baseline" if metric.rate else "deviation"
            if getattr(metric, field) is None:
                why = "is missing, and without minimum_sample_size the sample follows from it"
                what = "rate" if metric.rate else "standard deviation"
                remedy = f"write the usual {what} of {metric.metric}, or minimum_sample_size"
                yield Problem(f"metrics[{index}].{field}", why, remedy)


def plan_of(kind: str, spec: Policies, stable: str, trial: Trial, experiment: Experiment) -> Plan:
    """The plan of a test: one stage with fixed shares, until the sample or the time is reached.

    Raises:
        InvalidInput: the spec asks for approvals.
    """
    if spec.approvals:
        why = "have no effect in a test, whose shares do not grow"
        raise InvalidInput([Problem("approvals", why, "remove them")])
    treatments = experiment.treatments
    test = Gate(metric=EXPERIMENT, experiment=experiment)
    guardrails = [
        gate.model_copy(update={"on_fail": gate.on_fail or "rollback"})
        for gate in _for_each(askable(with_the_split(spec), _BOTH_ARMS), treatments)
    ]
    stage = Stage(
        name="test",
        weights=dict(experiment.arms),
        exposed=round(trial.exposure * 1000),
        hold=trial.max_duration,
        deadline=spec.deadline if spec.deadline is not None else LEAST_DEADLINE,
        check_every=spec.check_every,
        gates=(test, *_for_each(askable(spec.gates, _BOTH_ARMS), treatments)),
        guardrails=tuple(guardrails),
        on_no_data=spec.on_no_data,
        on_inconclusive=spec.on_inconclusive,
        on_source_error=spec.on_source_error,
        approval=None,
        max_attempts=spec.max_attempts,
    )
    return Plan(
        flag=spec.flag,
        stable=stable,
        candidate=spec.candidate,
        strategy=kind,
        stages=(stage,),
        bounds=spec.bounds,
        end=trial.end,
        follow_up=None if trial.ship_winner is None else trial.ship_winner.document(spec),
    )


def _for_each(gates: Iterable[Gate], treatments: tuple[str, ...]) -> tuple[Gate, ...]:
    """The gates for every arm but the control, each its own; the split is asked once."""
    if len(treatments) == 1:
        return tuple(gates)
    return tuple(
        gate if gate.metric == SAMPLE_RATIO else gate.model_copy(update={"arm": arm})
        for gate in gates
        for arm in (treatments if gate.metric != SAMPLE_RATIO else treatments[:1])
    )
