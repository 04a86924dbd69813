"""What other gates would have decided on the outcomes of a rollout."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.past import DECISIONS, NEW, OLD, SPEC, START, after, move, opened, served, went
from turnout.adapters.rejudging import rejudge
from turnout.adapters.retrial import MOST_LOOKS, legs_of, looks_at
from turnout.analysis.checks import asked_of
from turnout.domain.errors import Conflict, InvalidInput
from turnout.domain.rejudged import RejudgedGate, Rejudgement
from turnout.domain.verdicts import Verdict
from turnout.ports import Stores
from turnout.strategies import along, compile_plan, parse_spec
from turnout.testing.stores import memory_stores

MINUTE = timedelta(minutes=1)


def spec(*gates: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The rollout's spec with other gates."""
    return SPEC | {"gates": list(gates), "sample_ratio": False} | more


async def judged(stores: Stores, document: dict[str, Any]) -> Rejudgement:
    """What the gates of ``document`` say of the rollout, two hours after it began."""
    record = await stores.rollouts.get("r1")
    return await rejudge(stores.rollouts, stores.outcomes, record, parse_spec(document), after(120))


async def of_the_past(document: dict[str, Any]) -> Rejudgement:
    """What the gates of ``document`` say of the rollout that went through two stages."""
    stores = memory_stores()
    await went(stores.flags, stores.rollouts, stores.outcomes)
    return await judged(stores, document)


def only(found: Rejudgement, stage: int) -> RejudgedGate:
    """The only gate of a stage."""
    (gate,) = found.stages[stage].gates
    return gate


