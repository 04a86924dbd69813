"""The rules of a rollout: what each event leads to, and what holds whatever happens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.domain.watching import HOUR, SPLIT, START, check, gate, stage
from tests.workflows.invariants import assert_rules
from turnout.domain import machine
from turnout.domain.experiments import EXPERIMENT, Experiment, MetricUnderTest
from turnout.domain.flags import Segment, Shadow
from turnout.domain.machine import settle
from turnout.domain.moves import Step
from turnout.domain.plan import Approval, Gate, Plan, Stage
from turnout.domain.refusals import refusal
from turnout.domain.rollout import ZERO, Clock, Command, Decision, Observation, RolloutState, State, WatchRequest
from turnout.domain.verdicts import Verdict
from turnout.domain.vigil import advance, conclude, next_check, resumed

PASS, FAIL, INCONCLUSIVE, NO_DATA, SOURCE_ERROR = Verdict
ADVANCE = "advance_if_no_evidence_of_harm"


def plan(*stages: Stage) -> Plan:
    """A plan of these stages, 5 % more of the candidate each, the last for everybody."""
    shares = [*(5_000 * (index + 1) for index in range(len(stages) - 1)), 100_000]
    weighted = [
        one.model_copy(
            update={"name": f"{share / 1000:g} %", "weights": {"lightrag": share, "perplexity": 100_000 - share}}
        )
        for one, share in zip(stages, shares, strict=True)
    ]
    return Plan(
        flag="answer-engine", stable="perplexity", candidate="lightrag", strategy="gradual", stages=tuple(weighted)
    )


def begun(of: Plan) -> RolloutState:
    """A rollout by alice in its first stage."""
    return machine.begin(of, RolloutState(rollout_id="r1", started_by="alice"), START).state


def seen(kind: str, verdict: Verdict = NO_DATA, **more: Any) -> Observation:
    """An observation an hour after the start."""
    fields = {"kind": kind, "at": START + HOUR, "verdict": verdict, "text": f"{kind} {verdict}", "evidence": "e1"}
    return Observation.model_validate(fields | more)


def order(kind: str, actor: str = "bob", roles: tuple[str, ...] = (), id_: str = "c1") -> Command:
    """A command of bob's."""
    return Command.model_validate({"id": id_, "kind": kind, "actor": actor, "roles": roles})


def told(step: Step) -> list[tuple[str, str]]:
    """The decisions of a step: what, and the state after it."""
    return [(decision.kind, str(decision.state)) for decision in step.decisions]


TWO = plan(stage(), stage())


@pytest.mark.parametrize(
    ("observed", "kind", "state"),
    [
        (seen("judged", PASS), "advanced", State.RUNNING),
        (seen("judged", FAIL), "withdrawn", State.RUNNING),
        (seen("guardrail", FAIL, recourse="rollback"), "withdrawn", State.RUNNING),
        (seen("guardrail", FAIL, recourse="pause"), "paused", State.PAUSED),
        (seen("guardrail", FAIL), "withdrawn", State.RUNNING),
        (seen("blocked", INCONCLUSIVE), "held", State.HOLDING),
        (seen("recovered"), "recovered", State.RUNNING),
        (seen("overdue", INCONCLUSIVE, recourse="pause"), "paused", State.PAUSED),
        (seen("overdue", NO_DATA, recourse="rollback"), "withdrawn", State.RUNNING),
        (seen("overdue", SOURCE_ERROR), "paused", State.PAUSED),
        (seen("overdue", INCONCLUSIVE, recourse="advance"), "advanced", State.RUNNING),
    ],
)
def test_what_an_observation_leads_to(observed: Observation, kind: str, state: State) -> None:
    """One decision each, with the observation's verdict, evidence and time."""
    step = machine.observe(TWO, begun(TWO), observed)
    (decision,) = step.decisions
    assert (decision.kind, step.state.state) == (kind, state)
    assert (decision.verdict, decision.evidence, decision.at) == (observed.verdict, "e1", START + HOUR)
    assert step.state.seq == decision.seq == 2


