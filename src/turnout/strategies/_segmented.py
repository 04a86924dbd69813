"""What strategies share that move one part of the users after the other, each to a share of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from pydantic import JsonValue, model_validator

from turnout.domain import flags
from turnout.domain.adjusting import OTHER
from turnout.domain.durations import Duration
from turnout.domain.errors import Problem
from turnout.domain.gates import needs_both_arms
from turnout.domain.model import Frozen
from turnout.domain.names import Name
from turnout.domain.plan import OnFail, Plan, Stage
from turnout.domain.spec import Percentage, Policies
from turnout.domain.windows import Windows
from turnout.strategies._ramp import Step, of_shadow, stage_of, weights

MOST_PARTS: Final = 50
LARGEST_PLAN: Final = 1_000_000
"""Bytes that the conditions of all stages may take: the plan travels as a whole, and Temporal refuses 2 MB."""


class ShareSpec(Frozen):
    """How many of some users get the candidate: ``percentage`` of them, or none if it is not ``enabled``.

    ``duration`` is how long their stage is held, if not as long as the others. ``windows`` are when it may begin, in
    place of the rollout's.
    """

    enabled: bool = True
    percentage: Percentage = 100
    duration: Duration | None = None
    windows: Windows = ()

    @model_validator(mode="after")
    def _moves_somebody(self) -> Self:
        if self.enabled and self.percentage == 0:
            raise ValueError("percentage 0 moves nobody; write enabled: false to keep its users on stable")
        return self


class PartSpec(ShareSpec):
    """A part of the users as a person writes it.

    One that is not enabled keeps its users on stable, whatever later parts match them.
    """

    name: Name


@dataclass(frozen=True, slots=True)
class Part:
    """A part with whom it is about; ``size`` is how many bytes that takes."""

    spec: PartSpec
    condition: JsonValue
    size: int = 0


class Segmented(Frozen):
    """The fields that these strategies share. Subclasses add their parts.

    Stages follow each other by themselves unless ``auto_promote`` is off. A failed gate takes everybody back, back to
    the parts before (``on_fail: previous_stage``), or pauses; a failed guardrail takes everybody back.
    """

    stage_duration: Duration = timedelta(hours=24)
    auto_promote: bool = True
    on_fail: OnFail = "rollback"

    @property
    def needs_gates(self) -> bool:
        """Whether stages follow each other without a person."""
        return self.auto_promote


@dataclass(frozen=True, slots=True)
class Walk:
    """One stage a part that is enabled, in order; then ``rest``, if that is more than 0 percent of everybody else.

    A stage keeps what the parts before have, and asks about the users of its own part alone.
    """

    kind: str
    settings: Segmented
    parts: Sequence[Part]
    rest: ShareSpec | None = None

    def plan(self, spec: Policies, stable: str) -> Plan:
        """The plan; what its last stage gives to the parts stays when it completes."""
        enabled = [index for index, part in enumerate(self.parts) if part.spec.enabled]
        stages = [self._stage(spec, stable, index, index == enabled[-1]) for index in enabled]
        if self.rest is not None and self.rest.enabled:
            stages.append(self._last(spec, stable, self.rest))
        stages[1:] = [stage.model_copy(update={"manual": not self.settings.auto_promote}) for stage in stages[1:]]
        return Plan(
            flag=spec.flag,
            stable=stable,
            candidate=spec.candidate,
            strategy=self.kind,
            stages=tuple(stages),
            bounds=spec.bounds,
            end="stay",
        )

    def _stage(self, spec: Policies, stable: str, index: int, last: bool) -> Stage:
        part = self.parts[index].spec
        # Parts that are off stand in the last stage too, so that they can be switched on later.
        segments = self._segments(spec, stable, self.parts if last else self.parts[: index + 1])
        stage = stage_of(spec, weights(spec.candidate, stable, 0), self._step(part.name, part))
        own = {"segments": segments, "focus": part.name, "windows": part.windows}
        return stage.model_copy(update=own)

    def _last(self, spec: Policies, stable: str, rest: ShareSpec) -> Stage:
        stage = stage_of(spec, weights(spec.candidate, stable, rest.percentage), self._step(OTHER, rest))
        own = {"segments": self._segments(spec, stable, self.parts), "windows": rest.windows}
        return stage.model_copy(update=own)

    def _step(self, name: str, part: ShareSpec) -> Step:
        hold = part.duration if part.duration is not None else self.settings.stage_duration
        share = part.percentage
        return Step(f"{name} {share:g} %", share, before=0, hold=hold, on_fail=self.settings.on_fail)

    def _segments(self, spec: Policies, stable: str, parts: Iterable[Part]) -> tuple[flags.Segment, ...]:
        # Not checked again: conditions were where they were written, and a stable variant that is not known yet has a
        # name that no variant can have.
        return tuple(
            flags.Segment.model_construct(
                name=part.spec.name,
                condition=part.condition,
                weights=weights(spec.candidate, stable, part.spec.percentage if part.spec.enabled else 0),
                apart=True,
            )
            for part in parts
        )


def part_problems(field: str, parts: Sequence[Part], rest: ShareSpec | None = None) -> Iterator[Problem]:
    """What is wrong with ``parts`` together; ``field`` is where they are written."""
    if not parts:
        yield Problem(field, "there are none", "write - {name: …, percentage: …} for each, in order")
        return
    names = Counter(part.spec.name for part in parts)
    for name, times in names.items():
        if times > 1:
            yield Problem(field, f"{times} of them have the same name", "give each its own", name)
    if not any(part.spec.enabled for part in parts) and not (rest is not None and rest.enabled):
        yield Problem(field, "none of them is enabled", "enable at least one, or start no rollout")
    size = sum(part.size * (len(parts) - index) for index, part in enumerate(parts))
    if size > LARGEST_PLAN:
        remedy = "match an attribute instead of listing units, or put the largest one last: later stages repeat it"
        yield Problem(field, f"take more than {LARGEST_PLAN} bytes in the plan", remedy, str(size))


def unproven(field: str, parts: Sequence[Part], spec: Policies, more: bool) -> Iterator[Problem]:
    """Stages that would pass with nothing asked: with everybody on the candidate, nothing is left to compare with.

    ``more`` tells that another stage follows after the parts.
    """
    if any(not (gate.dry_run or needs_both_arms(gate) or of_shadow(gate)) for gate in spec.gates):
        return
    enabled = [index for index, part in enumerate(parts) if part.spec.enabled]
    for index in enabled if more else enabled[:-1]:
        if parts[index].spec.percentage == 100:
            why = "leaves no stable traffic to compare with, so that the next stage would begin by a timer alone"
            remedy = "write less than 100, or add a gate with min or max under gates:"
            yield Problem(f"{field}[{index}].percentage", why, remedy, "100")
