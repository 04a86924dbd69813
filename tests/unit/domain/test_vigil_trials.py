"""Watching a test: it ends when its result stands, before its time is up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import pytest

from tests.unit.domain.watching import HOUR, START, after, check, gate, over, request, stage, step
from turnout.domain.experiments import EXPERIMENT, Experiment, ExperimentResult, MetricUnderTest, Recommendation
from turnout.domain.freezes import Closed, Opening
from turnout.domain.plan import Gate
from turnout.domain.rollout import WatchRequest
from turnout.domain.verdicts import Check, Verdict
from turnout.domain.vigil import Progress, as_of, asks_calendar, conclude

TRIAL = Gate(
    metric=EXPERIMENT,
    experiment=Experiment(
        control="perplexity",
        arms={"lightrag": 50_000, "perplexity": 50_000},
        metrics=(MetricUnderTest(metric="success_rate", better="higher"),),
        sample=1000,
    ),
)
ADVICE = {Verdict.PASS: "deploy", Verdict.FAIL: "keep", Verdict.INCONCLUSIVE: "continue"}


def found(verdict: Verdict, at: Literal["waiting", "final"] = "final", **more: Any) -> Check:
    """The check of the test."""
    advice = None
    if at == "final":
        winner = "lightrag" if verdict is Verdict.PASS else None
        advice = Recommendation.model_validate({"action": ADVICE[verdict], "reason": "so", "winner": winner})
    result = ExperimentResult(
        control="perplexity",
        stage=at,
        sample=1000,
        users=900,
        split={},
        planned={},
        split_p=1.0,
        significance=0.05,
        power=0.8,
        recommendation=advice,
    )
    return check(verdict, experiment=result, **more)


def trial(*others: Gate) -> WatchRequest:
    """A watch over the test, and other gates."""
    return request(stage((TRIAL, *others)))


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL])
def test_a_result_ends_the_stage(verdict: Verdict) -> None:
    """A result is acted on at once, whatever is left of the time; a pass names the winner."""
    _, seen = step(trial(), after(HOUR), [found(verdict)])
    assert seen is not None
    assert (seen.kind, seen.verdict) == ("judged", verdict)
    assert seen.winner == ("lightrag" if verdict is Verdict.PASS else None)


def test_no_result_yet() -> None:
    """Before the look the watch goes on."""
    assert step(trial(), after(HOUR), [found(Verdict.INCONCLUSIVE, "waiting")])[1] is None


def test_the_last_look_is_waited_for() -> None:
    """A test that was asked a moment before its time was up is asked once more before anything is decided."""
    assert conclude(trial(), over(), [found(Verdict.INCONCLUSIVE, "waiting")]) is None
    seen = conclude(trial(), over(), [found(Verdict.INCONCLUSIVE)])
    assert seen is not None
    assert (seen.kind, seen.verdict) == ("blocked", Verdict.INCONCLUSIVE)


def test_no_data_at_the_end() -> None:
    """Silence up to the end of the time blocks like any other gate."""
    seen = conclude(trial(), over(), [found(Verdict.NO_DATA, "waiting")])
    assert seen is not None
    assert (seen.kind, seen.verdict) == ("blocked", Verdict.NO_DATA)


def test_other_gates_are_asked_at_the_result() -> None:
    """A winner that fails another gate is not adopted, and one that is undecided elsewhere waits."""
    failed = conclude(trial(gate()), after(HOUR), [found(Verdict.PASS), check(Verdict.FAIL)])
    assert failed is not None
    assert failed.verdict is Verdict.FAIL
    open_ = conclude(trial(gate()), after(HOUR), [found(Verdict.PASS), check(Verdict.INCONCLUSIVE)])
    assert open_ is not None
    assert open_.kind == "blocked"


def test_a_result_waits_for_its_window() -> None:
    """The calendar is asked as soon as the result is there; a pass waits for it, and keeps its winner when it opens."""
    asked = request(stage((TRIAL,)), windows=())
    assert asks_calendar(asked, after(HOUR), [found(Verdict.PASS)])
    assert not asks_calendar(asked, after(HOUR), [found(Verdict.INCONCLUSIVE, "waiting")])
    shut = Closed(why="frozen", opens_at=START + 9 * HOUR)
    seen = conclude(asked, after(HOUR), [found(Verdict.PASS)], Opening(closed=shut))
    assert seen is not None
    assert (seen.kind, seen.closed) == ("waiting", shut)
    waiting = asked.model_copy(update={"closed": shut, "counting": False})
    assert conclude(waiting, after(HOUR), [found(Verdict.PASS)], Opening(closed=shut)) is None
    opened = conclude(waiting, after(HOUR), [found(Verdict.PASS)], Opening())
    assert opened is not None
    assert (opened.kind, opened.verdict, opened.winner) == ("judged", Verdict.PASS, "lightrag")


def test_the_clock_of_a_question() -> None:
    """What is asked knows the time that was watched; a gap counts for nothing."""
    progress = Progress(START, after(3 * HOUR).clock)
    assert as_of(request(), progress, START + HOUR).clock.counted == 4 * HOUR
    assert as_of(request(), progress, START + 9 * HOUR).clock.counted == 3 * HOUR
    assert as_of(request(counting=False), progress, START + timedelta(minutes=1)).clock.counted == 3 * HOUR
