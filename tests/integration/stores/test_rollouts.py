"""Rollouts: opening, fenced commits, decisions, evidence and the audit log."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.integration.stores.builders import (
    FLAG,
    NOW,
    a_decision,
    a_flag,
    a_move,
    a_rollout,
    applied,
    begun,
    completed,
    later,
)
from turnout.domain.errors import InvalidInput, NotFound, RolloutOpen, StaleGeneration
from turnout.domain.flags import Segment, Shadow, Traffic
from turnout.domain.rollout import State
from turnout.domain.verdicts import Check, Verdict
from turnout.ports.stores import AuditEntry, Evidence, Stores

CHECK = Check(gate="success_rate ≥ 0.9", metric="success_rate", role="gate", verdict=Verdict.PASS, text="ok", value=0.1)


async def test_opening_takes_the_generation_of_the_flag(stores: Stores) -> None:
    """An opened rollout carries the flag's generation, moves no traffic, and comes back as it was given."""
    await applied(stores, a_flag())
    await applied(stores, a_flag(split={"new": 1, "old": 99}))
    revision = await stores.flags.revision()
    opened = await stores.rollouts.open(a_rollout())
    assert opened == a_rollout(generation=2)
    assert await stores.rollouts.get("r1") == opened
    assert list(opened.plan.stages[0].weights) == ["new", "old"]
    assert await stores.flags.revision() == revision


async def test_opening_again_returns_what_is_there(stores: Stores) -> None:
    """The same id again is the same rollout, even when it has moved on."""
    moved = await begun(stores)
    assert await stores.rollouts.open(a_rollout(started_by="eve")) == moved


async def test_one_open_rollout_a_flag(stores: Stores) -> None:
    """A second rollout is refused, naming the first; another flag is free."""
    await begun(stores)
    await applied(stores, a_flag("other"))
    with pytest.raises(RolloutOpen, match=r"r1 \(running\)"):
        await stores.rollouts.open(a_rollout("r2"))
    assert (await stores.rollouts.open(a_rollout("r3", "other"))).flag == "other"


async def test_a_new_rollout_may_open_after_the_end(stores: Stores) -> None:
    """Once a rollout has ended the next one opens, at the generation it left."""
    await completed(stores)
    opened = await stores.rollouts.open(a_rollout("r2", candidate="old", stable="new"))
    assert opened.generation == 3
    assert (await stores.rollouts.latest(FLAG)).id == "r2"


async def test_a_rollout_needs_its_flag(stores: Stores) -> None:
    """Opening a rollout of no flag is refused with what to do."""
    with pytest.raises(NotFound, match="there is no flag answer-engine; apply it first"):
        await stores.rollouts.open(a_rollout())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"candidate": "newer"}, r"candidate: .*no such variant \(got newer\); did you mean new"),
        ({"stable": "new", "candidate": "old"}, "candidate: .*serves it to all users already"),
        ({"stable": "third"}, "stable: the stable variant of flag answer-engine is old by now"),
    ],
)
async def test_a_rollout_has_to_fit_its_flag(stores: Stores, fields: dict[str, str], message: str) -> None:
    """A candidate the flag lacks or serves to all, or a stable variant that is none, is refused with a remedy."""
    await applied(stores, a_flag())
    with pytest.raises(InvalidInput, match=message):
        await stores.rollouts.open(a_rollout(**fields))
    with pytest.raises(NotFound):
        await stores.rollouts.get("r1")


async def test_a_commit_publishes_its_traffic(stores: Stores) -> None:
    """A decision with weights changes the flag's traffic, candidate first, and raises the revision."""
    await applied(stores, a_flag())
    await stores.rollouts.open(a_rollout())
    before = await stores.flags.revision()
    beta = Segment.model_validate({"name": "beta", "if": True, "weights": {"new": 25_000, "old": 75_000}})
    shadow = Shadow(variant="new")
    revision = await stores.rollouts.commit(a_move(1, 2, 0.05, segments=(beta,), shadow=shadow))
    record = await stores.flags.get(FLAG)
    assert revision == before + 1 == await stores.flags.revision()
    weights = {"new": 5_000, "old": 95_000}
    expected = Traffic(stable="old", weights=weights, segments=(beta,), shadow=shadow, generation=2, rollout_id="r1")
    assert record.traffic == expected
    assert list(record.traffic.weights) == ["new", "old"]
    assert (await stores.flags.published()).flags[0].traffic == expected


async def test_a_commit_is_projected_onto_the_rollout(stores: Stores) -> None:
    """State, stage, share, generation and summary follow the latest decision."""
    await begun(stores)
    await stores.rollouts.commit(a_move(2, 3, 0.5, stage=1, text="half"))
    record = await stores.rollouts.get("r1")
    assert (record.state, record.stage, record.share, record.generation) == (State.RUNNING, 1, 0.5, 3)
    assert (record.summary, record.ended_at) == ("half", None)


