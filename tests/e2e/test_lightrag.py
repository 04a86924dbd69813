"""The clinical example through the whole stack: every pattern from start to end with people who ask, and breakers."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from examples.lightrag.migration import Migration
from examples.lightrag.patterns import flags_of
from examples.lightrag.people import People, about
from examples.lightrag.running import Service
from examples.lightrag.settings import Pattern
from tests.e2e.stack import FLAG, PATIENCE, Stack, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ENVIRON = {
    "LIGHTRAG_CIRCUIT_BREAKER_FAILURE_THRESHOLD": "3",
    "LIGHTRAG_CIRCUIT_BREAKER_TIMEOUT_SECONDS": "2",
    "CLINIC_TIMEOUT": "PT2S",
}


@dataclass
class Clinic:
    """The running service, and what moves its people."""

    stack: Stack
    service: str
    migration: Migration

    def start(self, pattern: Pattern, *, quick: bool = True) -> None:
        """Begin ``pattern`` anew, with Perplexity for everybody."""
        self.migration.publish(pattern)
        self.migration.start(pattern, self.service, quick=quick)

    def ask(self, number: int) -> dict[str, Any]:
        """What a person is answered."""
        asked = {"person": f"person-{number}", "question": "what raises lactate in sepsis", "attributes": about(number)}
        answer = httpx.post(f"{self.service}/ask", json=asked, timeout=30, trust_env=False)
        return dict(answer.raise_for_status().json())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[Clinic]:
    """One stack and one service for all tests of this file."""
    stack = Stack.up(tmp_path_factory.mktemp("clinic") / "data")
    environ = ENVIRON | {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}
    try:
        with Service(stack.url, environ) as service, stack.http() as http:
            yield Clinic(stack, service.url, Migration(http))
    finally:
        stack.down()


@pytest.fixture
def clinic(running: Clinic) -> Generator[Clinic]:
    """Nothing is left of it when the test is over."""
    yield running
    with running.stack.http() as http:
        http.post(f"/v1/rollouts/{FLAG}/abort", json={"reason": "the test is over"})
        http.post(f"/v1/breakers/{FLAG}/lightrag/close", json={"reason": "the test is over"})
    running.migration.forget()


def ended(clinic: Clinic, pattern: Pattern) -> tuple[dict[str, Any], People]:
    """The report on ``pattern`` when its rollout has ended, and what people were answered meanwhile."""
    clinic.start(pattern)
    with People(clinic.service) as people:
        clinic.migration.end(3 * PATIENCE)
    assert people.failed == 0
    return clinic.migration.report(), people


def moves(report: dict[str, Any]) -> list[str]:
    """What was decided, in order, waiting left out."""
    return [change["kind"] for change in report["changes"] if change["kind"] not in ("held", "recovered")]


def test_shadow(clinic: Clinic) -> None:
    """LightRAG answers beside Perplexity, and nobody is served by it."""
    report, people = ended(clinic, "shadow")
    assert (report["state"], moves(report)) == ("completed", ["started", "returned", "ended"])
    assert set(people.replies) == {("perplexity", "assigned")}
    status = httpx.get(f"{clinic.service}/status", trust_env=False).json()
    assert status["shadows"]["started"] >= 20


def test_canary(clinic: Clinic) -> None:
    """A tenth, half, and then everybody, for good."""
    report, _ = ended(clinic, "canary")
    assert (report["state"], moves(report)) == ("completed", ["started", "advanced", "advanced", "adopted", "ended"])
    assert {clinic.ask(number)["served_by"] for number in range(20)} == {"lightrag"}


def test_gradual(clinic: Clinic) -> None:
    """Five steps, each on evidence."""
    report, people = ended(clinic, "gradual")
    assert (report["state"], moves(report).count("advanced")) == ("completed", 4)
    assert people.replies["lightrag", "assigned"] > 40


def test_cohort(clinic: Clinic) -> None:
    """Staff, partners and licensed clinics, and none of the others."""
    report, people = ended(clinic, "cohort")
    assert (report["state"], moves(report).count("advanced")) == ("completed", 2)
    allowed = [about(number) for number in people.served["lightrag"]]
    assert {one["plan"] for one in allowed if one["role"] != "staff"} == {"partner", "licence"}
    assert clinic.ask(20)["served_by"] == "lightrag", about(20)
    assert clinic.ask(21)["served_by"] == "perplexity", about(21)


def test_geographic(clinic: Clinic) -> None:
    """German-speaking countries, then North America without California."""
    report, people = ended(clinic, "geographic")
    assert (report["state"], moves(report).count("advanced")) == ("completed", 1)
    places = {(about(n)["country"], about(n).get("region")) for n in people.served["lightrag"]}
    assert places == {("DE", None), ("AT", None), ("US", "US-NY")}


def test_blue_green(clinic: Clinic) -> None:
    """LightRAG's health is asked all along; people move in four steps once staff have seen it."""
    report, people = ended(clinic, "blue_green")
    assert report["state"] == "completed"
    assert moves(report)[-1] == "ended"
    assert people.replies["lightrag", "assigned"] > 20
    assert clinic.ask(1)["served_by"] == "lightrag"


