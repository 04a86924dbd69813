"""Shadow calls: what is asked in the background, what is reported, and that nothing of it harms a request."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.unit.client.guarding_kit import Kept
from turnout import Assignment, Served
from turnout.client.shadowing import Shadowing, Terms, shadow_of
from turnout.domain.outcomes import Outcome

PUBLISHED = {"stable": "old", "shadow": "new", "shadowSample": 100_000, "shadowSeed": "engine:shadow:", "generation": 3}
GOOD = Served("the cat sat", latency_ms=12.5)
SOON = 0.2


class Pairs(Kept):
    """What was reported, by side."""

    def sides(self, pairs: int = 1) -> tuple[list[Outcome], list[Outcome]]:
        """The outcomes of stable and those of the candidate, once there are so many pairs."""
        kept = self.all(2 * pairs)
        return [one for one in kept if one.variant == "old"], [one for one in kept if one.variant == "new"]

    async def later(self, pairs: int = 1) -> tuple[list[Outcome], list[Outcome]]:
        """The same, with the event loop going on."""
        return await asyncio.to_thread(self.sides, pairs)


@pytest.fixture
def sender() -> Pairs:
    """An empty one."""
    return Pairs()


@pytest.fixture
def shadowing(sender: Pairs) -> Iterator[Shadowing]:
    """Two places, and two more may wait."""
    made = Shadowing(sender, places=2, limit_s=20, waiting=2)
    yield made
    made.stop()


def assigned(unit: str = "user-1", variant: str = "old", by: str = "static", **metadata: object) -> Assignment:
    """A user who is served ``variant`` of a flag with a shadow."""
    published: dict[str, Any] = {**PUBLISHED, **metadata}
    return Assignment("engine", variant, 1, "STATIC", unit, 3, None, by, published)


def asked(assignment: Assignment) -> str | None:
    """The variant that answers a user's requests too."""
    return shadow_of(assignment.metadata, assignment.variant, assignment.unit)


def one(outcomes: list[Outcome]) -> Outcome:
    """The only one."""
    (only,) = outcomes
    return only


@pytest.mark.parametrize(
    ("assignment", "shadowed"),
    [
        (assigned(), "new"),
        (assigned(by="rule:staff"), "new"),
        (assigned(variant="new"), None),
        (assigned(variant="third"), None),
        (assigned(unit=""), None),
        (assigned(shadowSample=0), None),
        (Assignment("engine", "old", 1, "STATIC", "user-1", 3, None), None),
        (Assignment("engine", None, 1, "ERROR", "user-1", None, "no such flag"), None),
    ],
)
def test_who_is_shadowed(assignment: Assignment, shadowed: str | None) -> None:
    """Users who are served stable, whatever decided that, while the flag has a shadow."""
    assert asked(assignment) == shadowed


def test_the_sample_is_a_share_of_the_users() -> None:
    """20 % of the users are in a sample of 20 %, the same ones every time, and all of them in a larger one."""
    users = [f"user-{number}" for number in range(5000)]
    few = [user for user in users if asked(assigned(user, shadowSample=20_000))]
    more = {user for user in users if asked(assigned(user, shadowSample=40_000))}
    assert 0.18 < len(few) / len(users) < 0.22
    assert few == [user for user in users if asked(assigned(user, shadowSample=20_000))]
    assert set(few) < more


def test_both_sides_are_reported_in_shadow(shadowing: Shadowing, sender: Pairs) -> None:
    """One outcome a side, on the same user and generation; how alike the answers are is the candidate's."""
    terms = Terms("token_overlap", score=len)
    assert shadowing.submit(assigned(), {"new": lambda: "the cat slept", "old": lambda: ""}, GOOD, terms)
    stable, candidate = map(one, sender.sides())
    assert {(o.mode, o.flag, o.unit, o.generation, o.decided_by) for o in (stable, candidate)} == {
        ("shadow", "engine", "user-1", 3, "static")
    }
    assert (stable.ok, stable.latency_ms, stable.quality, stable.values) == (True, 12.5, 11, {})
    assert (candidate.ok, candidate.quality) == (True, 13)
    assert candidate.values == {"agreement": pytest.approx(2 / 3)}
    assert candidate.latency_ms is not None
    assert shadowing.counts == {"started": 1}


