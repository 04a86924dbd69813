"""Pipelines: several strategies, one after the other, as one plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import BeforeValidator

from turnout.domain.gates import GateSpec, GuardrailSpec
from turnout.domain.model import Frozen
from turnout.domain.plan import Plan, Stage
from turnout.domain.spec import Policies
from turnout.domain.windows import Windows
from turnout.strategies._kinds import Strategy


class Part(Frozen):
    """One strategy of a pipeline. Its ``gates``, ``guardrails`` and ``windows`` take the place of the spec's."""

    strategy: Strategy
    gates: tuple[GateSpec, ...] | None = None
    guardrails: tuple[GuardrailSpec, ...] | None = None
    windows: Windows | None = None

    def policies(self, spec: Policies) -> Policies:
        """``spec`` as it applies to this part."""
        own = {"gates": self.gates, "guardrails": self.guardrails, "windows": self.windows}
        return spec.model_copy(update={name: value for name, value in own.items() if value is not None})

    def plan(self, spec: Policies, stable: str) -> Plan:
        """The plan of this part alone. A stage's own windows go before the others."""
        policies = self.policies(spec)
        plan = self.strategy.plan(policies, stable)
        stages = (stage.model_copy(update={"windows": stage.windows or policies.windows}) for stage in plan.stages)
        return plan.model_copy(update={"stages": tuple(stages)})


def _part(value: object) -> object:
    """A strategy by its name alone stands for that strategy with its defaults."""
    match value:
        case str():
            return {"strategy": {"kind": value}}
        case {"kind": str()}:
            raise ValueError("is a strategy; write {strategy: {kind: …}}, beside it gates: and guardrails: of its own")
        case _:
            return value


PartSpec = Annotated[Part, BeforeValidator(_part)]
"""A part as a person writes it: ``canary``, or ``{strategy: {kind: canary, …}, gates: […]}``."""


def concatenated(parts: Sequence[Part], spec: Policies, stable: str) -> Plan:
    """The stages of ``parts`` as one plan that ends as its last part does.

    Traffic only grows: a stage that would give the candidate no more than an earlier part has given it is left out, and
    so is everybody's stage of every part but the last. What an earlier part gave segments of the users they keep, and a
    stage that gives the candidate nothing of its own, as one that asks for its health, leaves it what it has.
    """
    plans = [part.plan(spec, stable) for part in parts]
    stages: list[Stage] = []
    for part, plan in zip(parts, plans, strict=True):
        stages += _continued(stages, plan, f"{part.strategy.kind} ", last=plan is plans[-1])
    return plans[-1].model_copy(update={"strategy": "pipeline", "stages": tuple(stages)})


def _continued(before: Sequence[Stage], plan: Plan, prefix: str, *, last: bool) -> Iterator[Stage]:
    reached = max((stage.weights.get(plan.candidate, 0) for stage in before), default=0)
    kept = before[-1].segments if before else ()
    for stage in plan.stages:
        share = stage.weights.get(plan.candidate, 0)
        if _grows(stage, share, reached, last=last or plan.end != "adopt"):
            name, own = prefix + stage.name.removeprefix(prefix), {segment.name for segment in stage.segments}
            segments = (*(segment for segment in kept if segment.name not in own), *stage.segments)
            update: dict[str, object] = {"name": name, "segments": segments}
            if not share and reached and stage.shadow is None:
                update["weights"] = before[-1].weights
            yield stage.model_copy(update=update)


def _grows(stage: Stage, share: int, reached: int, *, last: bool) -> bool:
    if stage.segments or stage.shadow or not share:
        return True
    return share > reached and (last or share < 100_000)
