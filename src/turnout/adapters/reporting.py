"""Gathers the report on a rollout from the stores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from turnout.domain.errors import NotFound
from turnout.domain.outcomes import ANY_METRIC
from turnout.domain.reporting import Arrival, Change, Report
from turnout.domain.rollout import Decision
from turnout.domain.verdicts import Check
from turnout.ports import OutcomeStatistics, RolloutRecord, RolloutStore

_POINTS: Final = 240
"""Points in time of a report: more than a plot can show apart."""


async def report_of(
    rollouts: RolloutStore, outcomes: OutcomeStatistics, record: RolloutRecord, now: datetime
) -> Report:
    """The report on the rollout ``record`` as of ``now``."""
    decisions = await rollouts.decisions(record.id)
    checks = await _checks(rollouts, record, decisions)
    return Report(
        flag=record.flag,
        rollout_id=record.id,
        strategy=record.strategy,
        state=record.state,
        candidate=record.candidate,
        stable=record.stable,
        started_by=record.started_by,
        started_at=record.started_at,
        ended_at=record.ended_at,
        at=now,
        summary=record.summary,
        name=record.plan.name,
        experiment=next((check.experiment for check in checks if check.experiment is not None), None),
        checks=tuple(checks),
        changes=tuple(map(_change, decisions)),
        arrivals=tuple(await _arrivals(outcomes, record.flag, decisions)),
    )


async def _checks(rollouts: RolloutStore, record: RolloutRecord, decisions: Sequence[Decision]) -> Sequence[Check]:
    """What is known now, or what the last decision on evidence knew."""
    if record.checks and not record.state.ended:
        return record.checks
    for decision in reversed(decisions):
        if decision.evidence is not None:
            try:
                return (await rollouts.evidence_of(decision.evidence)).checks
            except NotFound:
                continue
    return record.checks


async def _arrivals(outcomes: OutcomeStatistics, flag: str, decisions: Sequence[Decision]) -> list[Arrival]:
    """The users of all generations in which a stage was held, in at most `_POINTS` steps of equal length."""
    new = dict[int, Counter[str]]()
    for decision in decisions:
        if decision.weights is None or decision.leaves:
            continue
        for arm, minutes in (await outcomes.minutes(flag, decision.generation, ANY_METRIC)).items():
            for minute in minutes:
                if minute.units:
                    new.setdefault(minute.minute, Counter())[arm] += minute.units
    if not new:
        return []
    first, last = min(new), max(new)
    width = max(1, -(-(last - first + 1) // _POINTS))
    steps = dict[int, Counter[str]]()
    for begun, users in new.items():
        steps.setdefault((begun - first) // width, Counter()).update(users)
    return [
        Arrival(at=datetime.fromtimestamp((first + step * width) * 60, UTC), users=dict(steps[step]))
        for step in sorted(steps)
    ]


def _change(decision: Decision) -> Change:
    return Change(
        at=decision.at,
        kind=decision.kind,
        actor=decision.actor,
        text=decision.text,
        share=decision.share,
        verdict=decision.verdict,
        weights=decision.weights,
    )
