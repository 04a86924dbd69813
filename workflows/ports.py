"""The effects a rollout needs, as abstract activities; `activities` implements them.

Workflow code imports these and nothing behind them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from temporalio import activity

from turnout.domain.freezes import Opening
from turnout.domain.rollout import Decision, Observation, WatchRequest
from workflows.messages import (
    CalendarRequest,
    Committed,
    DeliveryReport,
    DeliveryRequest,
    Dispatch,
    Opened,
    OpenRequest,
    Routed,
    RouteRequest,
)


class Journal(ABC):
    """Where a rollout's decisions take effect. Every method is idempotent."""

    @activity.defn(name="open_rollout")
    @abstractmethod
    async def open(self, request: OpenRequest) -> Opened:
        """Compile the spec and take the flag. Fails for good on a bad spec or when the flag is taken."""

    @activity.defn(name="commit_decision")
    @abstractmethod
    async def commit(self, decision: Decision) -> Committed:
        """Record a decision and publish its traffic in one transaction. Fails for good when fenced off."""

    @activity.defn(name="confirm_delivery")
    @abstractmethod
    async def confirm(self, request: DeliveryRequest) -> DeliveryReport:
        """Wait, for a bounded time, until every live snapshot feed has passed the revision on."""


class Routing(ABC):
    """Moves the requests that go through a router outside of Turnout. Idempotent by generation."""

    @activity.defn(name="route_traffic")
    @abstractmethod
    async def route(self, request: RouteRequest) -> Routed:
        """Apply a split and read it back. Fails for good when the router follows a newer generation, or refuses."""


class Lookout(ABC):
    """Watches the evidence of one stage, and the calendar."""

    @activity.defn(name="watch_stage")
    @abstractmethod
    async def watch(self, request: WatchRequest) -> Observation:
        """Check every ``check_every`` until there is something to decide; asked to stop, it returns its clock."""

    @activity.defn(name="ask_calendar")
    @abstractmethod
    async def calendar(self, request: CalendarRequest) -> Opening:
        """Whether a flag's traffic may move forward, by its windows and the freezes there are now."""


class Herald(ABC):
    """Tells people what a rollout does."""

    @activity.defn(name="send_notice")
    @abstractmethod
    async def send(self, dispatch: Dispatch) -> None:
        """Send the notice to its channel, in bounded time. Carries the same key every time it is sent."""
