"""Changing the candidate's share in one part of the users, live: what may be changed, and what comes of it. Pure.

Parts are the segments of a plan that hash apart (cohorts, regions), and `OTHER`: everybody outside of them, if a stage
is about these. Shares are the candidate's weights in 1/100000.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from pydantic import Field

from turnout.domain.bucketing import TOTAL
from turnout.domain.flags import Segment
from turnout.domain.freezes import Closed
from turnout.domain.gates import needs_both_arms
from turnout.domain.model import Frozen
from turnout.domain.plan import Plan, Stage

SHARE_OVERRIDE: Final = "share_override"
"""The role of those who may give a part more than gates have passed."""

OTHER: Final = "other"
"""The part of everybody whom no segment matches."""


class Adjustment(Frozen):
    """What is asked for: a ``weight`` for ``part``; with ``override`` also beyond what gates have passed."""

    part: str = Field(max_length=200)
    weight: int = Field(ge=0, le=TOTAL)
    override: bool = False


def parts_of(plan: Plan) -> tuple[str, ...]:
    """The parts whose share can be changed, in the order of the plan; none where it moves all users alike."""
    names = tuple(segment.name for segment in _segments(plan) if segment.apart)
    return (*names, OTHER) if names and any(_asked(stage) == OTHER for stage in plan.stages) else names


def weights_of(plan: Plan, stage: Stage) -> dict[str, int]:
    """What ``stage`` gives the candidate, by part; 0 for parts that it does not reach."""
    given = {segment.name: segment.weights.get(plan.candidate, 0) for segment in stage.segments}
    given[OTHER] = stage.weights.get(plan.candidate, 0)
    return {part: given.get(part, 0) for part in parts_of(plan)}


def staged(plan: Plan, index: int, adjusted: Mapping[str, int]) -> Stage:
    """Stage ``index`` of ``plan`` with the shares that were ``adjusted``.

    A part that the stage does not reach yet brings all parts before it along, with nobody: its users would otherwise
    be drawn anew when those come. At 100 % nothing is compared.
    """
    stage = plan.stages[index]
    if not adjusted or _asked(stage) is None:
        return stage
    own = {segment.name: segment.weights for segment in stage.segments}
    every = _segments(plan)
    reached = max((n for n, one in enumerate(every, 1) if one.name in own or adjusted.get(one.name)), default=0)
    segments = tuple(
        one.model_copy(update={"weights": _weights(plan, adjusted.get(one.name), own.get(one.name))})
        for one in every[:reached]
    )
    weights = _weights(plan, adjusted.get(OTHER), stage.weights)
    return _compared(plan, stage.model_copy(update={"segments": segments, "weights": weights}))


def entered(plan: Plan, index: int, adjusted: Mapping[str, int]) -> dict[str, int]:
    """What stays ``adjusted`` when stage ``index`` begins for the first time: its own part gets what is planned."""
    own = _asked(plan.stages[index])
    planned = weights_of(plan, plan.stages[index])
    return {part: weight for part, weight in adjusted.items() if part != own or weight > planned[part]}


def proven(plan: Plan, stage: Stage, passed: Mapping[str, int]) -> dict[str, int]:
    """The shares that gates have ``passed``, now that those of ``stage`` have."""
    part = _asked(stage)
    if part is None:
        return dict(passed)
    return {**passed, part: max(passed.get(part, 0), weights_of(plan, stage)[part])}


def disproven(stage: Stage, passed: Mapping[str, int]) -> dict[str, int]:
    """The shares that gates have ``passed``, now that those of ``stage`` have failed."""
    return {part: weight for part, weight in passed.items() if part != _asked(stage)}


def grows(plan: Plan, stage: Stage, wanted: Adjustment) -> bool:
    """Whether ``wanted`` is more than the part has in ``stage``."""
    return wanted.weight > weights_of(plan, stage).get(wanted.part, 0)


def beyond(plan: Plan, stage: Stage, passed: Mapping[str, int], wanted: Adjustment) -> bool:
    """Whether ``wanted`` is more than the part has in ``stage``, and more than gates have ``passed``."""
    return grows(plan, stage, wanted) and wanted.weight > passed.get(wanted.part, 0)


def why_not(
    plan: Plan, stage: Stage, passed: Mapping[str, int], wanted: Adjustment, roles: Collection[str], reason: str
) -> str | None:
    """Why the share of a part cannot be changed as ``wanted``, with what would work; None when it can."""
    now = weights_of(plan, stage)
    if not now:
        return "this rollout moves all users alike; there is no cohort or region whose share could be set"
    if wanted.part not in now:
        return f"the rollout has no cohort or region {wanted.part}; it has {', '.join(now)}"
    if wanted.weight == now[wanted.part]:
        return f"{wanted.part} has {percent(wanted.weight)} already"
    if wanted.weight < now[wanted.part]:
        return None
    if wanted.part == _asked(stage) and wanted.weight == TOTAL and not _asks_without_stable(stage):
        return f"every gate compares {wanted.part} with its users on stable, of whom 100 % leaves none; choose less"
    if not beyond(plan, stage, passed, wanted):
        return None
    known = f"gates have passed at {percent(passed[wanted.part])}" if passed.get(wanted.part) else "no gate has passed"
    if not wanted.override:
        return f"of {wanted.part} {known}; more goes through its stage, or with an override"
    if SHARE_OVERRIDE not in roles:
        return f"of {wanted.part} {known}; to override that takes the role {SHARE_OVERRIDE}"
    return None if reason else f"of {wanted.part} {known}; to override that, give a reason"


def told(  # noqa: PLR0913 - all that the sentence is about
    plan: Plan,
    stage: Stage,
    passed: Mapping[str, int],
    wanted: Adjustment,
    by: str,
    reason: str,
    closed: Closed | None = None,
) -> str:
    """The change that ``wanted`` makes, as a sentence; ``closed`` is what it overrides."""
    before = weights_of(plan, stage).get(wanted.part, 0)
    said = f": {reason}" if reason else ""
    more = "; overrides that gates have not passed at so much" if beyond(plan, stage, passed, wanted) else ""
    more += f"; overrides that it is {closed.why}" if closed is not None else ""
    return f"{wanted.part} set from {percent(before)} to {percent(wanted.weight)} by {by}{said}{more}"


def percent(weight: int) -> str:
    """A weight for people: ``12.5 %``."""
    return f"{weight * 100 / TOTAL:g} %"


def _asked(stage: Stage) -> str | None:
    """The part that ``stage`` asks about; None where it moves all users alike."""
    if not any(segment.apart for segment in stage.segments):
        return None
    return stage.focus or OTHER


def _segments(plan: Plan) -> tuple[Segment, ...]:
    """Every segment of ``plan``, in the order in which stages reach them."""
    return tuple({segment.name: segment for stage in plan.stages for segment in stage.segments}.values())


def _weights(plan: Plan, adjusted: int | None, planned: Mapping[str, int] | None) -> dict[str, int]:
    if adjusted is None and planned is not None:
        return dict(planned)
    return {plan.candidate: adjusted or 0, plan.stable: TOTAL - (adjusted or 0)}


def _compared(plan: Plan, stage: Stage) -> Stage:
    if stage.watched.get(plan.candidate, 0) < TOTAL:
        return stage
    alone = {name: tuple(g for g in getattr(stage, name) if not needs_both_arms(g)) for name in ("gates", "guardrails")}
    return stage.model_copy(update=alone)


def _asks_without_stable(stage: Stage) -> bool:
    return any(not gate.dry_run and not needs_both_arms(gate) for gate in stage.gates)
