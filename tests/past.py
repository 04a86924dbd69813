"""A rollout that is over, with its outcomes, to ask other gates about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from turnout.domain.flags import Flag
from turnout.domain.outcomes import Outcome
from turnout.domain.rollout import Decision, State
from turnout.domain.verdicts import Check, Verdict
from turnout.ports import Evidence, OutcomeStore, RolloutRecord, RolloutStore
from turnout.ports.stores import FlagStore
from turnout.strategies import compile_plan, parse_spec

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
FLAG, OLD, NEW = "engine", "old", "new"
SPEC: dict[str, Any] = {
    "flag": FLAG,
    "candidate": NEW,
    "strategy": {"kind": "gradual", "stages": [25, 50, 100], "stage_duration": "30m"},
    "gates": [{"metric": "error_rate", "max": 0.5}],
    "check_every": "1m",
}
"""What the rollout itself asked."""

_EACH = timedelta(seconds=2)


def after(minutes: float) -> datetime:
    """So many minutes after the rollout began."""
    return START + timedelta(minutes=minutes)


def move(seq: int, kind: str, minutes: float, stage: int, share: float, **more: Any) -> Decision:
    """A decision of the rollout that changed the traffic."""
    fields: dict[str, Any] = {
        "rollout_id": "r1",
        "flag": FLAG,
        "seq": seq,
        "kind": kind,
        "at": after(minutes),
        "state": State.RUNNING,
        "stage": stage,
        "share": share,
        "text": f"{kind} then",
        "generation": seq + 1,
        "weights": {NEW: round(share * 100_000), OLD: 100_000 - round(share * 100_000)},
    }
    return Decision.model_validate(fields | more)


DECISIONS = (
    move(1, "started", 0, 0, 0.25),
    move(2, "advanced", 30, 1, 0.5, verdict="pass", evidence="e1"),
    move(3, "withdrawn", 60, 1, 0.0),
)
"""Two stages of half an hour, then everybody went back."""


def served(generation: int, begin: float, end: float, failing_from: float, every: timedelta = _EACH) -> list[Outcome]:
    """One outcome of a new user ``every`` so long, the arms in turn; of the candidate's, one of five fails in time."""
    count = int((after(end) - after(begin)) / every)
    made = list[Outcome]()
    for number in range(count):
        at, variant = after(begin) + every * number, (OLD, NEW)[number % 2]
        bad = variant == NEW and at >= after(failing_from) and number % 10 == 1
        fields: dict[str, Any] = {"id": f"{generation}-{number}", "unit": f"u{generation}-{number}", "at": at}
        fields |= {"latency_ms": 400.0 if variant == NEW else 100.0 + number % 50, "cost": 0.01}
        made.append(Outcome(flag=FLAG, variant=variant, ok=not bad, generation=generation, **fields))
    return made


async def opened(flags: FlagStore, rollouts: RolloutStore, **more: Any) -> RolloutRecord:
    """The flag, and the rollout on it before its first decision."""
    flag = Flag.model_validate({"key": FLAG, "variants": {OLD: {"v": 1}, NEW: {"v": 2}}, "stable": OLD})
    await flags.apply([flag], "ann", START)
    plan = compile_plan(parse_spec(SPEC), OLD)
    fields: dict[str, Any] = {"state": State.SCHEDULED, "stage": 0, "share": 0.0, "generation": 1, "plan": plan}
    record = RolloutRecord(
        id="r1",
        flag=FLAG,
        strategy=plan.strategy,
        candidate=NEW,
        stable=OLD,
        started_by="ann",
        started_at=START,
        **(fields | more),
    )
    return await rollouts.open(record)


async def went(flags: FlagStore, rollouts: RolloutStore, outcomes: OutcomeStore) -> RolloutRecord:
    """The rollout, its decisions and the evidence of one, and the outcomes of both stages.

    In the first stage the candidate has no error, in the second one of five fails from the tenth minute on.
    """
    await opened(flags, rollouts)
    reported = {2: served(2, 0, 30, failing_from=99), 3: served(3, 30, 60, failing_from=40)}
    for decision in DECISIONS:
        await rollouts.commit(decision)
        await outcomes.record(reported.get(decision.generation, []), after(61))
    check = Check(gate="error_rate ≤ 0.5", metric="error_rate", role="gate", verdict=Verdict.PASS, text="fine")
    proof = Evidence(
        id="e1", rollout_id="r1", generation=2, stage=0, at=after(30), verdict=Verdict.PASS, checks=(check,)
    )
    await rollouts.evidence(proof)
    return await rollouts.get("r1")
