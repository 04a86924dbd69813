"""What goes in and out of the rollout workflow and its activities: one model in, one out."""

from __future__ import annotations

from pydantic import AwareDatetime, Field, JsonValue

from turnout.domain.adjusting import Adjustment
from turnout.domain.channels import Channel
from turnout.domain.freezes import Opening
from turnout.domain.model import Frozen
from turnout.domain.notices import News
from turnout.domain.plan import Plan
from turnout.domain.rollout import RolloutState, State
from turnout.domain.routing import Router
from turnout.domain.splits import RouterSplit
from turnout.domain.windows import Window

TASK_QUEUE = "turnout"
WORKFLOW_NAME = "Rollout"
NOTIFYING_NAME = "Notify"


def workflow_id(flag: str) -> str:
    """The workflow id of ``flag``'s rollout; Temporal keeps it unique among open workflows."""
    return f"rollout:{flag}"


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


class Announcement(Frozen):
    """News, and the channels that want it."""

    news: News
    channels: tuple[Channel, ...]


class Dispatch(Frozen):
    """News for one channel."""

    news: News
    channel: Channel


class Delivered(Frozen):
    """Every channel has taken the notice with this ``key``."""

    key: str
    channels: tuple[str, ...]
