"""The example's service, its simulated users, and what the demo concludes from them."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from examples.answers.queries import Query
from examples.answers.service import FLAG, AnswerService, in_common
from examples.answers.story import Served, Summary, Told
from examples.answers.traffic import Traffic, WitnessedTurnout, paths, strayed
from turnout.client import Assignment, Turnout
from turnout.client.disk import cache_file
from turnout.domain.flags import Traffic as Published
from turnout.domain.flags import parse_flags
from turnout.domain.rollout import Decision, State
from turnout.domain.snapshot import PublishedFlag, document
from turnout.strategies import compile_plan, parse_spec

NOBODY = "http://127.0.0.1:9"
EXAMPLE = Path(__file__).parents[3] / "examples" / "answers"
QUERY = Query("close the book", "shop.Book.close")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def read(name: str) -> Any:
    """One of the example's YAML files."""
    return yaml.safe_load((EXAMPLE / name).read_text(encoding="utf-8"))


class Reported(Turnout):
    """A client that keeps what is reported instead of sending it."""

    def __init__(self, **settings: Any) -> None:
        self.reported: list[tuple[Assignment | str, Mapping[str, Any]]] = []
        super().__init__(NOBODY, wait=0, **settings)

    def report(self, what: Assignment | str, /, **measured: Any) -> bool:
        """Keep it."""
        self.reported.append((what, measured))
        return True


@pytest.fixture(params=["keyword", "semantic", "semantic-degraded"])
def variant(request: pytest.FixtureRequest) -> str:
    """Every variant of the example's flag."""
    return str(request.param)


@pytest.fixture
def turnout(tmp_path: Path, variant: str) -> Iterator[Reported]:
    """A client whose flags are the example's, everybody being given ``variant``."""
    (flag,) = parse_flags(read("flags.yaml"))
    published = PublishedFlag(definition=flag, traffic=Published(stable=variant, weights={variant: 100_000}))
    file = cache_file(tmp_path, NOBODY)
    file.write_text(json.dumps(document([published], 7, "store")), encoding="utf-8")
    with Reported(cache_dir=tmp_path) as client:
        yield client


def systems(answer: list[str]) -> dict[str, Any]:
    """Systems that all answer with their own name first."""
    return {name: lambda _, name=name: [name, *answer] for name in ("keyword", "semantic", "semantic-degraded")}


def test_the_flag_names_the_system(turnout: Reported, variant: str) -> None:
    """The service asks the system that the user's variant names, for every variant of the example's flag."""
    assert AnswerService(turnout, systems([])).ask("ada", QUERY) == [variant]


def test_a_good_answer_is_reported(turnout: Reported, variant: str) -> None:
    """An answer that holds the right document counts as a success worth its reciprocal rank."""
    AnswerService(turnout, systems(["other", QUERY.relevant])).ask("ada", QUERY)
    ((assignment, measured),) = turnout.reported
    assert isinstance(assignment, Assignment)
    assert (assignment.flag, assignment.unit, assignment.variant) == (FLAG, "ada", variant)
    assert (measured["ok"], measured["quality"]) == (True, pytest.approx(1 / 3))
    assert measured["latency_ms"] >= 0


def test_a_bad_answer_is_reported(turnout: Reported) -> None:
    """An answer without the right document counts as a failure worth nothing."""
    AnswerService(turnout, systems(["other"])).ask("ada", QUERY)
    ((_, measured),) = turnout.reported
    assert (measured["ok"], measured["quality"]) == (False, 0)


def test_a_crash_is_reported_and_raised(turnout: Reported, variant: str) -> None:
    """A system that fails is evidence too, and the caller hears of it."""

    def crash(_: str) -> list[str]:
        raise OSError("the index is gone")

    with pytest.raises(OSError, match="the index is gone"):
        AnswerService(turnout, {variant: crash}).ask("ada", QUERY)
    ((_, measured),) = turnout.reported
    assert (measured["ok"], measured["quality"]) == (False, 0)


def test_without_flags_the_trusted_system_answers() -> None:
    """Before any flag has arrived users get the trusted system."""
    with Reported(cache_dir=None) as turnout:
        assert AnswerService(turnout, systems([])).ask("ada", QUERY) == ["keyword"]


def test_both_rollouts_have_the_same_policies() -> None:
    """The broken build is judged by the very rules that let the good one through."""
    good, bad = (parse_spec(read(name)) for name in ("rollout.yaml", "rollout-degraded.yaml"))
    assert bad == good.model_copy(update={"candidate": "semantic-degraded"})
    assert {good.flag} == set(read("flags.yaml")["flags"])


@pytest.fixture
def shadowing(tmp_path: Path) -> Iterator[Reported]:
    """A client whose flags are the example's, as the example's shadow publishes them."""
    (flag,) = parse_flags(read("flags.yaml"))
    (stage,) = compile_plan(parse_spec(read("shadow.yaml")), flag.stable).stages
    traffic = Published(stable=flag.stable, weights=stage.weights, shadow=stage.shadow)
    published = PublishedFlag(definition=flag, traffic=traffic)
    file = cache_file(tmp_path, NOBODY)
    file.write_text(json.dumps(document([published], 7, "store")), encoding="utf-8")
    with Reported(cache_dir=tmp_path) as client:
        yield client


