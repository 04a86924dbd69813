"""Cohort and geographic: one part of the users after the other."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.domain.errors import InvalidInput
from turnout.domain.flags import Flag, Traffic
from turnout.domain.plan import Plan, Stage
from turnout.domain.snapshot import PublishedFlag, document
from turnout.resolver import Snapshot, compile_document
from turnout.strategies import compile_plan, parse_spec

BETA = {"name": "beta", "match": {"plan": "beta"}, "percentage": 50}
STAFF = {"name": "staff", "match": {"ids": ["ann", "bob"]}}
PAID = {"name": "paid", "match": {"plan": ["pro", "team"]}, "percentage": 20}
DACH = {"name": "dach", "countries": ["DE", "AT", "CH"], "percentage": 50}
NORDICS = {"name": "nordics", "match": {"country": ["SE", "NO"]}, "percentage": 20}
BASE: dict[str, Any] = {
    "flag": "engine",
    "candidate": "new",
    "gates": [{"metric": "success_rate", "min": 0.95}, {"metric": "error_rate", "versus": "stable"}],
}


def compiled(strategy: dict[str, Any], **more: Any) -> Plan:
    """The plan of moving from old to new."""
    return compile_plan(parse_spec(BASE | {"strategy": strategy} | more), "old")


def cohorts(*written: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A cohort strategy."""
    return {"kind": "cohort", "cohorts": list(written), **more}


