"""The rules every store keeps, whatever its technology: what a change makes of the records. Pure functions.

The SQL stores and the in-memory ones load records, ask here, and write what comes back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import combinations

from turnout.domain.breaking import SharedBreaker
from turnout.domain.bucketing import TOTAL
from turnout.domain.errors import Conflict, InvalidInput, NotFound, Problem, RolloutOpen, StaleGeneration
from turnout.domain.flags import Flag, Traffic, initial_traffic
from turnout.domain.freezes import Freeze
from turnout.domain.prerequisites import requirement_problems
from turnout.domain.problems import suggestion
from turnout.domain.rollout import Decision
from turnout.ports.stores import AuditEntry, FlagChange, FlagRecord, RolloutRecord

_FEED_KEPT = timedelta(days=1)


def applied(
    flag: Flag, before: FlagRecord | None, retired: int, rollout: RolloutRecord | None, actor: str, at: datetime
) -> tuple[FlagRecord, FlagChange]:
    """The record after ``flag`` was applied over ``before``, and what that changed.

    ``retired`` is the last generation of a deleted flag of that key (0: none), so that generations never repeat.
    ``rollout`` is the flag's open rollout.

    Raises:
        RolloutOpen: the flag would change under its rollout.
        InvalidInput: a variant is gone that traffic still uses.
    """
    if before is None:
        traffic = _renumbered(initial_traffic(flag), retired + 1)
        record = FlagRecord(flag=flag, traffic=traffic, updated_at=at, updated_by=actor)
        return record, FlagChange(key=flag.key, action="created", traffic=traffic)
    if _same(flag, before.flag):
        change = FlagChange(key=flag.key, action="unchanged", traffic=before.traffic, kept=_moved(before))
        return before, change
    if not _same(_unguarded(flag), _unguarded(before.flag)):
        refuse_open(flag.key, rollout)
    kept = _target(flag) == _target(before.flag)
    traffic = _kept_traffic(flag, before) if kept else _renumbered(initial_traffic(flag), before.traffic.generation + 1)
    update = {"flag": flag, "traffic": traffic, "updated_at": at, "updated_by": actor}
    change = FlagChange(key=flag.key, action="updated", traffic=traffic, kept=kept and _moved(before))
    return before.model_copy(update=update), change


def refuse_open(key: str, rollout: RolloutRecord | None) -> None:
    """Raise RolloutOpen when ``rollout`` stands in the way of changing flag ``key``."""
    if rollout is not None:
        remedy = f"wait until it has ended, or end it with: turnout abort {key}"
        raise RolloutOpen(f"flag {key} has an open rollout, {rollout.id} ({rollout.state}); {remedy}")


def repeated(flags: Iterable[Flag]) -> None:
    """Raise InvalidInput when a key occurs twice in one batch: which of them should win would be a guess."""
    twice = [key for key, count in Counter(flag.key for flag in flags).items() if count > 1]
    if twice:
        raise InvalidInput(Problem(f"flags.{key}", "is given more than once", "keep one of them") for key in twice)


def overlapping(flags: Iterable[Flag]) -> None:
    """Raise InvalidInput when two flags claim the same part of a layer: a unit could be in the tests of both."""
    claims = [(flag.key, flag.layer) for flag in flags if flag.layer is not None]
    problems = [
        Problem(
            f"flags.{two}.layer",
            f"overlaps that of flag {one} ({mine.start} to {mine.end} percent of {mine.name})",
            "give each flag of a layer a part of its own",
            f"{theirs.start} to {theirs.end}",
        )
        for (one, mine), (two, theirs) in combinations(claims, 2)
        if mine.overlaps(theirs)
    ]
    if problems:
        raise InvalidInput(problems)


def same_prefix(flags: Iterable[Flag]) -> None:
    """Raise InvalidInput when two flags have one ``env_prefix``: a variable would set both."""
    owners: dict[str, str] = {}
    problems: list[Problem] = []
    for flag in flags:
        if flag.env_prefix is not None and (other := owners.setdefault(flag.env_prefix, flag.key)) != flag.key:
            message, remedy = f"is that of flag {other} too", "give each flag a prefix of its own"
            problems.append(Problem(f"flags.{flag.key}.env_prefix", message, remedy, flag.env_prefix))
    if problems:
        raise InvalidInput(problems)


def together(flags: Iterable[Flag]) -> None:
    """Raise InvalidInput unless ``flags``, all there are, go together: layers, prefixes, requirements."""
    every = tuple(flags)
    overlapping(every)
    same_prefix(every)
    unrequired(every)


def unrequired(flags: Iterable[Flag]) -> None:
    """Raise InvalidInput when flags require what is not there, or each other: they could never be met."""
    if problems := requirement_problems({flag.key: flag for flag in flags}):
        raise InvalidInput(problems)


def refuse_required(key: str, flags: Iterable[Flag]) -> None:
    """Raise Conflict when some of ``flags`` require flag ``key``, which is to go."""
    if needing := sorted(flag.key for flag in flags if key in flag.requires):
        raise Conflict(f"flag {key} is required by {', '.join(needing)}; remove it from their requires: first")


def no_flag(key: str) -> NotFound:
    """The error for a flag that does not exist."""
    return NotFound(f"there is no flag {key}; apply it first: turnout flags apply -f flags.yaml")


def no_rollout(of: str) -> NotFound:
    """The error for a rollout that does not exist."""
    return NotFound(f"there is no rollout {of}; turnout list shows the ones there are")


def no_evidence(evidence_id: str) -> NotFound:
    """The error for evidence that does not exist."""
    return NotFound(f"there is no evidence {evidence_id}")


def stopped(before: FlagRecord, stop: bool, actor: str, reason: str, at: datetime) -> FlagRecord:
    """The record after an emergency stop, or after the end of one; ``before`` itself when it is so already."""
    if before.stopped == stop:
        return before
    update = {"stopped": stop, "stopped_reason": reason if stop else "", "updated_at": at, "updated_by": actor}
    return before.model_copy(update=update)


def switched(before: FlagRecord, variant: str, breaker: SharedBreaker) -> FlagRecord:
    """The record after the breaker of ``variant`` has changed; ``before`` itself when it knows a newer word.

    Raises:
        NotFound: the flag has no such variant.
    """
    if variant not in before.flag.variants:
        raise NotFound(f"flag {before.flag.key} has no variant {variant}")
    if not breaker.newer(before.breakers.get(variant)):
        return before
    return before.model_copy(update={"breakers": {**before.breakers, variant: breaker}})


def switch_entry(key: str, variant: str, breaker: SharedBreaker) -> AuditEntry:
    """The audit entry of a breaker that has changed."""
    action, subject = f"breaker.{breaker.circuit}", f"{key}/{variant}"
    actor = breaker.actor or "turnout"
    return AuditEntry(at=breaker.at, actor=actor, action=action, subject=subject, detail=breaker.why)


def opened(record: RolloutRecord, flag: FlagRecord | None, other: RolloutRecord | None) -> RolloutRecord:
    """``record`` as it may be opened on ``flag``, whose open rollout is ``other``.

    Raises:
        NotFound: no such flag.
        RolloutOpen: another rollout is open.
        InvalidInput: the flag lacks the candidate, serves it to all already, or has another stable variant.
    """
    if flag is None:
        raise no_flag(record.flag)
    if other is not None:
        remedy = "wait until it has ended, or end it with: turnout abort " + record.flag
        raise RolloutOpen(f"flag {record.flag} has an open rollout already, {other.id} ({other.state}); {remedy}")
    problems = list(_misfits(record, flag))
    if problems:
        raise InvalidInput(problems)
    return record.model_copy(update={"generation": flag.traffic.generation})


def published(decision: Decision, flag: FlagRecord | None, rollout: RolloutRecord) -> FlagRecord:
    """``flag`` after ``decision``, which carries weights, has moved its traffic.

    Raises:
        StaleGeneration: the rollout is closed, or the flag has this generation or a newer one.
    """
    if flag is None:
        raise no_flag(decision.flag)
    if rollout.ended_at is not None:
        raise StaleGeneration(f"rollout {rollout.id} has ended ({rollout.state}) and cannot move {flag.flag.key}")
    now = flag.traffic
    if now.generation >= decision.generation:
        owner = f" of rollout {now.rollout_id}" if now.rollout_id else ""
        raise StaleGeneration(
            f"flag {flag.flag.key} serves generation {now.generation}{owner}; "
            f"rollout {rollout.id} came too late with generation {decision.generation}"
        )
    traffic = Traffic(
        stable=decision.new_stable or now.stable,
        weights=decision.weights or {},
        segments=decision.segments,
        shadow=decision.shadow,
        exposed=decision.exposed,
        test=decision.test,
        generation=decision.generation,
        rollout_id=rollout.id,
    )
    return flag.model_copy(update={"traffic": traffic, "updated_at": decision.at, "updated_by": decision.actor})


def amended(decision: Decision, flag: FlagRecord | None, rollout: RolloutRecord) -> FlagRecord:
    """``flag`` after ``decision`` has changed the traffic that the ended ``rollout`` left.

    Raises StaleGeneration when the traffic is not what the decision was made on.
    """
    if flag is None:
        raise no_flag(decision.flag)
    now = flag.traffic
    if now.rollout_id != rollout.id or now.generation != decision.generation - 1:
        raise StaleGeneration(
            f"flag {flag.flag.key} serves generation {now.generation} of {now.rollout_id or 'its definition'} by now, "
            f"not what rollout {rollout.id} left; look again"
        )
    traffic = Traffic(
        stable=now.stable,
        weights=decision.weights or {},
        segments=decision.segments,
        shadow=now.shadow,
        generation=decision.generation,
        rollout_id=rollout.id,
    )
    return flag.model_copy(update={"traffic": traffic, "updated_at": decision.at, "updated_by": decision.actor})


def projected(rollout: RolloutRecord, decision: Decision) -> RolloutRecord:
    """``rollout`` as it stands after ``decision``; one that has ended stays as it is."""
    if rollout.ended_at is not None:
        return rollout
    update: dict[str, object] = {
        "state": decision.state,
        "stage": decision.stage,
        "share": decision.share,
        "generation": max(rollout.generation, decision.generation),
        "ended_at": decision.at if decision.state.ended else None,
    }
    if decision.kind != "refused":
        # A refused command is in the log, but it is not what the rollout is doing.
        update["summary"] = decision.text
    if decision.weights is not None and not decision.leaves:
        # A stage begins: what was checked and counted belongs to another one.
        update |= {"checks": (), "checked_at": None, "checked_generation": None, "counted": timedelta()}
    return rollout.model_copy(update=update)


def change_entry(change: FlagChange, actor: str, at: datetime) -> AuditEntry:
    """The audit entry of an applied flag."""
    detail = f"generation {change.traffic.generation}" + (", traffic moved by a rollout kept" if change.kept else "")
    return AuditEntry(at=at, actor=actor, action=f"flag.{change.action}", subject=change.key, detail=detail)


def delete_entry(key: str, actor: str, at: datetime) -> AuditEntry:
    """The audit entry of a deleted flag."""
    return AuditEntry(at=at, actor=actor, action="flag.deleted", subject=key)


def stop_entry(record: FlagRecord, reason: str) -> AuditEntry:
    """The audit entry of an emergency stop or of the end of one."""
    action = "flag.stopped" if record.stopped else "flag.restored"
    return AuditEntry(
        at=record.updated_at, actor=record.updated_by, action=action, subject=record.flag.key, detail=reason
    )


def no_freeze(freeze_id: str) -> NotFound:
    """The error for a freeze that does not exist."""
    return NotFound(f"there is no freeze {freeze_id}; turnout freezes list shows the ones there are")


def freeze_entry(freeze: Freeze) -> AuditEntry:
    """The audit entry of a new freeze."""
    return AuditEntry(
        at=freeze.at,
        actor=freeze.by,
        action="freeze.added",
        subject=freeze.id,
        detail=f"{freeze.text}: {freeze.reason}",
    )


def thaw_entry(freeze: Freeze, actor: str, reason: str, at: datetime) -> AuditEntry:
    """The audit entry of a freeze that was lifted."""
    said = f" ({reason})" if reason else ""
    return AuditEntry(
        at=at, actor=actor, action="freeze.removed", subject=freeze.id, detail=f"{freeze.text}: {freeze.reason}{said}"
    )


def feed_forgotten(at: datetime) -> datetime:
    """Feeds not heard of since then are forgotten."""
    return at - _FEED_KEPT


def _same(flag: Flag, other: Flag) -> bool:
    """Whether nothing differs, not even an order: the order of arms decides who gets which."""
    return flag.model_dump_json() == other.model_dump_json()


def _unguarded(flag: Flag) -> Flag:
    """``flag`` without what protects its variants, which may change under a rollout: it gives nobody another one."""
    return flag.model_copy(update={"budgets": {}, "breakers": {}, "notify": ()})


def _target(flag: Flag) -> tuple[object, ...]:
    return flag.stable, flag.serve, list((flag.split or {}).items())


def _moved(record: FlagRecord) -> bool:
    initial = initial_traffic(record.flag)
    return (record.traffic.stable, record.traffic.weights) != (initial.stable, initial.weights) or bool(
        record.traffic.segments
    )


def _renumbered(traffic: Traffic, generation: int) -> Traffic:
    return traffic.model_copy(update={"generation": generation})


def _kept_traffic(flag: Flag, before: FlagRecord) -> Traffic:
    """The traffic as a rollout left it, without arms that get nothing and whose variant is gone."""
    traffic = before.traffic
    arms = [traffic.weights, *(segment.weights for segment in traffic.segments)]
    used = {traffic.stable}.union(*({name for name, weight in arm.items() if weight} for arm in arms))
    gone = sorted(used - flag.variants.keys())
    if gone:
        raise InvalidInput(_still_used(name, traffic) for name in gone)
    segments = tuple(s.model_copy(update={"weights": _within(flag, s.weights)}) for s in traffic.segments)
    return traffic.model_copy(update={"weights": _within(flag, traffic.weights), "segments": segments})


def _still_used(name: str, traffic: Traffic) -> Problem:
    role = "is the stable variant now" if name == traffic.stable else "still gets traffic"
    by = f" (rollout {traffic.rollout_id} moved it there)" if traffic.rollout_id else ""
    remedy = "keep the variant, or change stable:, serve: or split: in the same file so that nobody gets it"
    return Problem(f"variants.{name}", f"is gone, but {role}{by}", remedy, name)


def _within(flag: Flag, weights: dict[str, int]) -> dict[str, int]:
    return {name: weight for name, weight in weights.items() if name in flag.variants}


def _misfits(record: RolloutRecord, flag: FlagRecord) -> Iterator[Problem]:
    variants, traffic = list(flag.flag.variants), flag.traffic
    if record.candidate not in variants:
        missing = f"flag {record.flag} has no such variant"
        yield Problem("candidate", missing, suggestion(record.candidate, variants), record.candidate)
    elif traffic.weights.get(record.candidate, 0) == TOTAL:
        message = f"flag {record.flag} serves it to all users already"
        yield Problem("candidate", message, "name another variant", record.candidate)
    if record.stable != traffic.stable:
        message = f"the stable variant of flag {record.flag} is {traffic.stable} by now"
        yield Problem("stable", message, "start the rollout again", record.stable)
