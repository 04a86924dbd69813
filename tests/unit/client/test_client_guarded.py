"""Guarded calls: who answers and why, what is reported, and what breakers and budgets hear of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.client.guarding_kit import Service, assigned, limited, raises
from turnout import Assignment, InvalidInput
from turnout.client.answer import RefusedAnswer
from turnout.client.background import Background
from turnout.client.guarding import Guard
from turnout.client.shared import Shared
from turnout.guards.breaker import Circuit
from turnout.guards.policy import ErrorBreaker, Policy, QualityBreaker
from turnout.guards.wallet import Wallet

BOTH = pytest.mark.parametrize("kind", ["plain", "coroutine"])
Make = Callable[..., Service]


@pytest.fixture
def service() -> Iterator[Make]:
    """Makes services that are closed afterwards."""
    made: list[Service] = []

    def make(*given: Any, **guard: Any) -> Service:
        made.append(Service(*given, **guard))
        return made[-1]

    yield make
    for one in made:
        one.close()


def answers(text: object) -> Callable[..., Any]:
    """A system that answers with ``text``."""
    return lambda **_: text


@BOTH
@pytest.mark.parametrize(("variant", "value"), [("new", "b"), ("old", "a")])
def test_the_assigned_variant_answers(service: Make, kind: str, variant: str, value: str) -> None:
    """With the arguments of the call; one outcome, as the traffic decided."""
    made = service()
    systems = {"old": lambda query: "a" + query, "new": lambda query: "b" + query}
    answer = made.either(kind, systems, assigned(variant), query="?")
    assert (answer.value, answer.served_by, answer.reason) == (value + "?", variant, "assigned")
    assert (answer.error, answer.assignment) == (None, assigned(variant))
    (outcome,) = made.sender.kept
    assert (outcome.variant, outcome.ok, outcome.decided_by, outcome.generation) == (variant, True, "traffic", 3)
    assert outcome.latency_ms == answer.latency_ms > 0
    assert made.guarding.counts == {"assigned": 1}


@BOTH
def test_stable_answers_when_the_assigned_variant_fails(service: Make, kind: str) -> None:
    """Both tries are reported, but who was served in another's place counts in no comparison."""
    made = service()
    error = ValueError("no")
    answer = made.either(kind, {"old": answers("a"), "new": raises(error)})
    assert (answer.value, answer.served_by, answer.reason, answer.error) == ("a", "old", "error_fallback", error)
    assert made.sender.told() == [("new", False, "traffic"), ("old", True, "fallback:error_fallback")]
    assert [outcome.drawn for outcome in made.sender.kept] == [True, False]


@BOTH
def test_whatever_a_system_raises_is_its_own_failure(service: Make, kind: str) -> None:
    """An exit, and an exception that no handler of ``Exception`` would see, fall back like any other."""

    class Odd(BaseException):
        pass

    made = service()
    for error in (SystemExit(3), Odd(), StopIteration(), TypeError("wrong arguments")):
        assert made.either(kind, {"old": answers("a"), "new": raises(error)}).reason == "error_fallback"


@BOTH
def test_a_system_that_gives_up_by_itself_timed_out(service: Make, kind: str) -> None:
    """Its own time limit was the shorter one."""
    made = service()
    assert made.either(kind, {"old": answers("a"), "new": raises(TimeoutError())}).reason == "timeout_fallback"


@BOTH
def test_the_error_of_stable_is_raised_when_both_fail(service: Make, kind: str) -> None:
    """The very exception, with the first one as its context."""
    made = service()
    first, second = ValueError("new"), KeyError("old")
    with pytest.raises(KeyError) as caught:
        made.either(kind, {"old": raises(second), "new": raises(first)})
    assert caught.value is second
    assert caught.value.__context__ is first
    assert [(variant, ok) for variant, ok, _ in made.sender.told()] == [("new", False), ("old", False)]
    assert made.guarding.counts == {"failed": 1}


@BOTH
def test_one_exception_for_both_is_raised_as_it_is(service: Make, kind: str) -> None:
    """Two systems that share a dependency may raise the same object."""
    made = service()
    error = OSError("down")
    with pytest.raises(OSError, match="down") as caught:
        made.either(kind, {"old": raises(error), "new": raises(error)})
    assert caught.value.__context__ is None


@BOTH
def test_an_expected_exception_is_an_answer(service: Make, kind: str) -> None:
    """It reaches the caller, nothing falls back, and it is no failure to anybody."""
    made = service(Policy(expected=(LookupError,), errors=ErrorBreaker(failure_threshold=1)))
    for _ in range(2):
        with pytest.raises(KeyError):
            made.either(kind, {"old": answers("a"), "new": raises(KeyError("no such document"))})
    assert made.sender.told() == [("new", True, "traffic")] * 2
    assert made.guarding.circuits == {}


