"""What the API answers about rollouts, read for display."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from pydantic import AwareDatetime, Field

from turnout.cli.http import read, strange
from turnout.domain.breaking import SharedBreaker
from turnout.domain.freezes import Closed
from turnout.domain.model import Frozen
from turnout.domain.plan import Plan, Stage
from turnout.domain.rollout import Decision, Pause, State
from turnout.domain.verdicts import Check, Verdict
from turnout.ports import Evidence


class RolloutView(Frozen):
    """Where a rollout is: what GET /v1/rollouts/{flag} answers.

    ``live`` says that the rollout itself was asked, not only the database. ``stage`` counts from 0. ``plan`` is None
    until a worker has begun the rollout.
    """

    id: str
    flag: str
    strategy: str
    candidate: str
    stable: str
    state: State
    stage: int = 0
    share: float = 0.0
    started_by: str = "unknown"
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    since: AwareDatetime | None = None
    counted: timedelta = timedelta()
    hold: timedelta = timedelta()
    blocked: Verdict | None = None
    pause: Pause | None = None
    approval_due: AwareDatetime | None = None
    closed: Closed | None = None
    stopped: bool = False
    breakers: dict[str, SharedBreaker] = Field(default_factory=dict[str, SharedBreaker])
    checks: tuple[Check, ...] = ()
    checked_at: AwareDatetime | None = None
    summary: str = ""
    decisions: tuple[Decision, ...] = ()
    live: bool = True
    plan: Plan | None = None

    @property
    def here(self) -> Stage | None:
        """The stage as planned."""
        return self._stage(self.stage)

    @property
    def upcoming(self) -> Stage | None:
        """The stage after this one."""
        return self._stage(self.stage + 1)

    @property
    def left(self) -> timedelta:
        """How much of the hold is still to be watched."""
        return max(self.hold - self.counted, timedelta())

    @property
    def done(self) -> float:
        """How much of the hold was watched, 0..1."""
        return min(self.counted / self.hold, 1.0) if self.hold else 1.0

    @property
    def last(self) -> Decision | None:
        """The last decision."""
        return max(self.decisions, key=lambda decision: decision.seq, default=None)

    def _stage(self, index: int) -> Stage | None:
        return self.plan.stages[index] if self.plan is not None and 0 <= index < len(self.plan.stages) else None


@dataclass(frozen=True, slots=True)
class Told:
    """A decision with the checks it rests on."""

    decision: Decision
    checks: tuple[Check, ...] = ()


def view_of(answer: object) -> RolloutView:
    """The answer of GET /v1/rollouts/{flag}. Raises Failure."""
    return read(RolloutView, answer)


def told_of(answer: object, rollout: str) -> tuple[Told, ...]:
    """The answer of GET /v1/rollouts/{flag}/decisions; nothing if it is of another ``rollout``. Raises Failure."""
    if mapping(answer).get("rollout_id") != rollout:
        return ()
    return tuple(_told(mapping(item)) for item in listed(answer, "decisions"))


def _told(item: Mapping[str, object]) -> Told:
    evidence = item.get("evidence_detail")
    return Told(read(Decision, item), read(Evidence, evidence).checks if evidence is not None else ())


def listed(answer: object, name: str) -> list[object]:
    """The list called ``name`` in ``answer``. Raises Failure."""
    found = mapping(answer).get(name)
    if not isinstance(found, list):
        raise strange(f"the API's answer holds no {name}")
    return cast("list[object]", found)


def mapping(answer: object) -> Mapping[str, object]:
    """``answer`` as an object. Raises Failure."""
    if not isinstance(answer, dict):
        raise strange("the API's answer is no object")
    return cast("dict[str, object]", answer)
