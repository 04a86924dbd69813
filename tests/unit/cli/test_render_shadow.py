"""How a rollout in shadow is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.unit.cli.builders import START, decision, plan, view
from turnout.cli.render.explain import explanation_view
from turnout.cli.render.flags import flag_view
from turnout.cli.render.following import next_step
from turnout.cli.render.history import history_view
from turnout.cli.render.live import stages_table
from turnout.cli.render.plan import plan_data, plan_view
from turnout.cli.render.rollout import started_text, status_view
from turnout.cli.session import plain
from turnout.cli.views import RolloutView, Told
from turnout.domain.flags import Flag, Shadow, Traffic
from turnout.domain.rollout import State
from turnout.domain.snapshot import PublishedFlag, document
from turnout.ports import FlagRecord
from turnout.resolver import compile_document

SHADOW = plan(strategy={"kind": "shadow", "sample": 20})
FLAG = Flag(key="answer-engine", variants={"perplexity": 1, "lightrag": 2}, stable="perplexity")
NOW = START + timedelta(hours=6)


def shadowed(**more: Any) -> RolloutView:
    """A rollout in shadow."""
    return view(**({"strategy": "shadow", "plan": SHADOW, "share": 0.0} | more))


def test_the_status_tells_what_is_in_shadow() -> None:
    """Nobody gets the candidate, and of whose requests it answers."""
    text = plain(status_view(shadowed(), NOW))
    assert "0 % of the users get lightrag, which answers 20 % in shadow. It is running" in text
    assert "if all pass, the rollout completes and all users get perplexity; if one fails, it rolls back" in text


def test_plans_stages_and_starts_tell_it() -> None:
    """Where a stage's share is told, the sample is."""
    assert "20 % in shadow" in plain(plan_view(SHADOW, START))
    assert "20 % in shadow" in plain(stages_table(shadowed()))
    assert "the first gives it 20 % in shadow" in plain(started_text(shadowed()))
    (stage,) = plan_data(SHADOW, START)["stages"]  # type: ignore[misc]  # a list of dicts
    assert (stage["share"], stage["shadow"]) == (0, 0.2)


def test_a_completed_shadow_has_moved_nobody() -> None:
    """All users are on stable, as they always were."""
    ended = shadowed(state=State.COMPLETED, ended_at=NOW)
    assert "all users get perplexity" in plain(status_view(ended, NOW))
    assert next_step(ended) == "nothing; all users get perplexity"


def test_the_history_tells_it() -> None:
    """The decisions of a shadow, in words."""
    began = decision(share=0.0, shadow=SHADOW.stages[0].shadow)
    text = plain(history_view(shadowed(), [Told(began), Told(decision(2, kind="returned", share=0.0))]))
    assert "Began stage 1 of 1 (lightrag in shadow for 20 %)" in text
    assert "Ended with everybody on perplexity" in text


def test_a_flag_and_its_users_tell_it() -> None:
    """Which variant answers in shadow, and whether it answers a user's requests."""
    shadow = Shadow(variant="lightrag", sample=20_000)
    traffic = Traffic(stable="perplexity", weights={"perplexity": 100_000}, shadow=shadow)
    published = PublishedFlag(definition=FLAG, traffic=traffic)
    record = FlagRecord(flag=FLAG, traffic=traffic, updated_at=START, updated_by="ann")
    assert "serves: perplexity; lightrag in shadow for 20 %" in plain(flag_view(record))
    snapshot = compile_document(document([published], 1, "store"))
    told = [plain(explanation_view(snapshot.explain(FLAG.key, unit), unit)) for unit in map(str, range(100))]
    asked = sum("lightrag answers this user's requests in shadow" in text for text in told)
    assert 5 < asked < 40
    assert "in shadow" not in plain(explanation_view(snapshot.explain(FLAG.key), None))
