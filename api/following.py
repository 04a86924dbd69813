"""A rollout as it happens: its decisions and checks as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Final, NamedTuple

from pydantic_core import to_json

from api import sse
from api.services import Services
from turnout.domain.errors import NotFound, Unavailable
from turnout.ports import RolloutRecord

LOOK_EVERY_SECONDS: Final = 0.5


class Position(NamedTuple):
    """How far a reader got: the last decision it has of which rollout; without an id, of whichever there is."""

    rollout_id: str = ""
    seq: int = 0

    @property
    def event_id(self) -> str:
        """The position as the id of an event."""
        return f"{self.rollout_id}:{self.seq}"


def position_of(event_id: str) -> Position:
    """The position that a Last-Event-ID names, or a bare seq; the beginning if it is neither."""
    rollout_id, _, seq = event_id.rpartition(":")
    return Position(rollout_id, int(seq)) if seq.isascii() and seq.isdecimal() and len(seq) < 10 else Position()


async def events(services: Services, flag: str, position: Position) -> AsyncGenerator[bytes]:
    """The events of ``flag``'s open rollout, or its last one, after ``position``; ends when the rollout has.

    ``decision`` carries a decision; ``checks`` the latest checks with the state, stage, share and counted time;
    ``end`` the final record's state. An outage of the store only delays them.
    """
    checked: datetime | None = None
    while not services.hub.closed:
        try:
            record = await services.rollouts.latest(flag)
            if position.rollout_id not in ("", record.id):
                position = Position(record.id, 0)
            for decision in await services.rollouts.decisions(record.id, position.seq):
                position = Position(record.id, decision.seq)
                yield sse.event("decision", decision.model_dump_json().encode(), position.event_id)
        except (NotFound, Unavailable):
            # A reader comes before the first decision, or the store is away: both pass.
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            continue
        if record.checked_at != checked:
            checked = record.checked_at
            yield sse.event("checks", _checks(record))
        if record.state.ended:
            yield sse.event("end", to_json({"rollout_id": record.id, "state": record.state, "text": record.summary}))
            return
        await asyncio.sleep(LOOK_EVERY_SECONDS)


def _checks(record: RolloutRecord) -> bytes:
    fields = {"id", "flag", "state", "stage", "share", "checks", "checked_at", "counted"}
    return record.model_dump_json(include=fields).encode()