async def test_other_gates_are_asked_of_what_was_in_shadow() -> None:
    """Of a rollout in shadow the answers in shadow are judged, on both sides, and not what was served."""
    stores = memory_stores()
    shadow = spec({"metric": "error_rate", "versus": "stable"}) | {"strategy": {"kind": "shadow", "duration": "1h"}}
    plan = compile_plan(parse_spec(shadow), OLD)
    await opened(stores.flags, stores.rollouts, plan=plan)
    begun = move(1, "started", 0, 0, 0.0, shadow=plan.stages[0].shadow)
    for decision in (begun, move(2, "returned", 60, 0, 0.0)):
        await stores.rollouts.commit(decision)
    fine = served(2, 0, 60, 90)
    bad = [outcome.model_copy(update={"id": f"s{outcome.id}", "mode": "shadow"}) for outcome in served(2, 0, 60, 0)]
    for outcomes in (fine, bad):
        await stores.outcomes.record(outcomes, after(60))
    (stage,) = (await judged(stores, shadow)).stages
    (gate,) = stage.gates
    assert (stage.name, stage.share) == ("shadow 100 %", 0)
    assert gate.final is not None
    assert (gate.final.verdict, gate.final.samples) == (Verdict.FAIL, len(bad) // 2)


async def test_a_stricter_gate_would_have_failed_where_the_rollout_went_on() -> None:
    """It is told when a gate first passed and failed, with the numbers, beside what really happened."""
    found = await of_the_past(spec({"metric": "error_rate", "max": 0.05}))
    assert [(s.generation, s.stage, s.name, s.share, s.looks) for s in found.stages] == [
        (2, 0, "25 %", 0.25, 30),
        (3, 1, "50 %", 0.5, 30),
    ]
    assert [(s.since, s.until, s.decided) for s in found.stages] == [
        (after(0), after(30), DECISIONS[1]),
        (after(30), after(60), DECISIONS[2]),
    ]
    good, bad = only(found, 0), only(found, 1)
    assert good.final is not None
    assert good.final.verdict is Verdict.PASS
    assert good.failed_after is None
    assert good.passed_after is not None
    assert MINUTE <= good.passed_after < 30 * MINUTE
    assert bad.final is not None
    assert bad.final.verdict is Verdict.FAIL
    assert bad.final.units == 450
    assert bad.failed_after is not None
    assert 10 * MINUTE < bad.failed_after < 20 * MINUTE
    minutes = bad.failed_after // MINUTE
    assert bad.text == (
        f"gate error_rate ≤ 0.05 would have failed stage 2 (50 %) after {minutes}m; "
        "the rollout took everybody back there after 30m"
    )


async def test_the_same_gates_find_the_same_as_at_intake() -> None:
    """The final check of a stage is made of the very numbers that the store has kept."""
    stores = memory_stores()
    await went(stores.flags, stores.rollouts, stores.outcomes)
    found = await judged(stores, SPEC | {"sample_ratio": False})
    for stage in found.stages:
        kept = (await stores.outcomes.stats("engine", stage.generation, "error_rate"))[NEW]
        final = stage.gates[0].final
        assert final is not None
        assert (final.samples, final.units) == (kept.samples, kept.units)
        assert final.value == pytest.approx(kept.total / kept.samples)
    assert (found.stages[0].gates[0].rollout, found.stages[1].gates[0].rollout) == (Verdict.PASS, None)


async def test_limits_are_computed_from_the_replayed_outcomes() -> None:
    """A quantile that the rollout did not ask about has its own limit; versus stable it is frozen on the way."""
    found = await of_the_past(
        spec(
            {"metric": "response_time", "quantile": 0.9, "max": 200},
            {"metric": "response_time", "quantile": 0.9, "max": 500},
        )
    )
    failed, passed = found.stages[0].gates
    assert failed.final is not None
    assert failed.final.verdict is Verdict.FAIL
    assert passed.final is not None
    assert passed.final.verdict is Verdict.PASS


async def test_a_quantile_of_stable_comes_from_the_generation_before_the_rollout() -> None:
    """A limit that needs a thousand earlier values of stable takes them from traffic that is not replayed."""
    stores = memory_stores()
    await opened(stores.flags, stores.rollouts)
    before = [o.model_copy(update={"variant": OLD}) for o in served(1, -60, 0, 99)]
    await stores.outcomes.record(before, after(0))
    await stores.rollouts.commit(DECISIONS[0])
    await stores.outcomes.record(served(2, 0, 20, failing_from=99), after(21))
    asked = spec({"metric": "response_time", "quantile": 0.9, "versus": "stable"})
    gate = only(await judged(stores, asked), 0)
    assert gate.final is not None
    assert (gate.final.samples, gate.final.verdict) == (300, Verdict.FAIL)


async def test_gates_on_other_sources_cannot_be_asked() -> None:
    """They are told as such, and share the error rate with the others as they would have."""
    remote = {"kind": "prometheus", "url": "http://127.0.0.1:1", "numerator": "a", "denominator": "b"}
    gates = {"metric": "error_rate", "max": 0.05}, {"metric": "queue", "max": 0.5, "source": remote}
    first, other = (await of_the_past(spec(*gates))).stages[0].gates
    assert first.final is not None
    assert first.final.alpha_fail == pytest.approx(0.025)
    assert (other.final, other.failed_after, other.passed_after) == (None, None, None)
    assert other.text == "gate queue ≤ 0.5 reads a prometheus source; only gates on outcomes can be asked of the past"


async def test_guardrails_are_asked_too() -> None:
    """The guardrails of the spec, and the one on the split of the users that goes without saying."""
    document = SPEC | {"guardrails": [{"metric": "error_rate", "max": 0.1}]}
    found = await of_the_past(document)
    assert [(gate.role, gate.gate) for gate in found.stages[0].gates] == [
        ("gate", "error_rate ≤ 0.5"),
        ("guardrail", "error_rate ≤ 0.1"),
        ("signal", "users split as planned"),
    ]
    # The arms were served in turn, and a quarter was planned for the candidate.
    split = found.stages[0].gates[2].final
    assert split is not None
    assert split.verdict is Verdict.FAIL
    assert found.stages[1].gates[2].final is not None
    assert found.stages[1].gates[2].final.verdict is not Verdict.FAIL


async def test_an_open_rollout_is_judged_until_now() -> None:
    """The stage that lasts has no decision; what was reported by now counts."""
    stores = memory_stores()
    await opened(stores.flags, stores.rollouts)
    await stores.rollouts.commit(DECISIONS[0])
    await stores.outcomes.record(served(2, 0, 20, failing_from=99), after(21))
    found = await judged(stores, spec({"metric": "error_rate", "max": 0.05}))
    (stage,) = found.stages
    assert (stage.decided, stage.until, stage.outcomes) == (None, after(120), 600)
    assert only(found, 0).text.endswith("; the rollout is still there")


async def test_outcomes_after_the_stage_do_not_count() -> None:
    """What resolvers did before they had learnt of the next stage was not there when this one was decided."""
    stores = memory_stores()
    await went(stores.flags, stores.rollouts, stores.outcomes)
    late = [o.model_copy(update={"id": f"late-{o.id}"}) for o in served(2, 30.5, 40, failing_from=0)]
    await stores.outcomes.record(late, after(62))
    found = await judged(stores, spec({"metric": "error_rate", "max": 0.05}))
    assert found.stages[0].outcomes == 900
    gate = only(found, 0)
    assert gate.final is not None
    assert gate.final.verdict is Verdict.PASS


async def test_what_cannot_be_judged() -> None:
    """No stage, no outcomes, and specs of something else are refused with the reason."""
    stores = memory_stores()
    await opened(stores.flags, stores.rollouts)
    with pytest.raises(Conflict, match="has begun no stage"):
        await judged(stores, SPEC)
    await stores.rollouts.commit(DECISIONS[0])
    with pytest.raises(Conflict, match="no outcomes of rollout r1 of engine"):
        await judged(stores, SPEC)
    with pytest.raises(InvalidInput) as refused:
        await judged(stores, SPEC | {"flag": "other", "candidate": "third"})
    assert [problem.path for problem in refused.value.problems] == ["flag", "candidate"]


async def test_a_plain_interval_fails_at_the_end_alone() -> None:
    """Looks before the end show what it would have been; the rollout would have acted on the last one."""
    found = only(await of_the_past(spec({"metric": "error_rate", "max": 0.05, "method": "fixed"})), 1)
    assert found.failed_after is not None
    assert found.text.startswith("gate error_rate ≤ 0.05 would have failed at the end of stage 2 (50 %); ")


async def test_without_outcomes_in_one_stage() -> None:
    """A stage in which nothing was reported has no data; the others are judged."""
    stores = memory_stores()
    await opened(stores.flags, stores.rollouts)
    await stores.rollouts.commit(DECISIONS[0])
    await stores.outcomes.record(served(2, 0, 30, failing_from=99), after(31))
    await stores.rollouts.commit(DECISIONS[1])
    found = await judged(stores, spec({"metric": "error_rate", "max": 0.05}))
    assert [stage.outcomes for stage in found.stages] == [900, 0]
    assert only(found, 1).text == (
        "gate error_rate ≤ 0.05 would have had no data in stage 2 (50 %); the rollout is still there"
    )


def test_stages_end_where_the_traffic_changes() -> None:
    """Notes do not end a stage; an end without a change of the traffic does."""
    note = move(9, "held", 10, 0, 0.25, weights=None)
    ended = move(4, "ended", 50, 1, 0.5, weights=None)
    legs = legs_of([DECISIONS[0], note, DECISIONS[1], ended], after(99))
    assert [(leg.begun.seq, leg.until, leg.ended and leg.ended.seq) for leg in legs] == [
        (1, after(30), 2),
        (2, after(50), 4),
    ]


def test_what_is_changed_after_the_end_is_no_stage() -> None:
    """The shares that a rollout left may be changed; nothing was judged about them."""
    ended = DECISIONS[0].model_copy(update={"seq": 3, "kind": "ended", "at": after(5), "weights": None})
    changed = DECISIONS[0].model_copy(update={"seq": 4, "kind": "adjusted", "at": after(9)})
    assert [leg.until for leg in legs_of([DECISIONS[0], ended, changed], after(99))] == [after(5)]


def test_looks_are_bounded() -> None:
    """A stage is looked at as often as the spec says, or evenly so often as is feasible; the last look is its end."""
    moments, every = looks_at(START, after(90.5), MINUTE)
    assert (len(moments), moments[0], moments[-1], every) == (91, after(1), after(90.5), MINUTE)
    moments, every = looks_at(START, after(1000), MINUTE)
    assert (len(moments), moments[-1], every) == (MOST_LOOKS, after(1000), 2 * MINUTE)
    assert looks_at(START, START, MINUTE) == ([START], MINUTE)


def test_other_questions_on_the_same_way() -> None:
    """A plan keeps its stages and asks what another spec asks; where one arm has all traffic, none that compares."""
    made = compile_plan(parse_spec(SPEC), OLD)
    other = spec({"metric": "error_rate", "versus": "stable"}, {"metric": "cost", "max": 1}, check_every="5s")
    asked = along(parse_spec(other | {"bounds": {"cost": {"min": 0}}, "sample_ratio": True}), made)
    assert [(stage.name, stage.weights, stage.hold) for stage in asked.stages] == [
        (stage.name, stage.weights, stage.hold) for stage in made.stages
    ]
    assert [[one.gate.metric for one in asked_of(stage)] for stage in asked.stages] == [
        ["error_rate", "cost", "sample_ratio"],
        ["error_rate", "cost", "sample_ratio"],
        ["cost"],
    ]
    assert {stage.check_every for stage in asked.stages} == {timedelta(seconds=5)}
    assert asked.bounds["cost"].min == 0
