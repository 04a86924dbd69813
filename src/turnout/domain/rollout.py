"""A running rollout: its state, what can happen to it, and what it decides. Data only; the rules are in `machine`."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, Field

from turnout.domain.adjusting import Adjustment
from turnout.domain.bucketing import TOTAL
from turnout.domain.flags import Segment, Shadow
from turnout.domain.freezes import Closed
from turnout.domain.model import Frozen
from turnout.domain.plan import Gate, Plan, Recourse, Stage
from turnout.domain.verdicts import Verdict
from turnout.domain.windows import Window

ZERO = timedelta()


class State(StrEnum):
    """Where a rollout is. The last four are ends."""

    SCHEDULED = "scheduled"
    RUNNING = "running"
    HOLDING = "holding"
    PAUSED = "paused"
    AWAITING_APPROVAL = "awaiting_approval"
    WAITING_WINDOW = "waiting_window"
    COMPLETED = "completed"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing can happen any more."""
        return self in _ENDS


_ENDS = frozenset({State.COMPLETED, State.ROLLED_BACK, State.ABORTED, State.FAILED})

CommandKind = Literal["pause", "resume", "promote", "approve", "abort", "rollback", "adjust"]


class Command(Frozen):
    """What a person (or a system) asks of a rollout. The same ``id`` is acted on once, however often it arrives.

    ``roles`` are the caller's, as the edge that authenticated it knows them. ``adjustment`` belongs to ``adjust``.
    """

    id: str = Field(min_length=1, max_length=100)
    kind: CommandKind
    actor: str = Field(default="unknown", max_length=200)
    reason: str = Field(default="", max_length=2000)
    roles: tuple[str, ...] = ()
    adjustment: Adjustment | None = None


class Clock(Frozen):
    """A stage's clocks. ``counted``: watched time that counts towards the hold. ``waited``: time spent blocked."""

    counted: timedelta = ZERO
    waited: timedelta = ZERO


class Observation(Frozen):
    """What watching a stage came to, true at ``at``; ``clock`` is the stage's clock at that moment.

    ========== ===================================================================================
    judged     the gates gave ``verdict``: pass at the end of the hold, fail then or as soon as it is proven
    guardrail  a guardrail failed; ``recourse`` says what it asks for
    blocked    nothing can be decided, or a signal fails; ``verdict`` says why: inconclusive, no_data or source_error
    recovered  every source answers again and no signal fails, the hold goes on
    overdue    blocked until the stage's deadline passed; ``verdict`` says by what, ``recourse`` what the spec asks for
    waiting    what would move traffic forward came at a time at which it may not; ``closed`` says why, and until when
    interrupted the watch was asked to stop; only the clock matters
    ========== ===================================================================================

    A move forward that this leads to has to be made before ``until``, when its window closes.
    """

    kind: Literal["judged", "guardrail", "blocked", "recovered", "overdue", "waiting", "interrupted"]
    at: AwareDatetime
    clock: Clock = Clock()
    verdict: Verdict = Verdict.NO_DATA
    recourse: Recourse | Literal["advance"] | None = None
    evidence: str | None = None
    text: str = ""
    closed: Closed | None = None
    until: AwareDatetime | None = None
    winner: str | None = None
    """The arm that a test recommends."""


class WatchRequest(Frozen):
    """All that watching needs: which stage of which rollout, since when, its clock so far and what is known.

    ``counting`` is off while paused or awaiting approval: guardrails are watched, clocks stand still.
    ``blocked`` is the verdict that holds the rollout already, so that only a change of it is worth returning.
    ``windows`` are those of the move forward that a pass leads to, empty for any time outside freezes; None when it
    leads to none. ``closed`` is set while the rollout waits for them: clocks stand still, and once traffic may move
    the gates are asked again.
    """

    rollout_id: str
    flag: str
    stable: str
    candidate: str
    index: int
    stage: Stage
    generation: int
    since: AwareDatetime
    clock: Clock
    counting: bool
    blocked: Verdict | None = None
    windows: tuple[Window, ...] | None = None
    closed: Closed | None = None


class Pause(Frozen):
    """Why and by whom a rollout stands still, and what it goes back to."""

    at: AwareDatetime
    by: str
    reason: str
    resume_to: State
    restart: bool = False
    """Whether going on repeats the stage with fresh statistics: the old ones have failed."""


DecisionKind = Literal[
    "scheduled",
    "started",
    "advanced",
    "moved_back",
    "restarted",
    "held",
    "recovered",
    "paused",
    "resumed",
    "awaiting_approval",
    "approved",
    "approval_overdue",
    "waiting_window",
    "overridden",
    "withdrawn",
    "adopted",
    "settled",
    "returned",
    "adjusted",
    "adjusted_by_override",
    "ended",
    "refused",
]


