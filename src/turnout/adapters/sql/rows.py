"""From records to the columns of their rows, and back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row

from turnout.domain.flags import Flag, Traffic
from turnout.domain.plan import Plan
from turnout.domain.rollout import Decision, State
from turnout.domain.verdicts import Check
from turnout.ports.stores import AuditEntry, Evidence, FlagRecord, RolloutRecord

Values = dict[str, Any]
"""The values of a row by column."""

_CHECKS: TypeAdapter[tuple[Check, ...]] = TypeAdapter(tuple[Check, ...])
_MICROSECOND = timedelta(microseconds=1)


def flag_values(record: FlagRecord) -> Values:
    """The row of a flag."""
    return {
        "key": record.flag.key,
        "definition": record.flag.model_dump(mode="json"),
        "traffic": record.traffic.model_dump(mode="json"),
        "stopped": record.stopped,
        "stopped_reason": record.stopped_reason,
        "breakers": record.model_dump(mode="json", include={"breakers"})["breakers"] or None,
        "updated_at": record.updated_at,
        "updated_by": record.updated_by,
    }


def flag_record(row: Row[Any]) -> FlagRecord:
    """The flag of a row."""
    return FlagRecord(
        flag=Flag.model_validate(row.definition),
        traffic=Traffic.model_validate(row.traffic),
        stopped=row.stopped,
        stopped_reason=row.stopped_reason,
        breakers=row.breakers or {},
        updated_at=row.updated_at,
        updated_by=row.updated_by,
    )


def rollout_values(record: RolloutRecord) -> Values:
    """The row of a rollout, without its number."""
    plain = ("id", "flag", "strategy", "candidate", "stable", "stage", "share", "generation", "started_by")
    return (
        {name: getattr(record, name) for name in plain}
        | {
            "state": record.state.value,
            "started_at": record.started_at,
            "ended_at": record.ended_at,
            "spec": record.model_dump(mode="json", include={"spec"})["spec"],
            "plan": record.plan.model_dump(mode="json"),
            "checked_at": record.checked_at,
            "checked_generation": record.checked_generation,
            "summary": record.summary,
        }
        | check_values(record.checks, record.counted)
    )


def check_values(checks: tuple[Check, ...], counted: timedelta) -> Values:
    """The columns that hold the latest checks of a rollout."""
    return {"checks": _CHECKS.dump_python(checks, mode="json"), "counted_us": counted // _MICROSECOND}


def rollout_record(row: Row[Any]) -> RolloutRecord:
    """The rollout of a row."""
    return RolloutRecord(
        id=row.id,
        flag=row.flag,
        strategy=row.strategy,
        candidate=row.candidate,
        stable=row.stable,
        state=State(row.state),
        stage=row.stage,
        share=row.share,
        generation=row.generation,
        started_by=row.started_by,
        started_at=row.started_at,
        ended_at=row.ended_at,
        spec=row.spec,
        plan=Plan.model_validate(row.plan),
        checks=_CHECKS.validate_python(row.checks),
        checked_at=row.checked_at,
        checked_generation=row.checked_generation,
        counted=row.counted_us * _MICROSECOND,
        summary=row.summary,
    )


def decision_values(decision: Decision) -> Values:
    """The row of a decision."""
    return {
        "rollout_id": decision.rollout_id,
        "seq": decision.seq,
        "at": decision.at,
        "decision": decision.model_dump(mode="json"),
    }


def evidence_values(evidence: Evidence) -> Values:
    """The row of evidence."""
    return {
        "id": evidence.id,
        "rollout_id": evidence.rollout_id,
        "at": evidence.at,
        "evidence": evidence.model_dump(mode="json"),
    }


def audit_values(entry: AuditEntry) -> Values:
    """The row of an audit entry."""
    return {name: getattr(entry, name) for name in AuditEntry.model_fields}


def audit_entry(row: Row[Any]) -> AuditEntry:
    """The audit entry of a row."""
    return AuditEntry(
        at=row.at, actor=row.actor, action=row.action, subject=row.subject, outcome=row.outcome, detail=row.detail
    )
