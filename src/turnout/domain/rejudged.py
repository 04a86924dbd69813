"""What other gates would have decided on the outcomes of a rollout. Data; `turnout.adapters.rejudging` finds it."""

from __future__ import annotations

from datetime import timedelta

from pydantic import AwareDatetime

from turnout.domain.model import Frozen
from turnout.domain.rollout import Decision
from turnout.domain.verdicts import Check, Verdict


class RejudgedGate(Frozen):
    """One gate or guardrail of the other spec in one stage that the rollout went through.

    ``passed_after`` and ``failed_after`` are the times from the stage's begin to the first look that found so.
    ``final`` is its check at the stage's end: verdict, text and numbers; None for a gate that cannot be asked of the
    past. ``rollout`` is the verdict of the rollout's own check of the same name, if the decision that ended the stage
    rests on one. ``text`` says it all in a sentence.
    """

    gate: str
    role: str
    passed_after: timedelta | None = None
    failed_after: timedelta | None = None
    final: Check | None = None
    rollout: Verdict | None = None
    text: str


class RejudgedStage(Frozen):
    """One generation of the traffic that the rollout had on its way; a stage that began anew has several.

    ``stage`` counts from 0, ``share`` is the candidate's, 0..1. ``outcomes`` were reported from ``since`` to ``until``.
    The gates were asked ``looks`` times, one look ``every`` so long: longer than the spec's ``check_every`` where these
    would be too many. ``decided`` is the decision that ended the stage; None while it lasts.
    """

    generation: int
    stage: int
    name: str
    share: float
    since: AwareDatetime
    until: AwareDatetime
    outcomes: int
    looks: int
    every: timedelta
    decided: Decision | None
    gates: tuple[RejudgedGate, ...]


class Rejudgement(Frozen):
    """What the gates of another spec would have decided in every stage that one rollout went through, in order."""

    flag: str
    rollout_id: str
    check_every: timedelta
    stages: tuple[RejudgedStage, ...]
