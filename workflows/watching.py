"""The one watch of a rollout: which stage is watched, and what it came to."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, TimeoutError

with workflow.unsafe.imports_passed_through():
    from turnout.domain.durations import format_duration
    from turnout.domain.machine import settle
    from turnout.domain.rollout import Clock, Observation, WatchRequest
    from workflows.ports import Lookout

# Long enough for any stage: a watch ends by itself, by being stopped, or by missing heartbeats.
_LONGEST = timedelta(days=366)
_HEARTBEAT = timedelta(seconds=10)
_RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=5))


class Watch:
    """A started watch activity and the request it answers."""

    def __init__(self, request: WatchRequest) -> None:
        self.request = request
        self.stopped_at: datetime | None = None
        self._handle = workflow.start_activity_method(
            Lookout.watch,
            request,
            start_to_close_timeout=_LONGEST,
            heartbeat_timeout=_HEARTBEAT,
            retry_policy=_RETRY,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"{request.stage.name}: {format_duration(request.clock.counted)} of "
            f"{format_duration(request.stage.hold)}",
        )

    def answers(self, request: WatchRequest) -> bool:
        """Whether this watch is the one ``request`` asks for; its clock runs on by itself."""
        return self.request.model_copy(update={"clock": request.clock}) == request

    @property
    def done(self) -> bool:
        """Whether the activity has come back."""
        return self._handle.done()

    def result(self) -> Observation:
        """What the activity came to.

        Raises:
            ActivityError: it failed for good and was not stopped: a fault of the program, not of the evidence.
        """
        return self._handle.result()

    def stop(self, at: datetime) -> None:
        """Ask the activity to stop; its clock at ``at`` is known once `done`. Asking again changes nothing."""
        if self.stopped_at is None:
            self.stopped_at = at
            self._handle.cancel()

    def abandon(self) -> None:
        """Ask the activity to stop and forget it."""
        self._handle.add_done_callback(lambda handle: handle.cancelled() or handle.exception())
        self._handle.cancel()

    def settled_clock(self) -> Clock:
        """The stage's clock at the moment of `stop`."""
        seen = self._last_seen()
        begun = self.request.clock
        return begun if seen is None or self.stopped_at is None else settle(begun, seen, self.stopped_at)

    def _last_seen(self) -> Observation | None:
        """The activity's answer, or its last heartbeat when its worker died before it could answer."""
        try:
            return self._handle.result()
        except asyncio.CancelledError:  # stopped before it had begun
            return None
        except ActivityError as error:
            if isinstance(error.cause, TimeoutError) and error.cause.last_heartbeat_details:
                return Observation.model_validate(error.cause.last_heartbeat_details[0])
            return None