def test_an_interrupted_watch_changes_the_clock_alone() -> None:
    """It was asked to stop; there is nothing to decide."""
    clock = Clock(counted=HOUR)
    step = machine.observe(TWO, begun(TWO), seen("interrupted", clock=clock))
    assert (step.decisions, step.state.clock, step.state.state) == ((), clock, State.RUNNING)


def test_a_stage_without_proof_is_left_as_what_it_is() -> None:
    """The next stage begins afresh; the decision says that nothing was proven, and for how long nothing was."""
    clock = Clock(counted=10 * HOUR, waited=3 * HOUR)
    step = machine.observe(TWO, begun(TWO), seen("overdue", INCONCLUSIVE, recourse="advance", clock=clock))
    assert step.decisions[0].text == (
        "advanced without proof: overdue inconclusive; undecided for 3h, the deadline is 3h"
    )
    assert (step.state.stage, step.state.share, step.state.clock, step.state.blocked) == (1, 1.0, Clock(), None)


def test_the_last_stage_without_proof_completes() -> None:
    """The policy is the same for every stage of the plan."""
    only = plan(stage())
    step = machine.observe(only, begun(only), seen("overdue", INCONCLUSIVE, recourse="advance"))
    assert (step.decisions[0].kind, step.decisions[0].new_stable) == ("adopted", "lightrag")
    assert step.state.ending is State.COMPLETED


@pytest.mark.parametrize(("end", "kind", "share"), [("stay", "settled", 0.25), ("return", "returned", 0.0)])
def test_a_rollout_that_completes_without_adopting(end: Literal["stay", "return"], kind: str, share: float) -> None:
    """What the last stage gave the segments stays, or all of it is taken back; stable remains stable."""
    weights = {"lightrag": 25_000, "perplexity": 75_000}
    segment = Segment.model_validate({"name": "beta", "if": True, "weights": weights})
    own = stage(segments=(segment,), focus="beta", shadow=Shadow(variant="lightrag"))
    only = plan(own).model_copy(update={"end": end})
    assert (begun(only).share, begun(only).last and begun(only).last.segments) == (0.25, (segment,))
    decision = machine.observe(only, begun(only), seen("judged", PASS)).decisions[0]
    assert (decision.kind, decision.share, decision.new_stable) == (kind, share, None)
    kept = ((segment,), own.shadow) if end == "stay" else ((), None)
    assert (decision.segments, decision.shadow) == kept


@pytest.mark.parametrize("end", ["adopt", "stay", "return"])
def test_the_traffic_of_a_test_is_one_while_it_goes_on(end: Literal["adopt", "stay", "return"]) -> None:
    """However it ends, what follows is no test; other stages are none."""
    metric = MetricUnderTest(metric="success_rate", better="higher")
    arms = {"lightrag": 50_000, "perplexity": 50_000}
    trial = Gate(metric=EXPERIMENT, experiment=Experiment(control="perplexity", arms=arms, metrics=(metric,), sample=9))
    of = plan(stage((trial,))).model_copy(update={"end": end})
    first, last = begun(of).last, machine.observe(of, begun(of), seen("judged", PASS)).decisions[0]
    assert first is not None
    assert (first.test, last.test, last.weights is not None) == (True, False, True)
    other = begun(plan(stage())).last
    assert other is not None
    assert not other.test


def test_a_stage_without_proof_still_needs_its_approval() -> None:
    """And what was waited is kept, so that after the approval the deadline is reached already."""
    approved = plan(stage(), stage(approval=Approval()))
    clock = Clock(counted=10 * HOUR, waited=3 * HOUR)
    waiting = machine.observe(approved, begun(approved), seen("overdue", INCONCLUSIVE, recourse="advance", clock=clock))
    assert told(waiting) == [("awaiting_approval", "awaiting_approval")]
    assert "without proof" in waiting.decisions[0].text
    step = machine.command(approved, waiting.state, order("approve"), START + 2 * HOUR)
    assert (step.state.state, step.state.clock) == (State.RUNNING, clock)


