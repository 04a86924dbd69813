"""Stores in memory, for tests: they keep the same rules as the ones on a database, and forget everything at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

from turnout.adapters import store_rules as rules
from turnout.adapters.intake import FlagFacts, measuring_of
from turnout.domain.breaking import SharedBreaker
from turnout.domain.flags import Flag
from turnout.domain.rollout import Decision
from turnout.domain.verdicts import Check
from turnout.ports.stores import (
    AuditEntry,
    Delivery,
    Evidence,
    FlagChange,
    FlagRecord,
    Published,
    RolloutRecord,
    Stores,
)
from turnout.testing.budgets import MemoryBudgetStore
from turnout.testing.freezes import MemoryFreezeStore
from turnout.testing.outcomes import MemoryOutcomeStore


@dataclass
class _Memory:
    """What a database would keep. Rollouts are in the order in which they were opened."""

    store_id: str = field(default_factory=lambda: str(uuid4()))
    revision: int = 0
    flags: dict[str, FlagRecord] = field(default_factory=dict[str, FlagRecord])
    retired: dict[str, int] = field(default_factory=dict[str, int])
    feeds: dict[str, tuple[int, datetime]] = field(default_factory=dict[str, tuple[int, datetime]])
    rollouts: dict[str, RolloutRecord] = field(default_factory=dict[str, RolloutRecord])
    decisions: dict[tuple[str, int], Decision] = field(default_factory=dict[tuple[str, int], Decision])
    evidence: dict[str, Evidence] = field(default_factory=dict[str, Evidence])
    audit: list[AuditEntry] = field(default_factory=list[AuditEntry])

    def flag(self, key: str) -> FlagRecord:
        if key not in self.flags:
            raise rules.no_flag(key)
        return self.flags[key]

    def rollout(self, rollout_id: str) -> RolloutRecord:
        if rollout_id not in self.rollouts:
            raise rules.no_rollout(rollout_id)
        return self.rollouts[rollout_id]

    def open_rollout(self, flag: str) -> RolloutRecord | None:
        latest = self.latest_rollout(flag)
        return latest if latest is not None and latest.ended_at is None else None

    def latest_rollout(self, flag: str) -> RolloutRecord | None:
        return next((r for r in reversed(self.rollouts.values()) if r.flag == flag), None)

    def facts(self) -> dict[str, FlagFacts]:
        """What intake has to know of all flags."""
        return {key: self._facts(key, record) for key, record in self.flags.items()}

    def _facts(self, key: str, record: FlagRecord) -> FlagFacts:
        rollout = self.latest_rollout(key)
        decided = self.decisions.values() if rollout is not None else ()
        return FlagFacts(
            generation=record.traffic.generation,
            variants=frozenset(record.flag.variants),
            stable=record.traffic.stable,
            measuring=measuring_of(rollout.plan if rollout is not None else None),
            starts={d.generation: d.at for d in decided if rollout and d.rollout_id == rollout.id and d.weights},
        )


def memory_stores() -> Stores:
    """All stores, which share one memory: what `turnout.adapters.sql.open_stores` gives, without a database."""
    memory = _Memory()
    return Stores(
        MemoryFlagStore(memory),
        MemoryRolloutStore(memory),
        MemoryOutcomeStore(memory.facts),
        MemoryFreezeStore(memory.audit),
        MemoryBudgetStore(memory.audit.append),
    )


class MemoryFlagStore:
    """A `turnout.ports.stores.FlagStore` in memory."""

    def __init__(self, memory: _Memory) -> None:
        self._memory = memory

    async def apply(
        self, flags: Sequence[Flag], actor: str, at: datetime, *, dry_run: bool = False
    ) -> Sequence[FlagChange]:
        """See `FlagStore.apply`. Raises InvalidInput too, when a variant is gone that traffic still uses."""
        rules.repeated(flags)
        memory = self._memory
        results = [
            rules.applied(
                flag,
                memory.flags.get(flag.key),
                memory.retired.get(flag.key, 0),
                memory.open_rollout(flag.key),
                actor,
                at,
            )
            for flag in flags
        ]
        rules.together(({key: r.flag for key, r in memory.flags.items()} | {f.key: f for f in flags}).values())
        changed = [(record, change) for record, change in results if change.action != "unchanged" and not dry_run]
        for record, change in changed:
            memory.flags[change.key] = record
            memory.audit.append(rules.change_entry(change, actor, at))
        memory.revision += bool(changed)
        return [change for _, change in results]

    async def get(self, key: str) -> FlagRecord:
        """See `FlagStore.get`."""
        return self._memory.flag(key)

    async def list(self) -> Sequence[FlagRecord]:
        """See `FlagStore.list`."""
        return [record for _, record in sorted(self._memory.flags.items())]

    async def delete(self, key: str, actor: str, at: datetime) -> None:
        """See `FlagStore.delete`."""
        record = self._memory.flag(key)
        rules.refuse_open(key, self._memory.open_rollout(key))
        rules.refuse_required(key, (record.flag for record in self._memory.flags.values()))
        del self._memory.flags[key]
        self._memory.retired[key] = record.traffic.generation
        self._memory.audit.append(rules.delete_entry(key, actor, at))
        self._memory.revision += 1

    async def stop(self, key: str, stopped: bool, actor: str, reason: str, at: datetime) -> FlagRecord:
        """See `FlagStore.stop`. Stopping a stopped flag changes nothing."""
        before = self._memory.flag(key)
        after = rules.stopped(before, stopped, actor, reason, at)
        if after != before:
            self._memory.flags[key] = after
            self._memory.audit.append(rules.stop_entry(after, reason))
            self._memory.revision += 1
        return after

    async def switch(self, key: str, variant: str, breaker: SharedBreaker) -> tuple[FlagRecord, int]:
        """See `FlagStore.switch`."""
        before = self._memory.flag(key)
        after = rules.switched(before, variant, breaker)
        if after is not before:
            self._memory.flags[key] = after
            self._memory.audit.append(rules.switch_entry(key, variant, breaker))
            self._memory.revision += after.published != before.published
        return after, self._memory.revision

    async def revision(self) -> int:
        """See `FlagStore.revision`."""
        return self._memory.revision

    async def published(self) -> Published:
        """See `FlagStore.published`."""
        flags = tuple(record.published for record in await self.list())
        return Published(revision=self._memory.revision, store_id=self._memory.store_id, flags=flags)

    async def beat(self, feed: str, revision: int, at: datetime) -> None:
        """See `FlagStore.beat`."""
        self._memory.feeds[feed] = (revision, at)

    async def delivery(self, revision: int, alive_since: datetime) -> Delivery:
        """See `FlagStore.delivery`."""
        sent = [seen for seen, at in self._memory.feeds.values() if at >= alive_since]
        return Delivery(revision=revision, feeds=len(sent), lagging=sum(one < revision for one in sent))


class MemoryRolloutStore:
    """A `turnout.ports.stores.RolloutStore` in memory."""

    def __init__(self, memory: _Memory) -> None:
        self._memory = memory

    async def open(self, record: RolloutRecord) -> RolloutRecord:
        """See `RolloutStore.open`."""
        memory = self._memory
        if record.id not in memory.rollouts:
            flag, other = memory.flags.get(record.flag), memory.open_rollout(record.flag)
            memory.rollouts[record.id] = rules.opened(record, flag, other)
        return memory.rollouts[record.id]

    async def commit(self, decision: Decision) -> int:
        """See `RolloutStore.commit`. Raises NotFound for a rollout that was never opened."""
        memory = self._memory
        rollout = memory.rollout(decision.rollout_id)
        if (decision.rollout_id, decision.seq) in memory.decisions:
            return memory.revision
        if decision.weights is not None:
            memory.flags[decision.flag] = rules.published(decision, memory.flags.get(decision.flag), rollout)
            memory.revision += 1
        memory.decisions[decision.rollout_id, decision.seq] = decision
        memory.rollouts[rollout.id] = rules.projected(rollout, decision)
        return memory.revision

    async def amend(self, decision: Decision) -> int:
        """See `RolloutStore.amend`."""
        memory = self._memory
        rollout = memory.rollout(decision.rollout_id)
        rules.refuse_open(decision.flag, memory.open_rollout(decision.flag))
        memory.flags[decision.flag] = rules.amended(decision, memory.flags.get(decision.flag), rollout)
        memory.revision += 1
        seq = max((seq for owner, seq in memory.decisions if owner == rollout.id), default=0) + 1
        memory.decisions[rollout.id, seq] = decision.model_copy(update={"seq": seq})
        return memory.revision

    async def evidence(self, evidence: Evidence) -> None:
        """See `RolloutStore.evidence`. Raises NotFound for a rollout that was never opened."""
        self._memory.rollout(evidence.rollout_id)
        self._memory.evidence.setdefault(evidence.id, evidence)

    async def checked(
        self, rollout_id: str, generation: int, checks: Sequence[Check], counted: timedelta, at: datetime
    ) -> None:
        """See `RolloutStore.checked`. Raises NotFound."""
        update = {"checks": tuple(checks), "counted": counted, "checked_at": at, "checked_generation": generation}
        self._memory.rollouts[rollout_id] = self._memory.rollout(rollout_id).model_copy(update=update)

    async def get(self, rollout_id: str) -> RolloutRecord:
        """See `RolloutStore.get`."""
        return self._memory.rollout(rollout_id)

    async def latest(self, flag: str) -> RolloutRecord:
        """See `RolloutStore.latest`."""
        record = self._memory.latest_rollout(flag)
        if record is None:
            raise rules.no_rollout(f"of flag {flag}")
        return record

    async def list(self, open_only: bool = False) -> Sequence[RolloutRecord]:
        """See `RolloutStore.list`."""
        newest_first = reversed(self._memory.rollouts.values())
        return [record for record in newest_first if record.ended_at is None or not open_only]

    async def decisions(self, rollout_id: str, after: int = 0) -> Sequence[Decision]:
        """See `RolloutStore.decisions`."""
        known = sorted(self._memory.decisions.items())
        return [decision for (owner, seq), decision in known if owner == rollout_id and seq > after]

    async def evidence_of(self, evidence_id: str) -> Evidence:
        """See `RolloutStore.evidence_of`."""
        if evidence_id not in self._memory.evidence:
            raise rules.no_evidence(evidence_id)
        return self._memory.evidence[evidence_id]

    async def audit(self, entry: AuditEntry) -> None:
        """See `RolloutStore.audit`."""
        self._memory.audit.append(entry)

    async def audit_log(self, subject: str | None = None, limit: int = 100) -> Sequence[AuditEntry]:
        """See `RolloutStore.audit_log`."""
        newest_first = reversed(self._memory.audit)
        return [entry for entry in newest_first if subject is None or entry.subject == subject][:limit]
