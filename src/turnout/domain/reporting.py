"""The report on a rollout: what it tested, found and did. Data; `turnout.adapters.reporting` gathers it."""

from __future__ import annotations

from pydantic import AwareDatetime

from turnout.domain.experiments import ExperimentResult
from turnout.domain.model import Frozen
from turnout.domain.rollout import DecisionKind, State
from turnout.domain.verdicts import Check, Verdict


class Change(Frozen):
    """One decision; ``weights`` (in 1/100000) where it moved traffic, ``share`` is the candidate's after it, 0..1."""

    at: AwareDatetime
    kind: DecisionKind
    actor: str
    text: str
    share: float
    verdict: Verdict | None = None
    weights: dict[str, int] | None = None


class Arrival(Frozen):
    """How many users each arm saw for the first time in a stage, from ``at`` to the next arrival."""

    at: AwareDatetime
    users: dict[str, int]


class Report(Frozen):
    """A rollout as of ``at``; ``name`` is what people call it.

    ``experiment`` is the result of a test, ``checks`` are those of the last decision that rests on evidence, or of an
    open rollout the latest ones. ``changes`` are all decisions and ``arrivals`` the users by time, in order.
    """

    flag: str
    rollout_id: str
    strategy: str
    state: State
    candidate: str
    stable: str
    started_by: str
    started_at: AwareDatetime
    ended_at: AwareDatetime | None
    at: AwareDatetime
    summary: str
    name: str | None = None
    experiment: ExperimentResult | None = None
    checks: tuple[Check, ...] = ()
    changes: tuple[Change, ...] = ()
    arrivals: tuple[Arrival, ...] = ()