def test_an_approval_after_a_pass_begins_a_new_deadline() -> None:
    """Nothing was overdue, so nothing is counted against the last look."""
    approved = plan(stage(), stage(approval=Approval()))
    clock = Clock(counted=10 * HOUR, waited=2 * HOUR)
    waiting = machine.observe(approved, begun(approved), seen("judged", PASS, clock=clock)).state
    step = machine.command(approved, waiting, order("approve"), START + 2 * HOUR)
    assert step.state.clock == Clock(counted=10 * HOUR)


@pytest.mark.parametrize("on_fail", ["previous_stage", "rollback", "pause"])
def test_a_failed_gate_does_what_the_stage_says(on_fail: str) -> None:
    """Back one stage, everybody back, or a pause after which the stage begins anew."""
    three = plan(stage(), stage(on_fail=on_fail), stage())
    second = machine.observe(three, begun(three), seen("judged", PASS)).state
    step = machine.observe(three, second, seen("judged", FAIL))
    kind, share = {"previous_stage": ("moved_back", 0.05), "rollback": ("withdrawn", 0), "pause": ("paused", 0.1)}[
        on_fail
    ]
    assert (step.decisions[0].kind, step.state.share) == (kind, share)
    if on_fail == "pause":
        again = machine.command(three, step.state, order("resume"), START + 2 * HOUR)
        assert (told(again), again.state.clock) == ([("restarted", "running")], Clock())


@pytest.mark.parametrize("kind", ["judged", "blocked", "recovered", "overdue"])
@pytest.mark.parametrize("state", ["paused", "awaiting"])
def test_a_rollout_that_stands_hears_guardrails_alone(kind: str, state: str) -> None:
    """What else an old watch may report is not acted on, and its clock is not taken."""
    manual = plan(stage(), stage(manual=True))
    standing = machine.command(manual, begun(manual), order("pause"), START).state
    if state == "awaiting":
        standing = machine.observe(manual, begun(manual), seen("judged", PASS)).state
    step = machine.observe(manual, standing, seen(kind, PASS, clock=Clock(counted=5 * HOUR), recourse="advance"))
    assert (step.decisions, step.state) == ((), standing)
    alarm = machine.observe(manual, standing, seen("guardrail", FAIL, recourse="rollback"))
    assert told(alarm)[0][0] == "withdrawn"


def test_a_guardrail_that_pauses_does_not_pause_twice() -> None:
    """The reason of the first pause stays."""
    paused = machine.command(TWO, begun(TWO), order("pause"), START).state
    assert machine.observe(TWO, paused, seen("guardrail", FAIL, recourse="pause")) == Step(paused)


@pytest.mark.parametrize(
    ("prepare", "kind", "words"),
    [
        ([], "resume", "is not paused, it is running"),
        (["pause"], "pause", "is paused already"),
        ([], "approve", "no approval is due"),
        (["rollback"], "pause", "is ending (rolled_back)"),
    ],
)
def test_what_is_refused_and_why(prepare: Sequence[str], kind: str, words: str) -> None:
    """The reason names the state; the refusal is recorded and changes nothing else."""
    state = begun(TWO)
    for number, before in enumerate(prepare):
        state = machine.command(TWO, state, order(before, id_=f"p{number}"), START).state
    step = machine.command(TWO, state, order(kind), START + HOUR)
    (refused,) = step.decisions
    assert refused.kind == "refused"
    assert words in refused.text
    assert (step.state.state, step.state.last) == (state.state, state.last)


def test_an_ended_rollout_refuses_everything() -> None:
    """And no observation moves it."""
    ended = machine.finish(TWO, machine.command(TWO, begun(TWO), order("abort"), START).state, START, "delivered").state
    assert ended.state is State.ABORTED
    assert refusal(TWO, ended, order("resume")) == "the rollout has ended (aborted)"
    assert machine.observe(TWO, ended, seen("judged", PASS)) == Step(ended)
    assert machine.watch_request(TWO, ended) is None