async def test_a_commit_without_weights_publishes_nothing(stores: Stores) -> None:
    """Holding changes the rollout only; the current revision comes back."""
    await begun(stores)
    before = await stores.flags.revision()
    assert await stores.rollouts.commit(a_decision(2, state=State.HOLDING)) == before
    assert (await stores.rollouts.get("r1")).state is State.HOLDING


async def test_a_refused_command_does_not_become_the_summary(stores: Stores) -> None:
    """What was refused is in the decisions, while the summary goes on saying what the rollout does."""
    await begun(stores)
    await stores.rollouts.commit(a_decision(2, kind="refused", text="approve refused"))
    assert (await stores.rollouts.get("r1")).summary == "decision 1"
    assert [d.kind for d in await stores.rollouts.decisions("r1")] == ["started", "refused"]


async def test_committing_again_changes_nothing(stores: Stores) -> None:
    """A repeated decision is recorded once and returns the current revision, also after later ones."""
    await begun(stores)
    await stores.rollouts.commit(a_move(2, 3, 0.5))
    record, traffic = await stores.rollouts.get("r1"), (await stores.flags.get(FLAG)).traffic
    revision = await stores.flags.revision()
    assert await stores.rollouts.commit(a_move(1, 2, kind="started")) == revision
    assert await stores.rollouts.commit(a_move(2, 3, 0.5)) == revision
    assert await stores.rollouts.get("r1") == record
    assert (await stores.flags.get(FLAG)).traffic == traffic
    assert len(await stores.rollouts.decisions("r1")) == 2


@pytest.mark.parametrize("generation", [1, 2])
async def test_an_older_generation_is_refused(stores: Stores, generation: int) -> None:
    """Traffic with the flag's own generation or an older one is refused, naming both, and leaves no trace."""
    await begun(stores)
    before = await stores.flags.published(), await stores.rollouts.get("r1")
    with pytest.raises(StaleGeneration, match=rf"generation 2 of rollout r1; .*r1 .*generation {generation}"):
        await stores.rollouts.commit(a_move(2, generation, 0.9))
    assert (await stores.flags.published(), await stores.rollouts.get("r1")) == before
    assert len(await stores.rollouts.decisions("r1")) == 1


async def test_a_closed_rollout_moves_no_traffic(stores: Stores) -> None:
    """After its end a rollout's traffic is refused, while a note is recorded and does not open it again."""
    await completed(stores)
    ended = await stores.rollouts.get("r1")
    with pytest.raises(StaleGeneration, match=r"r1 has ended \(completed\)"):
        await stores.rollouts.commit(a_move(4, 9))
    await stores.rollouts.commit(a_decision(4, kind="refused", text="too late"))
    assert await stores.rollouts.get("r1") == ended
    assert len(await stores.rollouts.decisions("r1")) == 4


async def test_a_completed_rollout_leaves_its_candidate_stable(stores: Stores) -> None:
    """``new_stable`` becomes the flag's stable variant, and the end closes the rollout at its time."""
    await completed(stores)
    record = await stores.rollouts.get("r1")
    assert (await stores.flags.get(FLAG)).traffic.stable == "new"
    assert (record.state, record.ended_at) == (State.COMPLETED, later(3))


async def test_an_unknown_rollout_cannot_commit(stores: Stores) -> None:
    """A decision, checks or evidence of a rollout that was never opened are not found."""
    await applied(stores, a_flag())
    with pytest.raises(NotFound, match="no rollout r1"):
        await stores.rollouts.commit(a_move(1, 2))
    with pytest.raises(NotFound):
        await stores.rollouts.checked("r1", 2, [], timedelta(), NOW)
    with pytest.raises(NotFound):
        await stores.rollouts.evidence(_evidence("e1"))
    with pytest.raises(NotFound):
        await stores.rollouts.latest(FLAG)


async def test_decisions_come_back_in_order(stores: Stores) -> None:
    """Decisions are kept whole and listed by number, from any number on."""
    await begun(stores)
    full = a_decision(
        2, verdict=Verdict.FAIL, evidence="e1", command_id="c1", reason="why", actor="bob", state=State.PAUSED
    )
    await stores.rollouts.commit(full)
    await stores.rollouts.commit(a_decision(3))
    assert [d.seq for d in await stores.rollouts.decisions("r1")] == [1, 2, 3]
    assert (await stores.rollouts.decisions("r1", after=1))[0] == full
    assert await stores.rollouts.decisions("r1", after=3) == []
    assert list((await stores.rollouts.decisions("r1"))[0].weights or {}) == ["new", "old"]


def _evidence(id: str) -> Evidence:
    return Evidence(id=id, rollout_id="r1", generation=2, stage=0, at=NOW, verdict=Verdict.PASS, checks=(CHECK,))


async def test_evidence_is_kept_once(stores: Stores) -> None:
    """Evidence comes back whole; the same id again changes nothing, an unknown id is not found."""
    await begun(stores)
    await stores.rollouts.evidence(_evidence("e1"))
    await stores.rollouts.evidence(_evidence("e1").model_copy(update={"verdict": Verdict.FAIL}))
    assert await stores.rollouts.evidence_of("e1") == _evidence("e1")
    with pytest.raises(NotFound, match="no evidence e2"):
        await stores.rollouts.evidence_of("e2")