def test_the_published_comparator_is_used(shadowing: Shadowing, sender: Pairs) -> None:
    """Unless the call says otherwise; without one answers have to be equal."""
    systems = {"new": lambda: "The cat slept"}
    shadowing.submit(assigned(), systems, GOOD, Terms())
    assert one(sender.sides()[1]).values == {"agreement": 0}
    shadowing.submit(assigned(shadowComparator="token_overlap"), systems, GOOD, Terms())
    assert sender.sides(2)[1][1].values == {"agreement": pytest.approx(2 / 3)}
    shadowing.submit(assigned(shadowComparator="token_overlap"), systems, GOOD, Terms(lambda *_: 0.25))
    assert sender.sides(3)[1][2].values == {"agreement": 0.25}


def test_a_candidate_that_raises_is_an_error_of_its_own(shadowing: Shadowing, sender: Pairs) -> None:
    """Whatever it raises, an exception that cannot even be told included; stable's side is complete."""

    class Untold(Exception):
        def __str__(self) -> str:
            raise RuntimeError("not even this")

    def fails(error: BaseException) -> None:
        raise error

    for error in (ValueError("no"), SystemExit(3), Untold()):
        assert shadowing.submit(assigned(), {"new": lambda error=error: fails(error)}, GOOD, Terms(score=len))
    stable, candidate = sender.sides(3)
    assert [(o.ok, o.quality, o.values) for o in candidate] == [(False, None, {})] * 3
    assert [(o.ok, o.quality) for o in stable] == [(True, 11)] * 3


def test_a_request_that_failed_is_shadowed_too(shadowing: Shadowing, sender: Pairs) -> None:
    """Stable's error stands against the candidate's answer, and there is nothing to compare it with."""
    assert shadowing.submit(assigned(), {"new": lambda: "fine"}, Served(ok=False, latency_ms=7), Terms(score=len))
    stable, candidate = map(one, sender.sides())
    assert (stable.ok, stable.quality) == (False, None)
    assert (candidate.ok, candidate.quality, candidate.values) == (True, 4, {})


def test_a_known_quality_is_not_scored_again(shadowing: Shadowing, sender: Pairs) -> None:
    """The service may know how good the served answer was."""
    seen: list[str] = []

    def score(answer: str) -> float:
        seen.append(answer)
        return 0.5

    shadowing.submit(assigned(), {"new": lambda: "b"}, Served("a", quality=0.9), Terms(score=score))
    stable, candidate = map(one, sender.sides())
    assert (stable.quality, candidate.quality, seen) == (0.9, 0.5, ["b"])


def test_a_candidate_that_hangs_fails_at_its_limit(shadowing: Shadowing, sender: Pairs) -> None:
    """It is reported once, as failed and as slow as the limit; what it answers afterwards counts for nothing."""
    release = threading.Event()
    assert shadowing.submit(
        assigned(), {"new": lambda: release.wait(20) and "late"}, GOOD, Terms(score=len, limit_s=SOON)
    )
    stable, candidate = map(one, sender.sides())
    assert (candidate.ok, candidate.latency_ms, candidate.values) == (False, 200, {})
    assert stable.ok
    release.set()
    assert shadowing.submit(assigned(), {"new": lambda: "next"}, GOOD, Terms())
    assert [o.ok for o in sender.sides(2)[1]] == [False, True]
    assert shadowing.counts == {"started": 2, "late": 1}


def test_a_candidate_that_eats_its_queue_is_shed(shadowing: Shadowing, sender: Pairs) -> None:
    """Two hang and two wait; of hundreds more none is asked or waited for, and none is reported for either side."""
    release = threading.Event()
    systems = {"new": lambda: release.wait(20)}
    taken = sum(shadowing.submit(assigned(), systems, GOOD, Terms()) for _ in range(500))
    assert taken == 4
    assert shadowing.counts["shed"] == 496
    assert sender.kept == []
    release.set()
    stable, candidate = sender.sides(4)
    assert len(stable) == len(candidate) == 4