@pytest.mark.parametrize(
    ("actor", "roles", "words"),
    [
        ("alice", ("lead",), "started this rollout and cannot approve it"),
        ("bob", (), "takes the role lead"),
        ("bob", ("lead",), None),
    ],
)
def test_who_may_approve(actor: str, roles: tuple[str, ...], words: str | None) -> None:
    """Nobody their own rollout, and only the role that is named; promote does not replace it."""
    approved = plan(stage(), stage(approval=Approval(by="lead")))
    waiting = machine.observe(approved, begun(approved), seen("judged", PASS)).state
    why_not = refusal(approved, waiting, order("approve", actor, roles))
    assert why_not is None if words is None else words in (why_not or "")
    assert "cannot replace" in (refusal(approved, waiting, order("promote")) or "")


@pytest.mark.parametrize(("actor", "resumed"), [("bob", "resumed"), (machine.BREAKER, "restarted")])
def test_a_stage_that_a_breaker_interrupted_begins_anew(actor: str, resumed: str) -> None:
    """Users were kept from the candidate meanwhile, so what was counted compares nothing."""
    of = plan(stage(), stage())
    paused = machine.command(of, begun(of), order("pause", actor), START)
    assert told(paused) == [("paused", "paused")]
    after = machine.command(of, paused.state, order("resume", id_="c2"), START + HOUR)
    assert after.decisions[0].kind == resumed
    assert (after.state.generation > paused.state.generation) == (resumed == "restarted")


def test_a_command_acts_once() -> None:
    """A repeated id changes nothing."""
    paused = machine.command(TWO, begun(TWO), order("pause"), START).state
    assert machine.command(TWO, paused, order("resume"), START + HOUR) == Step(paused)


def test_what_is_watched() -> None:
    """While paused the clock stands and guardrails that only pause are left out; signals are still shown."""
    guardrails = (
        Gate(metric="cost", max=2, on_fail="pause"),
        Gate(metric="error_rate", max=1, on_fail="rollback"),
        SPLIT,
    )
    guarded = plan(stage(guardrails=guardrails), stage())
    state = begun(guarded)
    asked = machine.watch_request(guarded, state)
    assert asked is not None
    assert (asked.counting, asked.stage.guardrails, asked.generation) == (True, guardrails, 1)
    paused = machine.watch_request(guarded, machine.command(guarded, state, order("pause"), START).state)
    assert paused is not None
    assert (paused.counting, paused.stage.guardrails) == (False, guardrails[1:])


clocks = st.builds(Clock, counted=st.timedeltas(ZERO, 20 * HOUR), waited=st.timedeltas(ZERO, 20 * HOUR))


@given(clocks, clocks, st.timedeltas(ZERO, 50 * HOUR), st.timedeltas(-50 * HOUR, 50 * HOUR))
def test_settling_takes_off_what_came_after(begun: Clock, more: Clock, watched: timedelta, early: timedelta) -> None:
    """Never below where the watch began, never above what it reported, and no more than it was ahead."""
    reported = Clock(counted=begun.counted + more.counted, waited=begun.waited + more.waited)
    observed = Observation(kind="interrupted", at=START + watched, clock=reported)
    clock = settle(begun, observed, START + watched - early)
    assert begun.counted <= clock.counted <= reported.counted
    assert begun.waited <= clock.waited <= reported.waited
    taken = (reported.counted - clock.counted) + (reported.waited - clock.waited)
    assert taken == min(max(early, ZERO), more.counted + more.waited)


# A whole rollout in memory: the rules of watching and those of the machine, on evidence that comes in spells.