def regions(*written: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A geographic strategy."""
    return {"kind": "geographic", "regions": list(written), **more}


def shares(stage: Stage) -> dict[str, int]:
    """The candidate's weight by segment."""
    return {segment.name: segment.weights["new"] for segment in stage.segments}


def served(stage: Stage) -> Snapshot:
    """What resolvers evaluate in ``stage``."""
    flag = Flag.model_validate({"key": "engine", "variants": {"old": 1, "new": 2}, "stable": "old"})
    traffic = Traffic(stable="old", weights=stage.weights, segments=stage.segments)
    return compile_document(json.loads(json.dumps(document([PublishedFlag(definition=flag, traffic=traffic)], 1, "s"))))


def test_one_stage_a_cohort_each_with_its_own_share() -> None:
    """Cohorts before keep what they have; the stage asks about its own; everybody else is on stable."""
    plan = compiled(cohorts(STAFF, BETA, PAID, stage_duration="2h"))
    assert [stage.name for stage in plan.stages] == ["staff 100 %", "beta 50 %", "paid 20 %"]
    assert [shares(stage) for stage in plan.stages] == [
        {"staff": 100_000},
        {"staff": 100_000, "beta": 50_000},
        {"staff": 100_000, "beta": 50_000, "paid": 20_000},
    ]
    assert [stage.focus for stage in plan.stages] == ["staff", "beta", "paid"]
    assert {stage.hold for stage in plan.stages} == {timedelta(hours=2)}
    assert {json.dumps(stage.weights) for stage in plan.stages} == {'{"new": 0, "old": 100000}'}
    assert [plan.share(index) for index in range(3)] == [1.0, 0.5, 0.2]
    assert plan.end == "stay"


def test_a_cohort_without_stable_traffic_is_not_compared() -> None:
    """At 100 % nobody of the cohort is left on stable; below, comparisons and the split are asked."""
    staff, beta = compiled(cohorts(STAFF, BETA)).stages
    assert [gate.metric for gate in staff.gates] == ["success_rate"]
    assert [gate.metric for gate in staff.guardrails] == []
    assert [gate.metric for gate in beta.gates] == ["success_rate", "error_rate"]
    assert [gate.metric for gate in beta.guardrails] == ["sample_ratio"]


def test_a_disabled_cohort_keeps_its_users_on_stable() -> None:
    """It has no stage, and stands before later cohorts that match the same users."""
    everybody = {"name": "everybody", "match": {"if": True}, "percentage": 100}
    (stage,) = compiled(cohorts(BETA | {"enabled": False}, everybody)).stages
    assert shares(stage) == {"beta": 0, "everybody": 100_000}
    assert served(stage).resolve("engine", "u1", {"plan": "beta"}).variant == "old"
    assert served(stage).resolve("engine", "u1", {"plan": "free"}).variant == "new"


def test_first_match_wins_and_others_stay() -> None:
    """By unit, by attribute, and none."""
    last = served(compiled(cohorts(STAFF, PAID | {"percentage": 100}, auto_promote=False)).stages[-1])
    assert last.explain("engine", "ann", {"plan": "pro"}).name == "staff"
    assert last.explain("engine", "zoe", {"plan": "pro"}).name == "paid"
    assert last.resolve("engine", "zoe", {"plan": "free"}).variant == "old"
    assert last.resolve("engine", None, {"plan": "pro"}).variant == "new"


def test_stages_by_hand_and_holds_of_their_own() -> None:
    """Without auto_promote every later stage waits; a cohort's duration goes before the strategy's."""
    stages = compiled(cohorts(STAFF | {"duration": "1h"}, BETA, auto_promote=False, on_fail="pause"), gates=[]).stages
    assert [(stage.hold, stage.manual) for stage in stages] == [(timedelta(hours=1), False), (timedelta(days=1), True)]
    assert {stage.on_fail for stage in stages} == {"pause"}


def test_an_approval_is_due_before_a_cohort_reaches_its_share() -> None:
    """Each cohort that gets so much of it needs its own."""
    stages = compiled(cohorts(BETA, PAID, BETA | {"name": "more"}), approvals=[{"before": 50, "by": "boss"}]).stages
    assert [stage.approval is not None for stage in stages] == [True, False, True]


def test_one_stage_a_region_then_the_others() -> None:
    """Countries or a match; what nobody matches comes last, at its own share of the flag's own split."""
    plan = compiled(regions(DACH, NORDICS, other={"percentage": 5, "duration": "3d"}))
    assert [stage.name for stage in plan.stages] == ["dach 50 %", "nordics 20 %", "other 5 %"]
    last = plan.stages[-1]
    assert (last.focus, last.weights["new"], last.hold) == (None, 5_000, timedelta(days=3))
    assert shares(last) == {"dach": 50_000, "nordics": 20_000}
    assert plan.share(2) == 0.05
    assert {segment.name: segment.condition for segment in last.segments} == {
        "dach": {"or": [{"in": [{"var": "country"}, ["DE", "AT", "CH"]]}, {"===": [{"var": "region"}, "dach"]}]},
        "nordics": {"in": [{"var": "country"}, ["SE", "NO"]]},
    }


def test_regions_follow_the_sun() -> None:
    """Each may have windows of its own, by its own clock; the others keep to the rollout's."""
    night = {"hours": "02:00-05:00", "timezone": "Asia/Tokyo"}
    asia = {"name": "asia", "countries": ["JP"], "percentage": 50, "windows": night}
    stages = compiled(regions(asia, DACH, other={"percentage": 5}), windows={"timezone": "Europe/Berlin"}).stages
    assert [[window.timezone for window in stage.windows] for stage in stages] == [
        ["Asia/Tokyo"],
        ["Europe/Berlin"],
        ["Europe/Berlin"],
    ]


def test_a_region_without_countries_goes_by_its_name() -> None:
    """The attribute region says it."""
    only = served(compiled(regions({"name": "emea"}, {"name": "US-CA"}, auto_promote=False)).stages[-1])
    assert only.resolve("engine", "u1", {"region": "emea"}).variant == "new"
    assert only.resolve("engine", "u1", {"region": "US-CA", "country": "US"}).variant == "new"
    assert only.resolve("engine", "u1", {"country": "DE"}).variant == "old"


@pytest.mark.parametrize(
    ("strategy", "path", "message"),
    [
        (cohorts(), "strategy.cohorts", "there are none"),
        (cohorts(BETA, BETA), "strategy.cohorts", "2 of them have the same name"),
        (cohorts(BETA | {"enabled": False}), "strategy.cohorts", "none of them is enabled"),
        (cohorts(BETA | {"percentage": 0}), "strategy.cohorts[0]", "percentage 0 moves nobody"),
        (cohorts(BETA | {"match": {"file": "x"}}), "strategy.cohorts[0].match.file", "only the command line reads"),
        (cohorts({"name": "beta"}), "strategy.cohorts[0].match", "is required"),
        (cohorts(BETA | {"name": "a b"}), "strategy.cohorts[0].name", "is not a name"),
        (regions(DACH | {"match": {"a": "b"}}), "strategy.regions[0]", "has countries and match"),
        (regions(DACH | {"countries": []}), "strategy.regions[0]", "has no countries"),
        (regions(DACH | {"countries": ["de"]}), "strategy.regions[0].countries[0]", "capital letters.*such as DE"),
        (regions(DACH | {"countries": [False]}), "strategy.regions[0].countries[0]", 'quote it ."NO".'),
        (regions(DACH | {"countries": ["UK"]}), "strategy.regions[0].countries[0]", "write GB"),
        (regions(DACH, {"name": "at", "countries": ["AT"]}), "strategy.regions", "2 regions have the same country"),
        (regions(DACH, {"name": "other"}), "strategy.regions[1].name", "stands for users of no region"),
        (regions(DACH, other={"percentage": 0}), "strategy.other", "percentage 0 moves nobody"),
    ],
)
def test_what_makes_no_sense_is_refused(strategy: dict[str, Any], path: str, message: str) -> None:
    """With the field, the value and the remedy."""
    with pytest.raises(InvalidInput, match=message) as caught:
        compiled(strategy)
    assert [problem.path for problem in caught.value.problems] == [path]
    assert caught.value.problems[0].remedy or "required" not in message


def test_no_cohort_follows_one_that_nothing_was_asked_about() -> None:
    """With comparisons alone, a cohort at 100 % has to be the last one; an absolute gate, or a person, will do too."""
    compare = [{"metric": "error_rate", "versus": "stable"}]
    with pytest.raises(InvalidInput, match=r"strategy\.cohorts\[0\]\.percentage: leaves no stable traffic"):
        compiled(cohorts(STAFF, BETA), gates=compare)
    with pytest.raises(InvalidInput, match=r"strategy\.regions\[0\]\.percentage: leaves no stable traffic"):
        compiled(regions({"name": "emea"}, other={"percentage": 5}), gates=compare)
    assert len(compiled(cohorts(BETA, STAFF), gates=compare).stages) == 2
    assert len(compiled(cohorts(STAFF, BETA, auto_promote=False), gates=compare).stages) == 2


def test_a_plan_that_is_too_large_to_travel_is_refused() -> None:
    """Later stages repeat what earlier ones list."""
    many = {"ids": [f"a-rather-long-identifier-{number}" for number in range(9_000)]}
    listed = [{"name": f"c{index}", "match": many} for index in range(3)]
    with pytest.raises(InvalidInput, match="take more than 1000000 bytes"):
        compiled(cohorts(*listed))
    assert len(compiled(cohorts(*listed[:1])).stages) == 1


USERS = [f"user-{number}" for number in range(300)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 100_000)), min_size=1, max_size=5))
def test_nobody_loses_the_candidate_from_stage_to_stage(parts: list[tuple[bool, int]]) -> None:
    """Whatever the cohorts, overlapping as they are here: who has it keeps it, until the end."""
    written = [
        {
            "name": f"c{n}",
            "enabled": on,
            "percentage": w / 1000,
            "match": {"if": {"ends_with": [{"var": "targetingKey"}, str(n)]}},
        }
        for n, (on, w) in enumerate(parts)
    ]
    strategy = cohorts(*written, {"name": "rest", "match": {"if": True}, "percentage": 50})
    before: set[str] = set()
    for stage in compiled(strategy).stages:
        snapshot = served(stage)
        now = {user for user in USERS if snapshot.resolve("engine", user).variant == "new"}
        assert before <= now
        before = now