@BOTH
@pytest.mark.parametrize("garbage", [None, "", {"text": ""}, RuntimeError])
def test_garbage_is_an_error(service: Make, kind: str, garbage: object) -> None:
    """An answer that is not accepted, or cannot even be checked, is a failure."""
    made = service(accept=lambda answer: len(answer) > 3)
    answer = made.either(kind, {"old": answers("fine"), "new": answers(garbage)})
    assert (answer.value, answer.reason) == ("fine", "error_fallback")
    assert isinstance(answer.error, RefusedAnswer)
    assert [ok for _, ok, _ in made.sender.told()] == [False, True]


def test_garbage_of_stable_is_raised(service: Make) -> None:
    """There is nothing else to answer with."""
    made = service(accept=bool)
    with pytest.raises(RefusedAnswer, match="a NoneType, was not accepted"):
        made.call({"old": answers(None), "new": answers("")})


class Hostile:
    """An answer whose numbers raise."""

    @property
    def quality(self) -> float:
        """It has none."""
        raise RuntimeError("no quality")

    cost = property(lambda _: 1 / 0)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        7,
        b"",
        [],
        Hostile(),
        {"quality": "high", "cost": None},
        {"quality": float("nan"), "cost": True},
        {"cost": 1e300},
    ],
)
def test_an_answer_that_carries_no_number_is_reported_without(service: Make, answer: object) -> None:
    """Whatever it is, it is served, and the request does not fail on its account."""
    made = service()
    assert made.call({"new": lambda: answer}).value is answer
    (outcome,) = made.sender.kept
    assert (outcome.ok, outcome.quality, outcome.satisfaction, outcome.cost) == (True, None, None, None)


class Rich:
    """An answer that knows what it is worth."""

    quality = 0.5
    satisfaction = 4
    cost = Decimal("0.002")


@pytest.mark.parametrize("answer", [Rich(), {"quality": 0.5, "satisfaction": 4, "cost": Decimal("0.002")}])
def test_an_answer_may_carry_its_numbers(service: Make, answer: object) -> None:
    """As attributes or as keys."""
    made = service()
    made.call({"new": lambda: answer})
    (outcome,) = made.sender.kept
    assert (outcome.quality, outcome.satisfaction, outcome.cost) == (0.5, 4, 0.002)


@BOTH
def test_scorers_go_before_what_an_answer_says(service: Make, kind: str) -> None:
    """The quick ones at once, the slow ones on a thread of their own; metrics of any name."""
    threads: set[str] = set()

    def slow(_: object) -> float:
        threads.add(threading.current_thread().name)
        return 0.75

    made = service(measure={"citations": lambda _: 3, "cost": lambda _: 0.1}, score={"quality": slow})
    made.either(kind, {"new": answers({"quality": 0.1, "satisfaction": 5})})
    (outcome,) = made.sender.all()
    assert (outcome.quality, outcome.satisfaction, outcome.cost, outcome.values) == (0.75, 5, 0.1, {"citations": 3})
    assert threads == {"turnout-background"}


def test_functions_of_an_answer_may_ask_for_the_arguments() -> None:
    """By name, as many as they like; a built-in function, which does not tell, gets the answer alone."""

    def by_name(answer: str, query: str, *, limit: int = 7, other: str = "none") -> float:
        return len(answer + query + other) + limit

    made = Service(
        accept=lambda answer, query: query in answer,
        measure={
            "alone": len,
            "named": by_name,
            "all": lambda answer, **arguments: len(arguments),
            "untold": {"bq": 5.0}.__getitem__,
        },
        score={"quality": lambda answer, query: len(query)},
    )
    made.call({"new": lambda query, limit: "b" + query}, query="q", limit=2)
    (outcome,) = made.sender.all()
    assert (outcome.quality, outcome.values) == (1, {"alone": 2, "named": 9, "all": 2, "untold": 5})
    made.close()


async def test_a_slow_scorer_delays_no_answer(service: Make) -> None:
    """The request is over, its outcome waits for the score."""
    release = threading.Event()
    made = service(score={"quality": lambda _: float(release.wait(10))})

    async def system() -> str:
        return "b"

    assert (await made.acall({"new": system})).value == "b"
    assert made.sender.kept == []
    release.set()
    assert made.sender.all()[0].quality == 1


