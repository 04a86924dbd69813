"""What the store tests are about, with defaults for all that a test does not care for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from turnout.domain.flags import Flag
from turnout.domain.outcomes import Outcome
from turnout.domain.plan import Gate, Plan, Stage
from turnout.domain.rollout import Decision, State
from turnout.ports.stores import FlagChange, RolloutRecord, Stores

NOW = datetime(2026, 3, 2, 9, 30, 0, 123456, tzinfo=UTC)
FLAG = "answer-engine"


def later(seconds: float) -> datetime:
    """That many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def a_flag(key: str = FLAG, **fields: Any) -> Flag:
    """A flag with the variants old (stable) and new."""
    return Flag.model_validate({"key": key, "variants": {"old": {"v": 1}, "new": {"v": 2}}, "stable": "old"} | fields)


def a_plan(flag: str = FLAG, gates: tuple[Gate, ...] = (), guardrails: tuple[Gate, ...] = ()) -> Plan:
    """A plan of one stage at 5 %."""
    stage = Stage(
        name="5 %",
        weights={"new": 5_000, "old": 95_000},
        hold=timedelta(hours=1),
        deadline=timedelta(hours=1),
        check_every=timedelta(seconds=30),
        gates=gates,
        guardrails=guardrails,
    )
    return Plan(flag=flag, stable="old", candidate="new", strategy="canary", stages=(stage,))


def a_rollout(id: str = "r1", flag: str = FLAG, **fields: Any) -> RolloutRecord:
    """A rollout from old to new that has not begun."""
    defaults: dict[str, Any] = {
        "strategy": "canary",
        "candidate": "new",
        "stable": "old",
        "state": State.SCHEDULED,
        "stage": 0,
        "share": 0.0,
        "generation": 0,
        "started_by": "ann",
        "started_at": NOW,
        "spec": {"strategy": {"kind": "canary"}},
        "plan": a_plan(flag),
    }
    return RolloutRecord(id=id, flag=flag, **(defaults | fields))


def a_decision(seq: int, rollout_id: str = "r1", flag: str = FLAG, **fields: Any) -> Decision:
    """A decision that changes no traffic."""
    defaults: dict[str, Any] = {
        "kind": "held",
        "at": later(seq),
        "state": State.RUNNING,
        "stage": 0,
        "share": 0.05,
        "text": f"decision {seq}",
        "generation": 2,
    }
    return Decision(rollout_id=rollout_id, flag=flag, seq=seq, **(defaults | fields))


def a_move(seq: int, generation: int, share: float = 0.05, **fields: Any) -> Decision:
    """A decision that gives the candidate ``share``."""
    weights = {"new": round(share * 100_000), "old": 100_000 - round(share * 100_000)}
    defaults: dict[str, Any] = {"kind": "advanced", "share": share, "weights": weights, "generation": generation}
    return a_decision(seq, **(defaults | fields))


def an_outcome(id: str, unit: str = "u1", variant: str = "old", **fields: Any) -> Outcome:
    """A successful outcome of the flag."""
    return Outcome.model_validate({"id": id, "flag": FLAG, "variant": variant, "unit": unit, "ok": True} | fields)


async def applied(stores: Stores, *flags: Flag) -> list[FlagChange]:
    """Apply ``flags`` as ann."""
    return list(await stores.flags.apply(flags, "ann", NOW))


async def begun(stores: Stores, id: str = "r1", **fields: Any) -> RolloutRecord:
    """Apply the flag, open a rollout and move 5 % to the candidate."""
    await applied(stores, a_flag())
    record = await stores.rollouts.open(a_rollout(id, **fields))
    await stores.rollouts.commit(a_move(1, record.generation + 1, rollout_id=id, kind="started"))
    return await stores.rollouts.get(id)


async def completed(stores: Stores, id: str = "r1") -> None:
    """A whole rollout after which the candidate is stable."""
    record = await begun(stores, id)
    move = a_move(2, record.generation + 1, 1.0, rollout_id=id, kind="adopted", new_stable="new")
    await stores.rollouts.commit(move)
    end = a_decision(3, rollout_id=id, kind="ended", state=State.COMPLETED, share=1.0, generation=move.generation)
    await stores.rollouts.commit(end)