def test_the_candidate_answers_in_shadow(shadowing: Reported) -> None:
    """Users get the trusted system's answers, and half of them are asked of the candidate too."""
    asked: list[str] = []
    candidate = threading.Event()

    def semantic(text: str) -> list[str]:
        asked.append(text)
        candidate.set()
        return [QUERY.relevant]

    service = AnswerService(shadowing, {"keyword": lambda _: ["other"], "semantic": semantic})
    assert {tuple(service.ask(f"user-{number}", QUERY)) for number in range(20)} == {("other",)}
    assert candidate.wait(20)
    shadowing.close()
    assert 0 < len(asked) < 20
    assert shadowing.status.shadows == {"started": len(asked)}
    assert shadowing.status.queued == 0


def test_what_two_answers_have_in_common() -> None:
    """The share of all documents of both that both have, whatever their order."""
    assert in_common(["a", "b", "c"], ["c", "b", "d"]) == 0.5
    assert in_common([], []) == 1
    assert in_common(["a"], []) == 0


def test_every_user_asks_in_turn_and_alone() -> None:
    """Users are asked for one after the other, none at the same time twice, until the traffic stops."""
    users = [f"user-{number}" for number in range(10)]
    asked: Counter[str] = Counter()
    busy: set[str] = set()
    often = threading.Event()

    def ask(user: str, query: Query) -> None:
        assert query is QUERY
        assert user not in busy
        busy.add(user)
        asked[user] += 1
        busy.remove(user)
        if len(asked) == len(users) and min(asked.values()) >= 3:
            often.set()

    with Traffic(ask, users, [QUERY], rate=1000) as traffic:
        assert often.wait(60)
    assert traffic.error is None
    for thread in range(4):
        counts = [asked[user] for user in users[thread::4]]
        assert max(counts) - min(counts) <= 1


def test_a_failing_service_stops_the_traffic() -> None:
    """The first error of an answer is kept and ends all asking."""
    failed = threading.Event()

    def ask(user: str, query: Query) -> None:
        failed.set()
        raise OSError(f"no answer for {user}")

    with Traffic(ask, ["ada"], [QUERY], rate=1000) as traffic:
        assert failed.wait(60)
    assert isinstance(traffic.error, OSError)


def test_what_users_were_served_is_noted_in_order() -> None:
    """Stays at a variant are noted once, with the last answer's time; the caller's default counts as served."""
    with WitnessedTurnout(NOBODY, wait=0, cache_dir=None) as turnout:
        for variant in ("keyword", "keyword", "semantic", None):
            turnout.report(Assignment(FLAG, variant, "keyword", "STATIC", "ada", 1, None), ok=True)
        assert paths(turnout.stays) == {("keyword", "semantic", "keyword"): 1}
        last = turnout.last_served("semantic")
        assert last is not None
        assert turnout.stays["ada"][0].until <= last <= turnout.stays["ada"][2].since
        assert turnout.last_served("semantic-degraded") is None


@pytest.mark.parametrize(
    ("path", "astray"),
    [("ab", False), ("abcb", False), ("ac", False), ("b", False), ("aba", True), ("ba", True), ("abcbc", True)],
)
def test_only_explained_changes_are_no_strays(path: str, astray: bool) -> None:
    """A user may miss a change that was made for everybody, but sees no other one."""
    assert strayed(path, "abcb") is astray


def decided(kind: Any, seconds: float, share: float = 0.0) -> Decision:
    """A decision some seconds after noon."""
    at = NOON + timedelta(seconds=seconds)
    state = State.RUNNING
    return Decision(
        rollout_id="r", flag=FLAG, seq=1, kind=kind, at=at, state=state, stage=0, share=share, text=f"{kind} it is"
    )


@pytest.fixture
def summary() -> Summary:
    """A demo that went as it should."""
    good = [decided("started", 0, 0.2), decided("advanced", 6, 0.5), decided("advanced", 12, 1.0)]
    return Summary(
        Told(State.COMPLETED, [*good, decided("adopted", 18, 1.0), decided("ended", 19, 1.0)]),
        Told(State.ROLLED_BACK, [decided("started", 20, 0.2), decided("withdrawn", 23), decided("ended", 24)]),
        Served(1234, 0, Counter({("keyword", "semantic"): 5}), NOON + timedelta(seconds=23.25)),
        30.0,
    )


def test_times_are_taken_from_the_decisions(summary: Summary) -> None:
    """The measured times run from the start of a rollout to the decision that made the difference."""
    assert summary.times == {
        "start_to_everybody": 12,
        "start_to_completed": 19,
        "bad_start_to_decision": 3,
        "decision_to_last_bad_answer": 0.25,
    }
    assert list(summary.failures()) == []
    assert summary.data()["ok"] is True
    assert any("1,234  outcomes reported, none was lost" in line for line in summary.lines())


def test_an_end_that_was_not_expected_is_a_failure(summary: Summary) -> None:
    """A good rollout that does not complete, and a bad one that does, fail the demo with what they decided last."""
    swapped = replace(summary, good=summary.bad, bad=summary.good)
    good, bad = swapped.failures()
    assert good == "the rollout to semantic was to complete, but it is rolled back: ended it is"
    assert bad == "the rollout to semantic-degraded was to be rolled back, but it is completed: ended it is"
    assert list(swapped.lines())


def test_a_rollout_that_never_began_is_a_failure(summary: Summary) -> None:
    """Nothing measured is no success, and the summary can still be told."""
    empty = replace(summary, good=Told(State.FAILED, []))
    assert "it is failed: it decided nothing" in next(empty.failures())
    assert any(line.startswith("       –") for line in empty.lines())


def test_users_moved_to_and_fro_are_a_failure(summary: Summary) -> None:
    """A user who went back to the old system in the middle fails the demo."""
    served = replace(summary.served, paths=Counter({("keyword", "semantic", "keyword"): 2}))
    assert list(replace(summary, served=served).failures()) == ["2 users were moved to and fro"]