@pytest.mark.parametrize("where", ["measure", "score"])
def test_a_scorer_that_fails_is_left_out(service: Make, where: str, caplog: pytest.LogCaptureFixture) -> None:
    """One that raises, exits, gives nonsense or a coroutine; the others count. Counted always, told once."""

    async def coroutine() -> float:
        return 1.0

    bad: dict[str, Callable[[Any], Any]] = {
        "raises": lambda _: 1 / 0,
        "exits": raises_on_answer,
        "nonsense": lambda _: "good",
        "nan": lambda _: float("nan"),
        "coroutine": lambda _: coroutine(),
        "quality": lambda _: 0.5,
    }
    made = service(**{where: bad})
    assert made.call({"new": answers("b")}).value == "b"
    (outcome,) = made.sender.all()
    assert (outcome.quality, outcome.values) == (0.5, {})
    assert made.guarding.counts["unscored"] == 5
    assert caplog.text.count("unscored") == 1


def raises_on_answer(_: object) -> float:
    """A scorer that ends its thread."""
    raise SystemExit(1)


def test_a_scorer_that_hangs_costs_its_score_alone(service: Make) -> None:
    """What others found is reported when its time is up, and when the client is closed before that."""
    release = threading.Event()
    made = service(measure={"cost": lambda _: 2}, score={"quality": lambda _: float(release.wait(10))})
    made.scoring._limit = 0.05  # type: ignore[misc]  # shorter than it could be set
    made.call({"new": answers("b")})
    assert [(o.cost, o.quality) for o in made.sender.all()] == [(2, None)]
    made.scoring._limit = 10  # type: ignore[misc]  # as above
    made.call({"new": answers("b")})
    made.guarding.close(0)
    assert [(o.cost, o.quality) for o in made.sender.all(2)] == [(2, None)] * 2
    release.set()


def test_what_cannot_be_scored_is_reported_unscored(service: Make) -> None:
    """When scorers are too slow for the traffic, scores are missing and no outcome is."""
    release = threading.Event()
    made = service(score={"quality": lambda _: float(release.wait(10))})
    made.guarding._scoring = Background(1, 10, waiting=1)  # type: ignore[misc]  # smaller than it could be set
    for _ in range(10):
        made.call({"new": answers("b")})
    release.set()
    qualities = [outcome.quality for outcome in made.sender.all(10)]
    assert qualities.count(None) == 8
    assert made.guarding.counts == {"assigned": 10, "unscored": 8}


@BOTH
def test_a_breaker_opens_at_once(service: Make, kind: str) -> None:
    """After so many failures in a row the candidate is not asked any more; the next call already has stable."""
    made = service(Policy(errors=ErrorBreaker(failure_threshold=3)))
    asked: list[int] = []

    def fails() -> None:
        asked.append(1)
        raise ValueError

    reasons = [made.either(kind, {"old": answers("a"), "new": fails}).reason for _ in range(5)]
    assert reasons == ["error_fallback"] * 3 + ["breaker_open"] * 2
    assert len(asked) == 3
    assert made.sender.told()[-1] == ("old", True, "fallback:breaker_open")
    assert made.guarding.circuits == {"errors engine/new": "open"}


def test_a_candidate_that_fails_too_often_is_not_asked(service: Make) -> None:
    """Also where no two calls in a row fail."""
    made = service(Policy(errors=ErrorBreaker(min_success_rate=0.7, window=10, minimum=4)))
    good, bad = {"old": answers("a"), "new": answers("b")}, {"old": answers("a"), "new": raises(ValueError())}
    reasons = [made.call(systems).reason for systems in (good, bad, good, bad, good)]
    assert reasons == ["assigned", "error_fallback", "assigned", "error_fallback", "breaker_open"]