_GOOD, _DOUBT = (PASS, False, PASS, PASS, 1.0), (INCONCLUSIVE, False, PASS, PASS, 1.0)
_of_others = st.sampled_from([PASS] * 8 + [*Verdict])
_any = st.tuples(st.sampled_from(Verdict), st.booleans(), _of_others, _of_others, st.sampled_from([1.0, 0.1, None]))
_spell = st.tuples(st.sampled_from([_GOOD, _GOOD, _DOUBT]) | _any, st.sampled_from([1, 3, 6, 12]))
_policies = st.fixed_dictionaries(
    {
        "on_no_data": st.sampled_from(["pause", "rollback", "hold"]),
        "on_source_error": st.sampled_from(["pause", "rollback", "hold"]),
        "on_inconclusive": st.sampled_from(["pause", "rollback", "hold", ADVANCE, ADVANCE, ADVANCE]),
        "on_fail": st.sampled_from(["previous_stage", "rollback", "pause"]),
        "approval": st.sampled_from([None, None, Approval(), Approval(by="lead")]),
        "manual": st.sampled_from([False, False, True]),
        "hold": st.sampled_from([2 * HOUR, 5 * HOUR]),
    }
)
_commands = st.sampled_from(["pause", "resume", "resume", "promote", "approve", "approve", "abort", "rollback"])
_orders = st.dictionaries(st.integers(0, 60), st.tuples(_commands, st.sampled_from(["alice", "bob"])), max_size=12)
_GUARDRAIL = Gate(metric="error_rate", max=0.1, on_fail="rollback")


class Life:
    """A rollout that is looked at every hour, and all it has decided."""

    def __init__(self, of: Plan) -> None:
        self.plan = of
        first = machine.begin(of, RolloutState(rollout_id="r1", started_by="alice"), START)
        self.state, self.decisions = first.state, list[Decision](first.decisions)
        self.now = START

    def take(self, step: Step) -> None:
        """Record a step, and finish what is ending."""
        self.state = step.state
        self.decisions += step.decisions
        if self.state.ending is not None:
            self.take(machine.finish(self.plan, self.state, self.now, "delivered"))

    def watch(self, hour: tuple[Verdict, bool, Verdict, Verdict, float | None]) -> None:
        """One interval of watching, whose evidence is that of ``hour``."""
        asked = machine.watch_request(self.plan, self.state)
        if asked is None:
            return
        progress = resumed(asked, None, self.now)
        self.now += next_check(asked, progress)
        checks = checks_of(asked, hour)
        progress = advance(asked, progress, checks, self.now)
        found = conclude(asked, progress, checks)
        observed = found or Observation(kind="interrupted", at=self.now, clock=progress.clock)
        self.take(machine.observe(self.plan, self.state, observed))


def checks_of(asked: WatchRequest, hour: tuple[Verdict, bool, Verdict, Verdict, float | None]) -> list[Any]:
    """What the gate, the guardrail and the signal of a stage find."""
    of_gate, anytime, of_guardrail, of_signal, p_fail = hour
    found = [check(of_gate, anytime=anytime, p_fail=p_fail, errors=9), check(of_guardrail, "guardrail", errors=9)]
    return [*found, check(of_signal, "signal", errors=9)]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(_policies, min_size=1, max_size=4),
    st.lists(_spell, min_size=1, max_size=12),
    _orders,
)
def test_the_rules_hold_on_any_evidence(
    stages: list[dict[str, Any]], spells: list[Any], orders: dict[int, tuple[str, str]]
) -> None:
    """Ends, generations, causes, approvals, holds and growth are right for whole rollouts in memory."""
    first, *rest = stages
    made = [first | {"approval": None, "manual": False}, *rest]
    life = Life(plan(*(stage([gate()], [_GUARDRAIL, SPLIT], **fields) for fields in made)))
    for number, hour in enumerate(hour for hour, lasting in spells for _ in range(lasting)):
        if number in orders:
            kind, actor = orders[number]
            life.take(machine.command(life.plan, life.state, order(kind, actor, ("lead",), f"c{number}"), life.now))
        life.watch(hour)
    assert_rules(life.plan, life.decisions, starter="alice")
    assert life.state.state.ended is any(decision.kind == "ended" for decision in life.decisions)