def test_a_plan_survives_its_way_through_json() -> None:
    """As it travels to the workflow and back."""
    plan = compiled(regions(DACH, NORDICS, other={"percentage": 5}))
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_what_comes_after_in_a_pipeline_keeps_the_shares() -> None:
    """Cohorts, then regions, then everybody: whoever has the candidate by an earlier part keeps it."""
    parts = [cohorts(BETA), regions(DACH), {"kind": "gradual", "stages": [10, 100]}]
    spec = BASE | {"pipeline": [{"strategy": part} for part in parts]}
    plan = compile_plan(parse_spec(spec), "old")
    assert [shares(stage) for stage in plan.stages] == [
        {"beta": 50_000},
        *[{"beta": 50_000, "dach": 50_000}] * 3,
    ]
    assert [stage.focus for stage in plan.stages] == ["beta", "dach", None, None]
    assert plan.end == "adopt"


def test_a_pipeline_asks_about_each_part_before_the_next() -> None:
    """What is last in its part is not last in the pipeline."""
    compare = [{"metric": "error_rate", "versus": "stable"}]
    spec = BASE | {"gates": compare, "pipeline": [{"strategy": cohorts(STAFF)}, "gradual"]}
    with pytest.raises(InvalidInput, match=r"pipeline\[0\]\.strategy\.cohorts\[0\]\.percentage: leaves no stable"):
        parse_spec(spec)