@pytest.mark.parametrize(
    "terms",
    [
        Terms(lambda *_: 1 / 0),
        Terms(lambda *_: 2.0),
        Terms(lambda *_: float("nan")),
        Terms("no such"),  # type: ignore[arg-type]  # on purpose
        Terms(score=lambda _: float("much")),
    ],
)
def test_a_judgement_that_fails_is_left_out(
    shadowing: Shadowing, sender: Pairs, terms: Terms, caplog: pytest.LogCaptureFixture
) -> None:
    """The outcomes come without it; it is counted, and told once."""
    with caplog.at_level(logging.WARNING, "turnout.client"):
        for _ in range(2):
            shadowing.submit(assigned(), {"new": lambda: "b"}, Served("a", quality=0.5), terms)
        _, candidate = sender.sides(2)
    assert [o.ok for o in candidate] == [True, True]
    assert {o.quality for o in candidate} == {None}
    assert shadowing.counts["unjudged"] == 2
    assert caplog.text.count("unjudged") == 1


def test_a_judgement_that_hangs_is_no_failure_of_the_candidate(shadowing: Shadowing, sender: Pairs) -> None:
    """The candidate had answered; only the score is missing."""
    release = threading.Event()
    terms = Terms(score=lambda _: float(release.wait(20)), limit_s=SOON)
    shadowing.submit(assigned(), {"new": lambda: "b"}, GOOD, terms)
    _, candidate = map(one, sender.sides())
    release.set()
    assert (candidate.ok, candidate.quality, candidate.values) == (True, None, {"agreement": 0})
    assert candidate.latency_ms != 200
    assert shadowing.counts["unjudged"] == 1


def test_a_service_without_the_candidate_says_so(
    shadowing: Shadowing, sender: Pairs, caplog: pytest.LogCaptureFixture
) -> None:
    """A shadow of a system that the service does not have, or cannot call so, is counted and not reported."""
    assert not shadowing.submit(assigned(), {"old": lambda: "a"}, GOOD, Terms())

    async def answer() -> str:
        return "b"

    assert shadowing.submit(assigned(), {"new": answer}, GOOD, Terms())
    shadowing.close(10)
    assert shadowing.counts["unserved"] == 2
    assert sender.kept == []
    assert "'new', which is none of the systems" in caplog.text


def test_context_variables_reach_the_candidate(shadowing: Shadowing, sender: Pairs) -> None:
    """A trace of the request goes on in its shadow, and what the shadow sets stays there."""
    trace = contextvars.ContextVar("trace", default="none")
    trace.set("request-7")
    seen: list[str] = []

    def answer() -> None:
        seen.append(trace.get())
        trace.set("shadow")

    shadowing.submit(assigned(), {"new": answer}, GOOD, Terms())
    sender.sides()
    assert (seen, trace.get()) == (["request-7"], "request-7")


