"""What watching tells: each thing once on a pipe, the newest on a screen."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.unit.cli.builders import START, check, decision, view
from turnout.cli.commands.watch import Screen, Story
from turnout.cli.feed import Trouble, Update
from turnout.cli.session import plain
from turnout.cli.views import Told
from turnout.domain.rollout import State
from turnout.domain.verdicts import Verdict


def update(*new: Told, **fields: Any) -> Update:
    """An update with these new decisions."""
    return Update(view(**fields), {}, new)


def test_a_story_tells_each_thing_once() -> None:
    """The heading comes first, then decisions; a check is told again only when its verdict changes."""
    story = Story()
    first = [str(line) for line in story.lines(update(Told(decision()), checks=(check(),)))]
    assert len(first) == 3
    assert first[0].startswith("answer-engine: canary from perplexity to lightrag")
    assert story.lines(update(checks=(check(value=0.97),))) == []
    (changed,) = story.lines(update(checks=(check(verdict=Verdict.FAIL),)))
    assert "fail" in str(changed)


def test_a_screen_shows_trouble_until_it_is_over() -> None:
    """Without a connection the picture says so and its clock stands; the next update clears it."""
    screen = Screen(update(Told(decision())), START)
    screen.take(Trouble("no answer"), START)
    later = plain(screen.picture(START + timedelta(hours=2)))
    assert "not connected, trying again: no answer" in later
    assert "18h left" in later
    screen.take(update(), START)
    assert "16h left" in plain(screen.picture(START + timedelta(hours=2)))
    assert "not connected" not in plain(screen.picture(START))


def test_a_screen_knows_the_end() -> None:
    """The state of the last update is the screen's."""
    screen = Screen(update(), START)
    screen.take(update(state=State.COMPLETED), START)
    assert screen.state is State.COMPLETED


def test_a_screen_forgets_the_decisions_of_another_rollout() -> None:
    """A new rollout of the flag does not carry the old one's story."""
    screen = Screen(update(Told(decision(text="the old story"))), START)
    screen.take(update(id="r2"), START)
    assert "the old story" not in plain(screen.picture(START))
