"""Tests of several arms, whole: users are split, the sample comes in, the recommendation is acted on."""

from __future__ import annotations

from typing import Any

import pytest

from examples.trial import run
from tests.e2e.stack import FLAG, Stack, eventually
from tests.e2e.test_crashes import ended
from tests.e2e.traffic import Traffic
from turnout.cli.render.report_page import page
from turnout.domain.reporting import Report

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SHIP = {
    "stages": [50, 100],
    "stage_duration": "1s",
    "gates": [{"metric": "success_rate", "min": 0.5, "min_samples": 10, "min_units": 5}],
}


def trial(**strategy: Any) -> dict[str, Any]:
    """A test of the success rate with a hundred users."""
    fields = {"kind": "ab_test", "metrics": ["success_rate"], "minimum_sample_size": 100, "max_duration": "1h"}
    return {"flag": FLAG, "candidate": "lightrag", "strategy": fields | strategy, "check_every": "1s"}


def reported(stack: Stack, rollout: str) -> Report:
    """The report on ``rollout``."""
    with stack.http() as http:
        answer = http.get(f"/v1/rollouts/{FLAG}/report", params={"rollout": rollout})
    assert answer.status_code == 200, answer.text
    return Report.model_validate(answer.json())


def test_a_winner_is_recommended_and_shipped(stack: Stack) -> None:
    """A better candidate is recommended with its numbers, users return, and a gradual rollout ships it by itself."""
    with Traffic(stack.url, {"perplexity": False, "lightrag": True}):
        began = stack.start(trial(ship_winner=SHIP))
        rollout = eventually(stack.rollout, lambda now: ended(now) and now["id"] != began["id"])
    assert (rollout["id"], rollout["strategy"], rollout["state"]) == (f"{began['id']}-ship", "gradual", "completed")
    with stack.http() as http:
        assert http.get(f"/v1/flags/{FLAG}").json()["traffic"]["stable"] == "lightrag"
    test = reported(stack, began["id"])
    assert [change.kind for change in test.changes] == ["started", "returned", "ended"]
    assert (test.state, test.changes[1].verdict, test.changes[1].share) == ("completed", "pass", 0.0)
    found = test.experiment
    assert found is not None
    assert found.recommendation is not None
    assert (found.recommendation.action, found.recommendation.winner) == ("deploy", "lightrag")
    assert found.users >= 100
    candidate = found.metrics[0].of("lightrag")
    assert (candidate.effect, candidate.verdict) == (1.0, "better")
    assert sum(sum(arrival.users.values()) for arrival in test.arrivals) >= 100
    assert page(test).count("<svg") == 3


def test_the_example_of_several_arms(stack: Stack) -> None:
    """The example with the client: the arm that is better is found among several, which keeps its margin."""
    report = run("multivariate", stack.url)
    found = report.experiment
    assert found is not None
    assert found.recommendation is not None
    assert (report.state, found.recommendation.action, found.recommendation.winner) == ("completed", "deploy", "cited")
    assert set(found.split) == {"cited", "stepwise", "plain"}
    assert (found.metrics[0].of("cited").effect or 0) > (found.metrics[0].of("stepwise").effect or 0)
    assert found.metrics[1].of("cited").verdict == "not_worse"


def test_a_candidate_that_is_worse_is_taken_back(stack: Stack) -> None:
    """The control is kept, and everybody goes back; only the exposed users were ever in the test."""
    with Traffic(stack.url, {"perplexity": True, "lightrag": False}):
        began = stack.start(trial(exposure="80%"))
        rollout = eventually(stack.rollout, ended)
    assert (rollout["state"], rollout["share"]) == ("rolled_back", 0.0)
    found = reported(stack, began["id"]).experiment
    assert found is not None
    assert found.recommendation is not None
    assert found.recommendation.action == "keep"
    assert 100 <= sum(found.split.values()) < 200
