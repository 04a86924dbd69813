"""The ports that keep flags, what is published, and the story of every rollout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from pydantic import AwareDatetime, Field, JsonValue

from turnout.domain.breaking import SharedBreaker
from turnout.domain.flags import Flag, Traffic
from turnout.domain.model import Frozen
from turnout.domain.names import Name
from turnout.domain.plan import Plan
from turnout.domain.rollout import Decision, State
from turnout.domain.snapshot import PublishedFlag
from turnout.domain.verdicts import Check, Verdict
from turnout.ports.budgets import BudgetStore
from turnout.ports.freezes import FreezeStore
from turnout.ports.outcomes import OutcomeStore


class FlagRecord(Frozen):
    """A flag as it stands: what a person applied, and what is published for its final serve.

    ``breakers`` are those of its variants that have opened before.
    """

    flag: Flag
    traffic: Traffic
    stopped: bool = False
    stopped_reason: str = ""
    updated_at: AwareDatetime
    updated_by: str
    breakers: dict[Name, SharedBreaker] = Field(default_factory=dict[str, SharedBreaker])

    @property
    def blocking(self) -> dict[str, SharedBreaker]:
        """The breakers that keep users from their variants. Never stable's: there is nothing to serve in its place."""
        return {
            name: breaker
            for name, breaker in self.breakers.items()
            if breaker.circuit != "closed" and name in self.flag.variants and name != self.traffic.stable
        }

    @property
    def published(self) -> PublishedFlag:
        """What resolvers serve."""
        blocking = self.blocking
        kinds = {breaker.kind for breaker in blocking.values()}
        return PublishedFlag(
            definition=self.flag,
            traffic=self.traffic,
            stopped=self.stopped,
            blocked={name: breaker.probe for name, breaker in sorted(blocking.items())},
            blocked_by=None if not kinds else "errors" if "errors" in kinds else "quality",
        )


class FlagChange(Frozen):
    """What applying one flag did. ``kept`` says that a rollout has moved its traffic and the move was kept."""

    key: str
    action: Literal["created", "updated", "unchanged"]
    traffic: Traffic
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """Everything resolvers serve, at one revision of one store."""

    revision: int
    store_id: str
    flags: tuple[PublishedFlag, ...]


class RolloutRecord(Frozen):
    """A rollout as the store knows it: the projection of its decisions, readable without the workflow engine."""

    id: str
    flag: str
    strategy: str
    candidate: str
    stable: str
    state: State
    stage: int
    share: float
    generation: int
    started_by: str
    started_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    spec: dict[str, JsonValue] = Field(default_factory=dict)
    plan: Plan
    checks: tuple[Check, ...] = ()
    checked_at: AwareDatetime | None = None
    checked_generation: int | None = None
    counted: timedelta = timedelta()
    summary: str = ""


class Evidence(Frozen):
    """All checks of one moment that a decision rests on."""

    id: str
    rollout_id: str
    generation: int
    stage: int
    at: AwareDatetime
    verdict: Verdict
    checks: tuple[Check, ...]


class AuditEntry(Frozen):
    """Who did what to what: every change of a flag, every command, refused ones too."""

    at: AwareDatetime
    actor: str
    action: str
    subject: str
    outcome: Literal["done", "refused"] = "done"
    detail: str = ""


class Delivery(Frozen):
    """How far a revision got: ``feeds`` live snapshot feeds, of which ``lagging`` have not sent it on yet."""

    revision: int
    feeds: int
    lagging: int


