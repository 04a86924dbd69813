"""What holds for every rollout, whatever happened to it: asserted on its plan and its decisions alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

from turnout.domain.freezes import Freeze, opening
from turnout.domain.plan import Plan, Stage
from turnout.domain.recourse import policy_of
from turnout.domain.rollout import ZERO, Decision, State
from turnout.domain.verdicts import Verdict

ENTRIES = {"started": 0, "advanced": 1, "overridden": 1, "restarted": 0, "moved_back": -1}
"""How each kind of decision that enters a stage moves along the plan."""

COMPLETIONS = {"adopt": "adopted", "stay": "settled", "return": "returned"}
"""The decision that completes a rollout, by the end of its plan."""


def assert_rules(plan: Plan, decisions: Sequence[Decision], starter: str) -> None:
    """All rules but those that need to know more than decisions."""
    assert [d.seq for d in decisions] == list(range(1, len(decisions) + 1))
    assert max(Counter(d.command_id for d in decisions if d.command_id).values(), default=1) == 1
    assert_ends_on_one_side(plan, decisions)
    assert_generations_grow(decisions)
    assert_along_the_plan(plan, decisions)
    assert_back_with_a_cause(plan, decisions)
    assert not [d for d in decisions if d.kind == "approved" and d.actor == starter]
    for entered, between, left in visits(decisions):
        if left.share > entered.share or left.kind in COMPLETIONS.values():
            assert_grows_on_evidence(plan, entered, between, left)
        if left.verdict is Verdict.PASS or unproven(plan, entered.stage, left):
            assert_held(plan.stages[entered.stage], [entered, *between, left])


def published(decisions: Sequence[Decision]) -> list[Decision]:
    """The decisions that changed traffic."""
    return [d for d in decisions if d.weights is not None]


def visits(decisions: Sequence[Decision]) -> list[tuple[Decision, list[Decision], Decision]]:
    """Each stay at a share: the change it began with, the decisions in it but refusals, the change it ended with."""
    changes = published(decisions)
    told = [d for d in decisions if d.kind != "refused"]
    return [(a, [d for d in told if a.seq < d.seq < b.seq], b) for a, b in pairwise(changes)]


def assert_ends_on_one_side(plan: Plan, decisions: Sequence[Decision]) -> None:
    """Completed leaves what the plan says, any other end everybody on stable; nothing is done after the end."""
    ended = [d for d in decisions if d.kind == "ended"]
    assert len(ended) <= 1
    if not ended:
        return
    last = published(decisions)[-1]
    assert last.kind == (COMPLETIONS[plan.end] if ended[0].state is State.COMPLETED else "withdrawn")
    assert (last.new_stable == plan.candidate) is (last.kind == "adopted")
    if last.kind != "settled":
        everybody = plan.candidate if last.kind == "adopted" else plan.stable
        assert {name: weight for name, weight in (last.weights or {}).items() if weight} == {everybody: 100_000}
        assert (last.segments, last.shadow) == ((), None)
    assert {d.kind for d in decisions[ended[0].seq :]} <= {"refused"}


def assert_generations_grow(decisions: Sequence[Decision]) -> None:
    """Every change of traffic has a generation of its own, one above the last."""
    assert all(b.generation == a.generation + 1 for a, b in pairwise(published(decisions)))
    assert all(b.generation >= a.generation for a, b in pairwise(decisions))


def assert_along_the_plan(plan: Plan, decisions: Sequence[Decision]) -> None:
    """Traffic is a stage's, nobody's or everybody's, and stages are entered in order, or one back."""
    stage = 0
    for d in published(decisions):
        if d.kind == "withdrawn":
            assert d.share == 0
        elif d.kind in COMPLETIONS.values():
            share = {"adopt": 1, "stay": plan.share(stage), "return": 0}[plan.end]
            assert (d.share, stage) == (share, len(plan.stages) - 1)
        else:
            stage += ENTRIES[d.kind]
            entered = plan.stages[stage]
            assert (d.stage, d.weights, d.segments, d.shadow) == (
                stage,
                entered.weights,
                entered.segments,
                entered.shadow,
            )
            assert d.share == plan.share(stage)


