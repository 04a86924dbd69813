"""What goes in and out of the rollout workflow and its activities: one model in, one out."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field, JsonValue

from turnout.domain.adjusting import Adjustment
from turnout.domain.breaking import BreakerPolicy, BreakerReport, SharedBreaker
from turnout.domain.channels import Channel
from turnout.domain.freezes import Opening
from turnout.domain.model import Frozen
from turnout.domain.notices import News, Notice
from turnout.domain.plan import Plan
from turnout.domain.rollout import RolloutState, State
from turnout.domain.routing import Router
from turnout.domain.splits import RouterSplit
from turnout.domain.windows import Window

TASK_QUEUE = "turnout"
WORKFLOW_NAME = "Rollout"
NOTIFYING_NAME = "Notify"
BREAKER_NAME = "Breaker"


def workflow_id(flag: str) -> str:
    """The workflow id of ``flag``'s rollout; Temporal keeps it unique among open workflows."""
    return f"rollout:{flag}"


def breaker_id(flag: str, variant: str) -> str:
    """The workflow id of the shared breaker of one variant."""
    return f"breaker:{flag}:{variant}"


def notifying_id(rollout_id: str, seq: int) -> str:
    """The workflow id under which decision ``seq`` is told: the same decision is told once."""
    return f"notify:{rollout_id}:{seq}"


class Carried(Frozen):
    """What one run of the workflow hands to the next when its history has grown long."""

    plan: Plan
    state: RolloutState


class RolloutInput(Frozen):
    """Starts a rollout: the spec as written, and who starts it.

    ``history_limit`` is the number of events after which the workflow continues as new at the latest. A rollout that
    ships the winner of a test continues the test's workflow and has a ``rollout_id`` of its own.
    """

    spec: dict[str, JsonValue]
    started_by: str = "unknown"
    history_limit: int = Field(default=4000, ge=50)
    carried: Carried | None = None
    rollout_id: str | None = None


class RolloutResult(Frozen):
    """How a rollout ended."""

    rollout_id: str
    flag: str
    state: State
    text: str


class OpenRequest(Frozen):
    """Asks to compile the spec and to take the flag."""

    rollout_id: str
    spec: dict[str, JsonValue]
    started_by: str
    at: AwareDatetime


class Opened(Frozen):
    """The compiled plan, the generation the flag's traffic has now, and whether it may move forward now.

    ``opening`` is None in histories from before there were windows and freezes.
    """

    plan: Plan
    generation: int
    opening: Opening | None = None


class CalendarRequest(Frozen):
    """Asks whether ``flag`` may move forward at ``at``, within ``windows`` (empty: at any time) and outside freezes."""

    flag: str
    windows: tuple[Window, ...]
    at: AwareDatetime


class Committed(Frozen):
    """The decision is recorded, its traffic published at ``revision``."""

    revision: int


class DeliveryRequest(Frozen):
    """Asks how far ``revision`` got."""

    revision: int


class DeliveryReport(Frozen):
    """How many live snapshot feeds have passed the revision on, and how many have not (yet)."""

    feeds: int
    lagging: int

    @property
    def text(self) -> str:
        """One clause for the story."""
        if not self.feeds:
            return "no snapshot feed is alive; resolvers get the change when one is back"
        if self.lagging:
            return f"{self.lagging} of {self.feeds} snapshot feeds have not passed the change on yet"
        return "every snapshot feed has passed the change on"


class RouteRequest(Frozen):
    """Asks to make ``router`` do ``split``. What has to be ``delivered`` is worth every further attempt."""

    router: Router
    split: RouterSplit
    delivered: bool = False


class Routed(Frozen):
    """The router does as asked, servers that are down or out of service aside; ``text`` tells which."""

    text: str


class CommandRequest(Frozen):
    """A command as it arrives; its kind is the name of the update or signal. Without an ``id`` it gets one.

    ``adjustment`` goes with ``adjust``.
    """

    id: str = Field(default="", max_length=100)
    actor: str = Field(default="unknown", max_length=200)
    reason: str = Field(default="", max_length=2000)
    roles: tuple[str, ...] = ()
    adjustment: Adjustment | None = None


class CommandResult(Frozen):
    """What became of a command: acted on, or refused when its turn came."""

    id: str
    applied: bool
    state: State
    text: str


def telling_id(key: str) -> str:
    """The workflow id under which the notice ``key``, which is of no rollout, is told."""
    return f"notify:{key}"


class Announcement(Frozen):
    """News of a rollout, or a notice that is ready, and the channels that want it."""

    news: News | None = None
    notice: Notice | None = None
    channels: tuple[Channel, ...]

    @property
    def key(self) -> str:
        """The key of the notice that is told."""
        if self.notice is not None:
            return self.notice.key
        return f"{self.news.decision.rollout_id}:{self.news.decision.seq}" if self.news is not None else ""


class Dispatch(Frozen):
    """News, or a notice, for one channel."""

    news: News | None = None
    notice: Notice | None = None
    channel: Channel


class Delivered(Frozen):
    """Every channel has taken the notice with this ``key``."""

    key: str
    channels: tuple[str, ...]


class BreakerInput(Frozen):
    """Starts the shared breaker of a variant; ``breaker`` is where it is, ``policy`` how it comes back, if known."""

    flag: str
    variant: str
    breaker: SharedBreaker | None = None
    policy: BreakerPolicy = BreakerPolicy()


class BreakerSignal(Frozen):
    """A process's report, and how the breaker comes back as the flag says now."""

    report: BreakerReport
    policy: BreakerPolicy


class CloseBreaker(Frozen):
    """A person closes a breaker."""

    actor: str = Field(default="unknown", max_length=200)
    reason: str = Field(default="", max_length=500)


class SwitchRequest(Frozen):
    """Asks to keep and publish where the breaker of a variant is."""

    flag: str
    variant: str
    breaker: SharedBreaker


class ToldRollout(Frozen):
    """An open rollout that has to hear of a breaker, and what it shall do."""

    workflow_id: str
    command: Literal["pause", "rollback"]


class Switched(Frozen):
    """The change is published at ``revision``; whom to tell of it."""

    revision: int
    stable: str
    channels: tuple[Channel, ...] = ()
    rollout: ToldRollout | None = None


class ProbeWatch(Frozen):
    """Asks for what becomes of the requests served with a variant since ``since``."""

    flag: str
    variant: str
    since: AwareDatetime
    wanted: int


class Probed(Frozen):
    """So many probes went well, so many failed."""

    good: int
    bad: int