class FlagStore(Protocol):
    """Keeps flags and publishes them. Every change raises the revision; it never falls."""

    async def apply(
        self, flags: Sequence[Flag], actor: str, at: datetime, *, dry_run: bool = False
    ) -> Sequence[FlagChange]:
        """Create or update ``flags``, all or none; with ``dry_run`` only tell what that would do.

        A moved traffic is kept while the flag's ``stable``, ``serve`` and ``split`` stay as applied before; changing
        one of them publishes what the file says under a new generation.

        Raises:
            RolloutOpen: a flag with an open rollout would change.
        """
        ...

    async def get(self, key: str) -> FlagRecord:
        """Raises NotFound."""
        ...

    async def list(self) -> Sequence[FlagRecord]:
        """All flags, by key."""
        ...

    async def delete(self, key: str, actor: str, at: datetime) -> None:
        """Raises NotFound, RolloutOpen while a rollout is open, or Conflict while another flag requires it."""
        ...

    async def stop(self, key: str, stopped: bool, actor: str, reason: str, at: datetime) -> FlagRecord:
        """Serve stable to everybody at once (or end that). Raises NotFound."""
        ...

    async def switch(self, key: str, variant: str, breaker: SharedBreaker) -> tuple[FlagRecord, int]:
        """Keep and publish where the breaker of ``variant`` is; the flag after it, and the revision.

        A word that is not newer than what is kept changes nothing. Raises NotFound.
        """
        ...

    async def revision(self) -> int:
        """The revision published now. Cheap enough to ask ten times a second."""
        ...

    async def published(self) -> Published:
        """Everything resolvers serve, consistent at one revision."""
        ...

    async def beat(self, feed: str, revision: int, at: datetime) -> None:
        """Note that snapshot feed ``feed`` is alive and has sent ``revision`` to every connected resolver."""
        ...

    async def delivery(self, revision: int, alive_since: datetime) -> Delivery:
        """How far ``revision`` got among the feeds heard of since ``alive_since``."""
        ...


class RolloutStore(Protocol):
    """Keeps rollouts, their decisions and evidence. Recording is idempotent."""

    async def open(self, record: RolloutRecord) -> RolloutRecord:
        """Open a rollout; ``record.generation`` is set to the flag's. The same id again returns what is there.

        Raises:
            RolloutOpen: another rollout of the flag is open.
            NotFound: no such flag.
            InvalidInput: the flag lacks the candidate, or serves it to all users already.
        """
        ...

    async def commit(self, decision: Decision) -> int:
        """Record ``decision`` and publish its traffic, in one transaction; returns the revision published.

        Recording the same (rollout, seq) again changes nothing and returns the current revision.

        Raises:
            StaleGeneration: the flag's traffic has this generation or a newer one from somebody else.
        """
        ...

    async def amend(self, decision: Decision) -> int:
        """Change the traffic that a completed rollout left, and record ``decision`` after its last one, in one
        transaction; returns the revision published. The decision's ``seq`` is set here.

        Raises:
            NotFound: no such rollout.
            RolloutOpen: another rollout of the flag is open.
            StaleGeneration: the traffic is not the rollout's any more, or not of the generation before the decision's.
        """
        ...

    async def evidence(self, evidence: Evidence) -> None:
        """Keep the evidence of a decision; the same id again changes nothing."""
        ...

    async def checked(
        self, rollout_id: str, generation: int, checks: Sequence[Check], counted: timedelta, at: datetime
    ) -> None:
        """Keep the latest checks of a rollout, for status and as the memory of the stage's gates."""
        ...

    async def get(self, rollout_id: str) -> RolloutRecord:
        """Raises NotFound."""
        ...

    async def latest(self, flag: str) -> RolloutRecord:
        """The open rollout of ``flag``, or its last one. Raises NotFound."""
        ...

    async def list(self, open_only: bool = False) -> Sequence[RolloutRecord]:
        """Rollouts, the newest first."""
        ...

    async def decisions(self, rollout_id: str, after: int = 0) -> Sequence[Decision]:
        """Decisions with a ``seq`` above ``after``, in order."""
        ...

    async def evidence_of(self, evidence_id: str) -> Evidence:
        """Raises NotFound."""
        ...

    async def audit(self, entry: AuditEntry) -> None:
        """Append to the audit log."""
        ...

    async def audit_log(self, subject: str | None = None, limit: int = 100) -> Sequence[AuditEntry]:
        """The newest entries first."""
        ...


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of one database."""

    flags: FlagStore
    rollouts: RolloutStore
    outcomes: OutcomeStore
    freezes: FreezeStore
    budgets: BudgetStore
