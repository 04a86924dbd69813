"""Which decision is news, and in which words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

import pytest

from tests.unit.cli.builders import START, check, decision, plan
from turnout.domain import machine
from turnout.domain.moves import Step
from turnout.domain.notices import (
    EVENT_OF,
    SILENT,
    TOLD_AT_THE_END,
    Notice,
    event_of,
    evidence_of,
    news_of,
    notice_of,
    trial_notice,
)
from turnout.domain.rollout import Clock, Command, Decision, DecisionKind, Observation, RolloutState, State
from turnout.domain.verdicts import Check, Verdict

PLAN = plan(notify=[{"stdout": True}])


def notice(done: Decision, before: Decision | None = None, *checks: Check) -> Notice:
    """The notice of a decision that is news."""
    news = news_of(PLAN, done, before)
    assert news is not None
    return notice_of(news, checks)


def test_every_kind_of_decision_is_told_or_left_out_on_purpose() -> None:
    """A new kind of decision is to be named in one of the tables of `turnout.domain.notices`."""
    named = {*EVENT_OF, *TOLD_AT_THE_END, *SILENT, "ended"}
    assert named == set(get_args(DecisionKind))


@pytest.mark.parametrize(
    ("fields", "event", "severity", "title"),
    [
        (
            {"kind": "started"},
            "started",
            "info",
            "started canary from perplexity to lightrag, stage 1 of 3 (5 %)",
        ),
        (
            {"kind": "advanced", "stage": 1, "share": 0.5},
            "advanced",
            "info",
            "advanced to stage 2 of 3 (50 %)",
        ),
        (
            {"kind": "scheduled", "state": State.SCHEDULED},
            "scheduled",
            "info",
            "scheduled canary from perplexity to lightrag, stage 1 of 3 (5 %)",
        ),
        ({"kind": "waiting_window"}, "waiting_window", "info", "waits for its window at stage 1 of 3 (5 %)"),
        ({"kind": "approval_overdue"}, "approval_needed", "warning", "waits for a person at stage 1 of 3 (5 %)"),
        ({"kind": "overridden"}, "advanced", "info", "advanced to stage 1 of 3 (5 %)"),
        ({"kind": "adjusted"}, "adjusted", "info", "changed a share at stage 1 of 3 (5 %)"),
        ({"kind": "adjusted_by_override"}, "adjusted", "info", "changed a share at stage 1 of 3 (5 %)"),
        ({"kind": "moved_back"}, "moved_back", "warning", "went back to stage 1 of 3 (5 %)"),
        ({"kind": "held", "verdict": "no_data"}, "held", "warning", "holds at stage 1 of 3 (5 %)"),
        (
            {"kind": "held", "verdict": "source_error"},
            "source_trouble",
            "warning",
            "holds at stage 1 of 3 (5 %), a metric source does not answer",
        ),
        ({"kind": "recovered"}, "recovered", "info", "goes on at stage 1 of 3 (5 %)"),
        ({"kind": "paused"}, "paused", "warning", "paused at stage 1 of 3 (5 %)"),
        ({"kind": "resumed"}, "resumed", "info", "resumed at stage 1 of 3 (5 %)"),
        (
            {"kind": "awaiting_approval"},
            "approval_needed",
            "warning",
            "waits for a person at stage 1 of 3 (5 %)",
        ),
        ({"kind": "ended", "state": State.FAILED}, "failed", "critical", "failed"),
    ],
)
def test_events(fields: dict[str, Any], event: str, severity: str, title: str) -> None:
    """Each says where the rollout is, in a line that needs no context."""
    said = notice(decision(**fields))
    assert (said.event, said.severity, said.title) == (event, severity, f"answer-engine: {title}")


@pytest.mark.parametrize("kind", ["refused", "withdrawn", "adopted", "settled", "returned"])
def test_what_is_no_news_by_itself(kind: str) -> None:
    """A refusal was answered; a change of traffic that ends a rollout is told with the end."""
    assert event_of(decision(kind=kind)) is None
    assert news_of(PLAN, decision(kind=kind), None) is None


def ends(step: Step) -> Notice:
    """The notice of the end that ``step`` leads to, as the workflow puts it together."""
    ended = machine.finish(PLAN, step.state, START + timedelta(hours=2), "every snapshot feed has passed it on")
    return notice(ended.decisions[0], step.state.last)


def running() -> RolloutState:
    """A rollout in its first stage."""
    return machine.begin(PLAN, RolloutState(rollout_id="r1", started_by="ann"), START).state


def test_a_rollback_is_told_once_with_its_evidence_and_that_it_has_arrived() -> None:
    """The words, the actor and the evidence are those of the decision to take everybody back."""
    text = "guardrail failed: error_rate is 13.3 % (anytime 93.75 % interval 8.4–19.4 %)"
    seen = Observation(
        kind="guardrail", at=START, clock=Clock(), verdict=Verdict.FAIL, recourse="rollback", evidence="e1", text=text
    )
    said = ends(machine.observe(PLAN, running(), seen))
    assert (said.key, said.event, said.severity, said.verdict) == ("r1:3", "rolled_back", "critical", Verdict.FAIL)
    assert said.title == "answer-engine: rolled back, everybody is back on perplexity"
    assert said.text == f"{text} (rolled back; every snapshot feed has passed it on)"
    assert said.advice == "turnout history answer-engine has the whole story"


def test_an_abort_and_a_completion() -> None:
    """Who aborted and why; what is stable now."""
    order = Command(id="c1", kind="abort", actor="bob", reason="enough")
    said = ends(machine.command(PLAN, running(), order, START))
    assert (said.event, said.actor, said.reason) == ("aborted", "bob", "enough")
    last = running().model_copy(update={"stage": 2})
    seen = Observation(kind="judged", at=START, clock=Clock(), verdict=Verdict.PASS, evidence="e2")
    for end, meaning in (
        ("adopt", "lightrag is stable now"),
        ("stay", "the traffic of its last stage stays"),
        ("return", "everybody is back on perplexity"),
    ):
        said = ends(machine.observe(PLAN.model_copy(update={"end": end}), last, seen))
        assert (said.event, said.title) == ("completed", f"answer-engine: completed, {meaning}")


def test_a_rollout_that_lost_its_flag_is_not_said_to_have_taken_anybody_back() -> None:
    """Its last decision, whatever it was, is not what its end follows from."""
    state = running()
    (ended,) = machine.fenced(PLAN, state, START, "a newer generation").decisions
    said = notice(ended, state.last)
    assert (said.title, said.text) == ("answer-engine: failed", "failed: a newer generation")


def test_the_evidence_is_that_of_the_decision_or_of_its_cause() -> None:
    """Whichever was judged."""
    held, ended = decision(kind="held", evidence="e1"), decision(2, kind="ended", state=State.ROLLED_BACK)
    withdrawn = decision(kind="withdrawn", evidence="e2")
    for done, before, evidence in ((held, None, "e1"), (ended, withdrawn, "e2"), (ended, held, None)):
        news = news_of(PLAN, done, before)
        assert news is not None
        assert evidence_of(news) == evidence


def test_the_sentences_hold_the_estimates() -> None:
    """The text, then a line for each check that has one, then what to do."""
    checks = (check(text="success_rate is 97.2 % (95 % interval 96.1–98.0 %)"), check(verdict=Verdict.NO_DATA))
    said = notice(decision(kind="paused", text="paused by bob"), None, *checks)
    assert said.sentences == (
        "paused by bob",
        "pass: success_rate is 97.2 % (95 % interval 96.1–98.0 %)",
        "turnout resume answer-engine, turnout promote answer-engine, or turnout rollback answer-engine",
    )
    assert said.checks == checks


def test_a_trial_says_that_it_is_one() -> None:
    """Nobody may take it for news."""
    said = trial_notice(PLAN, START, "test:1")
    assert (said.event, said.key, said.title) == ("test", "test:1", "answer-engine: test of this channel")