def test_a_forked_child_shadows_on_its_own(shadowing: Shadowing, sender: Pairs) -> None:
    """Whatever hangs in the parent takes no place in a child, and is not reported by it."""
    release = threading.Event()
    for _ in range(4):
        shadowing.submit(assigned(), {"new": lambda: release.wait(20)}, GOOD, Terms())
    child = os.fork()
    if child == 0:
        shadowing.after_fork()
        sender.kept.clear()
        sender._news = threading.Condition()
        taken = shadowing.submit(assigned(), {"new": lambda: "b"}, GOOD, Terms())
        os._exit(0 if taken and one(sender.sides()[1]).ok and shadowing.counts == {"started": 1} else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    release.set()


def test_what_runs_is_reported_before_the_end(shadowing: Shadowing, sender: Pairs) -> None:
    """Closing waits for answers that come in time; afterwards nothing is asked any more."""
    shadowing.submit(assigned(), {"new": lambda: time.sleep(0.05) or "b"}, GOOD, Terms())
    shadowing.close(10)
    assert len(sender.kept) == 2
    assert not shadowing.submit(assigned(), {"new": lambda: "b"}, GOOD, Terms())
    assert shadowing.counts == {"started": 1, "shed": 1}


def test_no_thread_is_left_after_the_end(sender: Pairs) -> None:
    """Threads that wait for work end with the client."""
    shadowing = Shadowing(sender, places=2, limit_s=5)
    before = set(threading.enumerate())
    shadowing.submit(assigned(), {"new": lambda: "b"}, GOOD, Terms())
    sender.sides()
    mine = set(threading.enumerate()) - before
    assert mine
    shadowing.close(1)
    for thread in mine:
        thread.join(10)
    assert not any(thread.is_alive() for thread in mine)


async def test_coroutines_are_shadowed_on_the_loop(shadowing: Shadowing, sender: Pairs) -> None:
    """On the caller's event loop; comparing and scoring are not, so that they cannot block it."""
    threads: dict[str, int] = {}

    async def answer() -> str:
        threads["answer"] = threading.get_ident()
        await asyncio.sleep(0)
        return "the cat slept"

    def score(_: str) -> float:
        threads["score"] = threading.get_ident()
        return 0.5

    assert shadowing.spawn(assigned(), {"new": answer}, GOOD, Terms("token_overlap", score))
    stable, candidate = map(one, await sender.later())
    assert threads["answer"] == threading.get_ident() != threads["score"]
    assert (candidate.quality, candidate.values) == (0.5, {"agreement": pytest.approx(2 / 3)})
    assert (stable.mode, candidate.mode, stable.quality) == ("shadow", "shadow", 0.5)


async def test_coroutines_that_fail_hang_or_resist(shadowing: Shadowing, sender: Pairs) -> None:
    """An error, a SystemExit and a hang are outcomes; one that ignores its cancellation keeps its place, no more."""
    release = asyncio.Event()

    async def raises(error: BaseException) -> None:
        raise error

    async def resists() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    for error in (ValueError("no"), SystemExit(3), asyncio.CancelledError()):
        assert shadowing.spawn(assigned(), {"new": lambda error=error: raises(error)}, GOOD, Terms())
        await asyncio.sleep(0.01)
    _, candidate = await sender.later(3)
    assert [o.ok for o in candidate] == [False] * 3
    for _ in range(2):
        assert shadowing.spawn(assigned(), {"new": resists}, GOOD, Terms(limit_s=SOON))
    _, candidate = await sender.later(5)
    assert [(o.ok, o.latency_ms) for o in candidate[3:]] == [(False, 200)] * 2
    assert not shadowing.spawn(assigned(), {"new": resists}, GOOD, Terms())
    release.set()
    await asyncio.sleep(0.01)
    assert shadowing.spawn(assigned(), {"new": lambda: raises(ValueError("free again"))}, GOOD, Terms())
    assert shadowing.counts == {"started": 6, "shed": 1, "late": 2}


def test_places_of_a_closed_event_loop_are_free_again(shadowing: Shadowing) -> None:
    """A program that runs one event loop after the other, and stops them in the middle of shadows, goes on."""

    async def hangs() -> None:
        await asyncio.sleep(60)

    async def request() -> bool:
        return shadowing.spawn(assigned(), {"new": hangs}, GOOD, Terms())

    assert [asyncio.run(request()) for _ in range(5)] == [True] * 5


def test_nothing_of_a_request_is_held_while_idle(shadowing: Shadowing, sender: Pairs) -> None:
    """Once it is reported, an answer is garbage."""
    gone = threading.Event()

    class Answer:
        def __del__(self) -> None:
            gone.set()

    systems: Mapping[str, Any] = {"new": Answer}
    shadowing.submit(assigned(), systems, GOOD, Terms())
    sender.sides()
    assert gone.wait(10)