def unproven(plan: Plan, stage: int, told: Decision) -> bool:
    """Whether ``told`` lets ``stage`` be left without proof, by a policy that the spec states."""
    if told.verdict is not Verdict.INCONCLUSIVE or told.kind not in (
        "advanced",
        *COMPLETIONS.values(),
        "awaiting_approval",
    ):
        return False
    assert told.text.startswith("advanced without proof: ")
    return policies(plan.stages[stage], Verdict.INCONCLUSIVE) >= {"advance_if_no_evidence_of_harm"}


def policies(stage: Stage, verdict: Verdict) -> set[str]:
    """What the gates of ``stage`` ask for when they stay undecided by ``verdict``."""
    return {policy_of(stage, gate, verdict) for gate in stage.gates}


def assert_grows_on_evidence(plan: Plan, entered: Decision, between: Sequence[Decision], left: Decision) -> None:
    """Traffic grows because the gates passed, because the spec says so of a stage without a verdict, or because a
    person said so; and not without the approval it needs."""
    passed = left.verdict is Verdict.PASS or unproven(plan, entered.stage, left)
    overridden = left.command_id is not None and left.kind in ("overridden", *COMPLETIONS.values())
    # A pause in between changes nothing about what is waited for.
    waited = [d for d in between if d.kind not in ("paused", "resumed")]
    released = left.command_id is not None and bool(waited) and waited[-1].kind == "awaiting_approval"
    if released:
        assert waited[-1].verdict is Verdict.PASS or unproven(plan, entered.stage, waited[-1])
    assert passed or overridden or released
    if left.kind not in COMPLETIONS.values() and plan.stages[left.stage].approval is not None:
        assert [d for d in between if d.kind == "approved"]


def assert_held(stage: Stage, story: Sequence[Decision]) -> None:
    """A stage that was left without a person was held in full: only the time in which it was running counts."""
    if any(d.kind == "awaiting_approval" and d.command_id is not None for d in story):
        return  # promote waived the rest
    spans = [(a.state, b.at - a.at) for a, b in pairwise(story)]
    running = sum((span for state, span in spans if state is State.RUNNING), ZERO)
    assert running >= stage.hold - timedelta(milliseconds=1), [
        (d.kind, str(d.state), str(d.at), d.text, d.command_id) for d in story
    ]


def assert_in_its_time(plan: Plan, decisions: Sequence[Decision], freezes: Sequence[Freeze]) -> None:
    """Traffic moves forward within windows and outside freezes, unless somebody with the role for it said otherwise;
    and not before the time it was scheduled at, unless somebody said so."""
    for d in published(decisions):
        if d.kind not in ("started", "advanced", "overridden", "adopted"):
            continue
        closed = opening(plan.stages[d.stage].windows, freezes, plan.flag, d.at).closed
        assert d.overrode is None or d.command_id is not None
        assert closed is None or d.overrode == closed
        if d.kind == "started" and d.command_id is None and plan.start_at is not None:
            assert d.at >= plan.start_at


def assert_back_with_a_cause(plan: Plan, decisions: Sequence[Decision]) -> None:
    """Traffic shrinks for proven harm, for a person, or for what the spec says of an undecided stage."""
    for d in decisions:
        if d.kind == "moved_back":
            assert d.verdict is Verdict.FAIL
        if d.kind == "withdrawn" and d.text.startswith("nobody has approved"):
            approval = plan.stages[d.stage + 1].approval
            assert approval is not None
            assert approval.on_timeout == "rollback"
        elif d.kind == "withdrawn" and d.command_id is None and d.verdict is not Verdict.FAIL:
            assert d.verdict is not None
            assert "rollback" in policies(plan.stages[d.stage], d.verdict)