def test_a_breaker_recovers_by_probes(service: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the recovery time a few calls find out; a jump of the wall clock changes nothing."""
    now = [1000.0]
    made = service(Policy(timeout=None, errors=ErrorBreaker(failure_threshold=1, probes=2)))
    made.clock(lambda: now[0])
    bad, good = {"old": answers("a"), "new": raises(ValueError())}, {"old": answers("a"), "new": answers("b")}
    assert made.call(bad).reason == "error_fallback"
    monkeypatch.setattr("time.time", lambda: 9e9)
    assert made.call(good).reason == "breaker_open"
    now[0] += 31
    assert made.guarding.circuits == {"errors engine/new": "half_open"}
    assert [made.call(good).reason for _ in range(2)] == ["assigned"] * 2
    assert made.guarding.circuits == {}
    assert made.call(good).reason == "assigned"


def test_only_what_counts_opens_a_breaker(service: Make) -> None:
    """Other exceptions fall back all the same."""
    made = service(Policy(errors=ErrorBreaker(failure_threshold=1, counts=(ConnectionError,))))
    assert [made.call({"old": answers("a"), "new": raises(ValueError())}).reason for _ in range(2)] == [
        "error_fallback"
    ] * 2
    made.call({"old": answers("a"), "new": raises(ConnectionResetError())})
    assert made.call({"old": answers("a"), "new": answers("b")}).reason == "breaker_open"


def test_without_a_breaker_every_call_is_made(service: Make) -> None:
    """A policy may have none."""
    made = service(Policy(errors=None))
    assert {made.call({"old": answers("a"), "new": raises(ValueError())}).reason for _ in range(20)} == {
        "error_fallback"
    }


@pytest.mark.parametrize("where", ["measure", "score"])
def test_a_quality_breaker_opens_on_scores(service: Make, where: str) -> None:
    """Scored at once or in the background; answers without a score say nothing."""
    policy = Policy(quality=QualityBreaker(threshold=0.6, window=4, minimum=4))
    made = service(policy, **{where: {"quality": lambda answer: answer}})
    for index, score in enumerate([0.9, 0.5, 0.5, "none", 0.4], start=1):
        assert made.call({"old": answers(1), "new": answers(score)}).reason == "assigned"
        made.sender.all(index)
    assert made.call({"old": answers(1), "new": answers(1)}).reason == "quality_breaker_open"
    assert made.guarding.circuits == {"quality engine/new": "open"}


def test_stable_has_no_breaker(service: Make) -> None:
    """There is nothing that could answer in its place."""
    made = service(Policy(errors=ErrorBreaker(failure_threshold=1)))
    for _ in range(3):
        with pytest.raises(ValueError, match="down"):
            made.call({"old": raises(ValueError("down"))}, assigned("old"))


@pytest.mark.parametrize(
    ("assignment", "reason", "by"),
    [
        (assigned("old", "stopped", stopped=True), "stopped", "stopped"),
        (assigned("third"), "unserved", "fallback:unserved"),
        (assigned(None), "default", "fallback:default"),
    ],
)
def test_stable_answers_when_there_is_no_other(service: Make, assignment: Assignment, reason: str, by: str) -> None:
    """Of a stopped flag, of a variant that the service does not have yet, and of a flag that decides nothing."""
    made = service()
    answer = made.call({"new": answers("b"), "old": answers("a")}, assignment)
    assert (answer.value, answer.served_by, answer.reason) == ("a", "old", reason)
    assert made.sender.told() == [("old", True, by)]


@pytest.mark.parametrize(("policy", "served_by"), [(Policy(), "old"), (Policy(stable="new"), "new")])
def test_without_flags_the_first_system_answers(service: Make, policy: Policy, served_by: str) -> None:
    """Or the one that the policy calls stable."""
    nothing = Assignment("engine", None, None, "ERROR", "user-1", None, "no flags yet")
    answer = service(policy).call({"old": answers("a"), "new": answers("b")}, nothing)
    assert (answer.served_by, answer.reason) == (served_by, "default")


def test_without_stable_the_assigned_variant_is_on_its_own(service: Make) -> None:
    """What it raises is raised; while its breaker is open there is no answer, and the error says what is missing."""
    made = service(Policy(errors=ErrorBreaker(failure_threshold=1)))
    with pytest.raises(ValueError, match="no"):
        made.call({"new": raises(ValueError("no"))})
    with pytest.raises(InvalidInput, match="needs a system for 'old'"):
        made.call({"new": answers("b")})
    with pytest.raises(InvalidInput, match="needs a system for 'old'"):
        made.call({"other": answers("b")})
    with pytest.raises(InvalidInput, match="systems"):
        made.call({}, assigned(None))


def test_a_variant_that_others_have_blocked_is_not_asked(service: Make) -> None:
    """The seam for breakers of other processes; one that fails protects nothing and breaks nothing."""
    blocked: list[Any] = ["errors", "quality", None]
    made = service(None, Shared(blocked=lambda _: blocked.pop(0)))
    systems = {"old": answers("a"), "new": answers("b")}
    reasons = [made.call(systems).reason for _ in range(4)]
    assert reasons == ["breaker_open", "quality_breaker_open", "assigned", "assigned"]


def test_others_hear_of_a_breaker(service: Make) -> None:
    """The seam for sharing: flag, variant, kind and what changed."""
    heard: list[tuple[Any, ...]] = []
    made = service(
        Policy(errors=ErrorBreaker(failure_threshold=1)),
        Shared(changed=lambda flag, variant, kind, change: heard.append((flag, variant, kind, change.after))),
    )
    made.call({"old": answers("a"), "new": raises(ValueError())})
    assert heard == [("engine", "new", "errors", Circuit.OPEN)]


@BOTH
def test_money_is_set_aside_before_a_call_and_settled_after(service: Make, kind: str) -> None:
    """By the estimate; the actual cost is paid. Without enough left stable answers, for nothing."""
    wallet = Wallet()
    wallet.add("lease-1", 1_000_000, wallet._clock(), 60)
    made = service(Policy(estimate="0.60"), Shared(wallet=lambda flag, variant: wallet if variant == "new" else None))
    seen: list[int] = []

    def system() -> dict[str, float]:
        seen.append(wallet.left)
        return {"cost": 0.25}

    systems = {"old": answers({"cost": 9}), "new": system}
    assert [made.either(kind, systems).reason for _ in range(3)] == ["assigned", "assigned", "budget_exceeded"]
    assert seen == [400_000, 150_000]
    assert wallet.left == 500_000


@BOTH
def test_a_call_whose_cost_is_unknown_has_cost_the_estimate(service: Make, kind: str) -> None:
    """Because it failed, or says nothing of its cost, or nonsense."""
    wallet = Wallet()
    wallet.add("lease-1", 1_000_000, wallet._clock(), 60)
    made = service(Policy(estimate=0.1), Shared(wallet=lambda *_: wallet))
    for system in (raises(ValueError()), answers("b"), answers({"cost": -1})):
        made.either(kind, {"old": answers("a"), "new": system})
    assert wallet.left == 700_000


def test_no_money_is_taken_for_a_call_that_a_breaker_refuses(service: Make) -> None:
    """And a refused budget leaves no probe behind."""
    wallet = Wallet()
    wallet.add("lease-1", 100_000, wallet._clock(), 60)
    policy = Policy(estimate=0.06, errors=ErrorBreaker(failure_threshold=1), quality=QualityBreaker(threshold=0.5))
    made = service(policy, Shared(wallet=lambda *_: wallet))
    systems = {"old": answers("a"), "new": raises(ValueError())}
    assert [made.call(systems).reason for _ in range(3)] == ["error_fallback", "breaker_open", "breaker_open"]
    assert wallet.left == 40_000


@pytest.mark.parametrize("where", ["measure", "score"])
@pytest.mark.parametrize("asks", [True, False])
def test_stable_is_shadowed_in_a_shadow_stage(service: Make, where: str, asks: bool) -> None:
    """The same arguments go to the candidate; a slow score of stable's answer is made once, for both reports."""
    scored: list[str] = []

    def alone(answer: str) -> float:
        scored.append(answer)
        return len(answer)

    def score(answer: str, query: str) -> float:
        return alone(answer) * len(query)

    made = service(**{where: {"quality": score if asks else alone}}, compare="token_overlap")
    shadowed = assigned("old", "static", shadow="new", shadowSample=100_000, shadowSeed="s")
    systems = {"old": lambda query: "a " + query, "new": lambda query: "bb " + query}
    assert made.call(systems, shadowed, query="q").value == "a q"
    outcomes = {(o.variant, o.mode): o for o in made.sender.all(3)}
    assert {key: o.quality for key, o in outcomes.items()} == {
        ("old", "serve"): 3,
        ("old", "shadow"): 3,
        ("new", "shadow"): 4,
    }
    assert outcomes["new", "shadow"].values == {"agreement": 0.5}
    assert sorted(scored) == ["a q", "bb q"]


def test_a_shadow_that_cannot_be_asked_costs_no_answer(service: Make, caplog: pytest.LogCaptureFixture) -> None:
    """The flags may come from a newer controller."""
    made = service()
    odd = assigned("old", "static", shadow="new", shadowSample=100_000)
    assert made.call({"old": answers("a"), "new": answers("b")}, odd).reason == "assigned"
    assert "a shadow call could not be made" in caplog.text


@pytest.mark.parametrize(
    "policy",
    [
        {"timeout": "0s"},
        {"timeout": 3},
        {"errors": {"failure_threshold": 0}},
        {"quality": {"threshold": 0.5, "window": 10, "minimum": 11}},
        {"estimate": -1},
        {"retries": 3},
    ],
)
def test_a_policy_that_cannot_work_is_refused(policy: dict[str, Any]) -> None:
    """When it is made."""
    with pytest.raises(ValueError, match="validation error"):
        Policy(**policy)


def test_a_new_guard_begins_anew(service: Make) -> None:
    """The breaker of the former one is forgotten."""
    made = service(limited(1, failure_threshold=1))
    made.call({"old": answers("a"), "new": raises(ValueError())})
    assert made.guarding.circuits
    made.guarding.guard("engine", Guard())
    assert made.guarding.circuits == {}