def test_blue_green_does_not_begin_with_an_unhealthy_system(clinic: Clinic) -> None:
    """A drill makes LightRAG's health bad: everybody stays with Perplexity, and nobody has met LightRAG."""
    clinic.migration.publish("blue_green")
    clinic.migration.drill("errors")
    health = f"{clinic.service}/lightrag/healthz"
    eventually(lambda: httpx.get(health, trust_env=False).status_code, lambda status: status == 503)
    clinic.migration.start("blue_green", clinic.service, quick=True)
    assert clinic.migration.end(PATIENCE)["state"] == "rolled_back"
    assert [change["share"] for change in clinic.migration.report()["changes"]] == [0, 0, 0]


def test_toggles(clinic: Clinic) -> None:
    """Staff by a rule and some of the others; what depends on LightRAG follows; the stop takes it from everybody."""
    clinic.migration.publish("toggles")
    eventually(lambda: clinic.ask(0)["served_by"], lambda served: served == "lightrag")
    answers = [clinic.ask(number) for number in range(60)]
    served = [answer["served_by"] for answer in answers]
    assert {served[number] for number in range(0, 60, 10)} == {"lightrag"}
    assert 0 < served.count("lightrag") < 40
    assert {bool(answer["sources"]) for answer in answers if answer["served_by"] == "lightrag"} == {True}
    assert {bool(answer["sources"]) for answer in answers if answer["served_by"] == "perplexity"} == {False}
    assert [clinic.ask(number)["notice"][:6] for number in (0, 120)] == ["Ersetz", "Not a "]
    clinic.stack.turnout("flags", "stop", FLAG, "--reason", "wrong doses")
    eventually(lambda: clinic.ask(0), lambda answer: answer["reason"] == "stopped")
    assert {clinic.ask(number)["served_by"] for number in range(30)} == {"perplexity"}


@pytest.mark.parametrize("pattern", ["ab_test", "multivariate"])
def test_trials(clinic: Clinic, pattern: Pattern) -> None:
    """LightRAG costs less at no worse quality, which the test finds out; afterwards everybody has Perplexity again."""
    report, people = ended(clinic, pattern)
    found = report["experiment"]["recommendation"]
    assert (report["state"], found["action"], found["winner"]) == ("completed", "deploy", "lightrag")
    arms = {"perplexity", "lightrag", "lightrag-mix"} if pattern == "multivariate" else {"perplexity", "lightrag"}
    assert people.served.keys() == arms
    eventually(lambda: {clinic.ask(number)["served_by"] for number in range(30)}, lambda by: by == {"perplexity"})


@contextmanager
def drilled(clinic: Clinic, fault: str, pattern: Pattern) -> Generator[People]:
    """People who ask while LightRAG, which some of them had, has ``fault``; all of them are answered."""
    clinic.start(pattern, quick=False)
    with People(clinic.service) as people:
        eventually(lambda: people.replies["lightrag", "assigned"], lambda count: count > 20)
        clinic.migration.drill(fault)
        yield people
    assert people.failed == 0


@pytest.mark.parametrize("fault", ["errors", "hang", "garbage"])
def test_the_error_breaker(clinic: Clinic, fault: str) -> None:
    """A system that raises, hangs or says nothing costs nobody an answer; its breaker opens, its rollout goes back."""
    with drilled(clinic, fault, "canary") as people:
        assert clinic.migration.end(3 * PATIENCE)["state"] == "rolled_back"
    assert people.replies["perplexity", "timeout_fallback" if fault == "hang" else "error_fallback"] >= 3
    (withdrawn,) = [change for change in clinic.migration.report()["changes"] if change["kind"] == "withdrawn"]
    assert "3 failures in a row" in withdrawn["text"]


def test_the_budget_breaker(clinic: Clinic) -> None:
    """What LightRAG may cost a day, less than before, is spent, so Perplexity answers; people were warned."""
    with drilled(clinic, "costly", "gradual") as people, clinic.stack.http() as http:
        answering = flags_of("gradual")["flags"][FLAG]
        budgets = {"lightrag": answering["budgets"]["lightrag"] | {"daily": 5}}
        http.post("/v1/flags", json={"flags": {FLAG: answering | {"budgets": budgets}}}).raise_for_status()
        eventually(lambda: people.replies["perplexity", "budget_exceeded"], lambda count: count > 20)
        eventually(
            lambda: http.get("/v1/budgets").json()["budgets"],
            lambda found: (
                [(one["variant"], one["alerted"], one["exhausted"]) for one in found] == [("lightrag", True, True)]
            ),
        )


def test_the_quality_breaker(clinic: Clinic) -> None:
    """Answers beside the subject open it although nothing fails; the rollout waits for a person."""
    with drilled(clinic, "poor", "gradual") as people:
        assert clinic.migration.end(3 * PATIENCE)["state"] == "paused"
    assert people.replies["perplexity", "error_fallback"] == 0
    assert "the mean of the last" in clinic.migration.report()["changes"][-1]["text"]