async def test_the_latest_checks_are_kept_until_the_next_stage(stores: Stores) -> None:
    """Status sees the checks and the time counted of the stage it is in, not of the one before."""
    await begun(stores)
    counted = timedelta(hours=1, microseconds=7)
    await stores.rollouts.checked("r1", 2, [CHECK], counted, later(9))
    record = await stores.rollouts.get("r1")
    assert (record.checks, record.counted, record.checked_at) == ((CHECK,), counted, later(9))
    assert record.checked_generation == 2
    await stores.rollouts.commit(a_move(2, 3, 0.5, stage=1))
    record = await stores.rollouts.get("r1")
    assert (record.checks, record.counted, record.checked_at) == ((), timedelta(), None)
    assert record.checked_generation is None


async def test_the_last_checks_stay_after_a_withdrawal(stores: Stores) -> None:
    """The checks that led to a rollback are still there to be read after it."""
    await begun(stores)
    await stores.rollouts.checked("r1", 2, [CHECK], timedelta(hours=1), later(9))
    await stores.rollouts.commit(a_move(2, 3, 0.0, kind="withdrawn"))
    assert (await stores.rollouts.get("r1")).checks == (CHECK,)


async def test_rollouts_are_listed_newest_first(stores: Stores) -> None:
    """All rollouts, the one opened last first, or the open ones alone; times do not matter."""
    await completed(stores)
    await stores.rollouts.open(a_rollout("r2", candidate="old", stable="new", started_at=later(-99)))
    await applied(stores, a_flag("b"))
    await stores.rollouts.open(a_rollout("r3", "b"))
    assert [r.id for r in await stores.rollouts.list()] == ["r3", "r2", "r1"]
    assert [r.id for r in await stores.rollouts.list(open_only=True)] == ["r3", "r2"]


async def test_the_audit_log_is_newest_first(stores: Stores) -> None:
    """Entries come back whole, by subject and limit, in the order they were appended."""
    entries = [
        AuditEntry(at=later(-i), actor="ann", action="rollout.approve", subject=f"s{i % 2}", detail=str(i))
        for i in range(4)
    ]
    refused = AuditEntry(at=NOW, actor="bob", action="rollout.abort", subject="s0", outcome="refused", detail="no")
    for entry in [*entries, refused]:
        await stores.rollouts.audit(entry)
    assert await stores.rollouts.audit_log() == [refused, *reversed(entries)]
    assert await stores.rollouts.audit_log("s1") == [entries[3], entries[1]]
    assert await stores.rollouts.audit_log(limit=2) == [refused, entries[3]]


async def test_text_that_a_database_cannot_keep_is_no_error(stores: Stores) -> None:
    """A reason with a NUL character is kept in some form instead of failing the emergency stop."""
    await applied(stores, a_flag())
    record = await stores.flags.stop(FLAG, True, "bob", "on\0fire", NOW)
    assert record.stopped
    assert (await stores.flags.get(FLAG)).stopped_reason.startswith("on")


async def test_what_a_rollout_left_can_be_amended(stores: Stores) -> None:
    """The traffic changes under the next generation, and the decision stands after the rollout's last one."""
    await completed(stores)
    beta = Segment.model_validate({"name": "beta", "if": True, "weights": {"new": 0, "old": 100_000}})
    generation = (await stores.flags.get(FLAG)).traffic.generation
    change = a_move(1, generation + 1, 0.2, kind="adjusted", segments=(beta,), state=State.COMPLETED)
    revision = await stores.rollouts.amend(change)
    traffic = (await stores.flags.get(FLAG)).traffic
    assert revision == await stores.flags.revision()
    assert (traffic.generation, traffic.segments, traffic.weights["new"]) == (generation + 1, (beta,), 20_000)
    assert (traffic.rollout_id, traffic.stable) == ("r1", "new")
    last = (await stores.rollouts.decisions("r1"))[-1]
    assert (last.seq, last.kind) == (4, "adjusted")
    assert (await stores.rollouts.get("r1")).state is State.COMPLETED


async def test_an_amendment_is_fenced(stores: Stores) -> None:
    """Of two that were made on the same traffic the second is refused, and so are all while a rollout is open."""
    await completed(stores)
    generation = (await stores.flags.get(FLAG)).traffic.generation
    await stores.rollouts.amend(a_move(1, generation + 1, 0.2, kind="adjusted"))
    with pytest.raises(StaleGeneration, match="look again"):
        await stores.rollouts.amend(a_move(1, generation + 1, 0.3, kind="adjusted"))
    await stores.rollouts.open(a_rollout("r2", candidate="old", stable="new"))
    with pytest.raises(RolloutOpen, match="r2"):
        await stores.rollouts.amend(a_move(1, generation + 2, 0.3, kind="adjusted"))
    with pytest.raises(NotFound):
        await stores.rollouts.amend(a_move(1, generation + 2, rollout_id="r9", kind="adjusted"))
    assert len(await stores.rollouts.decisions("r1")) == 4
