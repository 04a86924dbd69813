"""What ramping strategies share: shares and policies become stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from turnout.domain.gates import completed, needs_both_arms
from turnout.domain.metrics import AGREEMENT
from turnout.domain.plan import SAMPLE_RATIO, Approval, Gate, OnFail, Plan, Recourse, Stage
from turnout.domain.spec import Policies
from turnout.strategies._steered import without_the_split

TOTAL = 100_000
LEAST_DEADLINE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Ramp:
    """Shares of the candidate (percent, growing), how long each is held, and what bad evidence does.

    ``manual`` lets every stage after the first wait for ``promote``.
    """

    kind: str
    shares: Sequence[float]
    hold: timedelta
    on_fail: OnFail
    on_guardrail: Recourse = "rollback"
    manual: bool = False

    def plan(self, spec: Policies, stable: str) -> Plan:
        """The plan of one stage per share."""
        stages = tuple(self._stage(spec, stable, i) for i in range(len(self.shares)))
        return Plan(
            flag=spec.flag,
            stable=stable,
            candidate=spec.candidate,
            strategy=self.kind,
            stages=stages,
            bounds=spec.bounds,
        )

    def _stage(self, spec: Policies, stable: str, index: int) -> Stage:
        share = self.shares[index]
        return stage_of(
            spec,
            weights(spec.candidate, stable, share),
            Step(
                name=f"{share:g} %",
                share=share,
                before=self.shares[index - 1] if index else 0.0,
                hold=self.hold,
                on_fail=self.on_fail,
                on_guardrail=self.on_guardrail,
                manual=self.manual and index > 0,
            ),
        )


@dataclass(frozen=True, slots=True)
class Step:
    """One stage: the candidate's ``share`` (percent) of those it is about, and what that was ``before``."""

    name: str
    share: float
    before: float
    hold: timedelta
    on_fail: OnFail
    on_guardrail: Recourse = "rollback"
    manual: bool = False


def stage_of(spec: Policies, traffic: dict[str, int], step: Step) -> Stage:
    """The stage that gives everybody ``traffic`` and asks what ``spec`` wants to know at the share of ``step``."""
    return Stage(
        name=step.name,
        weights=traffic,
        hold=step.hold,
        deadline=spec.deadline if spec.deadline is not None else max(step.hold, LEAST_DEADLINE),
        check_every=spec.check_every,
        gates=askable(spec.gates, step.share),
        guardrails=guarding(askable(with_the_split(spec), step.share), step.on_guardrail),
        on_fail=step.on_fail,
        on_no_data=spec.on_no_data,
        on_inconclusive=spec.on_inconclusive,
        on_source_error=spec.on_source_error,
        approval=_approval(spec, step.before, step.share),
        manual=step.manual,
        max_attempts=spec.max_attempts,
    )


def along(spec: Policies, plan: Plan) -> Plan:
    """``plan`` with what ``spec`` asks, how often and within which bounds: other questions on the same way."""
    spec = without_the_split(spec, plan.router)
    stages = tuple(_asking(spec, stage, plan.share(index) * 100) for index, stage in enumerate(plan.stages))
    return plan.model_copy(update={"stages": stages, "bounds": spec.bounds})


def _asking(spec: Policies, stage: Stage, share: float) -> Stage:
    if stage.shadow is not None:
        gates, guardrails = in_shadow(spec.gates), in_shadow(spec.guardrails)
    else:
        gates, guardrails = askable(spec.gates, share), askable(with_the_split(spec), share)
    update = {"gates": gates, "guardrails": guardrails, "check_every": spec.check_every}
    return stage.model_copy(update=update)


def growing_to_all(stages: tuple[float, ...]) -> tuple[float, ...]:
    """``stages`` (percent, not empty), which grow up to everybody.

    Raises:
        ValueError: they do not.
    """
    if stages[0] <= 0 or any(after <= before for before, after in pairwise(stages)):
        raise ValueError("must grow from stage to stage, from above 0; write for example [5, 25, 50, 100]")
    if stages[-1] != 100:
        raise ValueError("must end at 100, where the rollout completes; add 100 as the last stage")
    return stages


def weights(candidate: str, stable: str, percentage: float) -> dict[str, int]:
    """Weights in 1/100000, the candidate first so that its share only ever grows into stable's."""
    share = round(percentage * 1000)
    return {candidate: share, stable: TOTAL - share}


def askable(gates: Sequence[Gate], share: float) -> tuple[Gate, ...]:
    """The gates that can be asked at ``share`` percent, complete.

    At 0 and at 100 one of both has no traffic to compare with, and how alike answers are is known in shadow alone.
    """
    asked = (gate for gate in gates if 0 < share < 100 or not needs_both_arms(gate))
    return tuple(completed(gate) for gate in asked if not of_shadow(gate))


def in_shadow(gates: Sequence[Gate]) -> tuple[Gate, ...]:
    """The gates that can be asked in shadow, complete: both sides answer the same users, who are not split."""
    return tuple(completed(gate) for gate in gates if gate.metric != SAMPLE_RATIO)


def of_shadow(gate: Gate) -> bool:
    """Whether only answers in shadow can tell."""
    return gate.metric == AGREEMENT and gate.source.kind == "outcomes"


def guarding(gates: Sequence[Gate], on_fail: Recourse) -> tuple[Gate, ...]:
    """Guardrails that do ``on_fail`` unless they say otherwise."""
    return tuple(gate.model_copy(update={"on_fail": gate.on_fail or on_fail}) for gate in gates)


def with_the_split(spec: Policies) -> tuple[Gate, ...]:
    """The guardrails, and the one on the split of the users unless the spec has its own or wants none."""
    asked = any(gate.metric == SAMPLE_RATIO for gate in spec.guardrails)
    return spec.guardrails if asked or not spec.sample_ratio else (*spec.guardrails, Gate(metric=SAMPLE_RATIO))


def _approval(spec: Policies, before: float, share: float) -> Approval | None:
    due = [approval for approval in spec.approvals if before < approval.before <= share]
    if not due:
        return None
    return Approval(by=due[-1].by, timeout=due[-1].timeout, on_timeout=due[-1].on_timeout)