class Decision(Frozen):
    """One thing a rollout did, and why; kept for ever.

    ``seq`` numbers the decisions of one rollout from 1 and makes recording idempotent. ``weights`` is set when
    traffic changes; it is published with ``segments``, ``shadow``, ``exposed`` and ``test`` under ``generation``.
    ``new_stable`` is set when the candidate becomes the flag's stable variant. ``state``, ``stage`` and ``share``
    (0..1) describe the rollout after the decision. ``overrode`` is what forbade the move at that time, when somebody
    with the role for it moved all the same. ``passed`` is the weight up to which gates have passed by part, set when
    the traffic of parts stays.
    """

    rollout_id: str
    flag: str
    seq: int
    kind: DecisionKind
    at: AwareDatetime
    state: State
    stage: int
    share: float
    text: str
    actor: str = "turnout"
    reason: str = ""
    verdict: Verdict | None = None
    evidence: str | None = None
    command_id: str | None = None
    weights: dict[str, int] | None = None
    segments: tuple[Segment, ...] = ()
    shadow: Shadow | None = None
    exposed: int = TOTAL
    test: bool = False
    generation: int = 0
    new_stable: str | None = None
    overrode: Closed | None = None
    passed: dict[str, int] | None = None

    @property
    def leaves(self) -> bool:
        """Whether the rollout leaves its stages with this: what follows belongs to none of them."""
        return self.kind in _LEAVING


_LEAVING = frozenset({"withdrawn", "adopted", "settled", "returned"})


class RolloutState(Frozen):
    """Everything a rollout must remember, in one model: it survives crashes, deploys and continue-as-new."""

    rollout_id: str
    started_by: str
    state: State = State.SCHEDULED
    stage: int = 0
    failures: dict[int, int] = Field(default_factory=dict)
    """How many times the gates of each stage have failed."""
    generation: int = 0
    share: float = 0.0
    adjusted: dict[str, int] = Field(default_factory=dict)
    """The candidate's weight in parts whose share was changed by hand."""
    passed: dict[str, int] = Field(default_factory=dict)
    """The candidate's weight up to which gates have passed, by part."""
    seq: int = 0
    clock: Clock = Clock()
    since: AwareDatetime | None = None
    blocked: Verdict | None = None
    pause: Pause | None = None
    approved: bool = False
    calendar: bool = False
    """Whether windows and freezes are asked before commands that move forward: rollouts from before them do not."""
    closed: Closed | None = None
    """Why traffic may not move forward now, while the rollout waits for that."""
    approval_due: AwareDatetime | None = None
    """When the approval that is awaited times out."""
    ending: State | None = None
    """The end this rollout is going to, while its last traffic change is on its way to the resolvers."""
    winner: str | None = None
    """The arm that a test has recommended."""
    last: Decision | None = None
    """The latest decision but refusals."""
    seen: tuple[str, ...] = ()
    """Ids of the latest commands whose turn has come, oldest first."""
    refused: tuple[str, ...] = ()
    """Those of ``seen`` that were refused."""


class RolloutStatus(Frozen):
    """What ``status`` answers."""

    flag: str
    rollout_id: str
    strategy: str
    state: State
    candidate: str
    stable: str
    stage: int
    stages: tuple[str, ...]
    share: float
    counted: timedelta
    hold: timedelta
    since: datetime | None
    started_by: str
    blocked: Verdict | None
    pause: Pause | None
    approval_by: str | None
    last: Decision | None
    closed: Closed | None = None
    start_at: datetime | None = None
    approval_due: datetime | None = None


def status_of(plan: Plan, state: RolloutState) -> RolloutStatus:
    """The public view of ``state``."""
    upcoming = plan.stages[state.stage + 1] if state.stage + 1 < len(plan.stages) else None
    return RolloutStatus(
        flag=plan.flag,
        rollout_id=state.rollout_id,
        strategy=plan.strategy,
        state=state.state,
        candidate=plan.candidate,
        stable=plan.stable,
        stage=state.stage,
        stages=tuple(stage.name for stage in plan.stages),
        share=state.share,
        counted=state.clock.counted,
        hold=plan.stages[state.stage].hold,
        since=state.since,
        started_by=state.started_by,
        blocked=state.blocked,
        pause=state.pause,
        approval_by=upcoming.approval.by if upcoming and upcoming.approval else None,
        last=state.last,
        closed=state.closed,
        start_at=plan.start_at if state.since is None else None,
        approval_due=state.approval_due,
    )


def watched_guardrails(stage: Stage, state: State) -> tuple[Gate, ...]:
    """The guardrails that matter in ``state``: one that can only pause has nothing to say while paused."""
    if state is State.PAUSED:
        return tuple(gate for gate in stage.guardrails if gate.on_fail != "pause")
    return stage.guardrails
