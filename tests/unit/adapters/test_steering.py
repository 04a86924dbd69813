"""Steering routers: writing until it holds, looking after them, and what a gate sees of that."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.adapters.test_source_panel import NOW, request
from turnout.adapters.sources.health import HealthSource
from turnout.adapters.sources.panel import Panel
from turnout.adapters.sources.router import RouterObedience
from turnout.adapters.steering import Steering
from turnout.analysis.checks import remembered
from turnout.domain.errors import InvalidInput, StaleGeneration, Unavailable
from turnout.domain.health import Probed
from turnout.domain.plan import Gate, HttpSource, RouterSource
from turnout.domain.rollout import Observation
from turnout.domain.routing import Haproxy, Resolver
from turnout.domain.splits import RouterSplit, RouterState, drifts
from turnout.domain.verdicts import Check, Verdict
from turnout.domain.vigil import advance, conclude, resumed
from turnout.testing.routers import MemoryRouter, ScriptedProber

CONFIG = Haproxy.model_validate(
    {"kind": "haproxy", "socket": "/run/haproxy.sock", "backend": "app", "servers": {"old": "o", "new": "n"}}
)
SIGNAL = Gate(metric="router", source=RouterSource(kind="router", router=CONFIG), min=1, consecutive=1, on_fail="hold")
HEALTH = Gate(metric="health", source=HttpSource(kind="http", url="http://127.0.0.1:9/healthz"), min=1)
ALARM = HEALTH.model_copy(update={"on_fail": "rollback"})
BAD = Probed(ok=False, reason="status 503, expected 200")


def split(generation: int = 7, new: int = 5_000) -> RouterSplit:
    return RouterSplit(rollout_id="r1", generation=generation, weights={"new": new, "old": 100_000 - new})


class Contested(MemoryRouter):
    """Somebody else writes into this router right after each of the first ``writes`` changes."""

    def __init__(self, writes: int) -> None:
        super().__init__(["old", "new"])
        self.writes = writes

    async def apply(self, split: RouterSplit) -> RouterState:
        state = await super().apply(split)
        if self.writes:
            self.writes -= 1
            self.state = self.state.model_copy(update={"shares": {"old": 0, "new": 100_000}})
            state = self.state.model_copy(update={"drift": drifts(self.planned(split), self.state)})
        return state


@pytest.fixture
def router() -> MemoryRouter:
    return MemoryRouter(["old", "new"])


@pytest.fixture
def steering(router: MemoryRouter) -> Steering:
    return Steering(lambda _: router)


async def looked(steering: Steering) -> Check:
    """What the signal of a stage at 5 % finds, under generation 7 of r1."""
    (check,) = await Panel({"router": RouterObedience(steering)}).ask(request((), (SIGNAL,)), NOW, {})
    return check


async def test_what_is_written_over_is_written_again() -> None:
    """A change that another one replaced in the same instant holds in the end."""
    contested = Contested(writes=1)
    assert (await Steering(lambda _: contested).apply(CONFIG, split())).drift == ()
    assert len(contested.applied) == 2


async def test_who_always_writes_over_it_is_told() -> None:
    """After a few attempts the difference is part of the answer."""
    state = await Steering(lambda _: Contested(writes=9)).apply(CONFIG, split())
    assert [drift.subject for drift in state.drift] == ["new", "old"]


async def test_an_obedient_router(steering: Steering) -> None:
    """Nothing is written, and the signal is well."""
    await steering.apply(CONFIG, split())
    check = await looked(steering)
    assert (check.verdict, check.text, check.role) == (Verdict.PASS, "the router does as planned", "signal")


async def test_a_drift_is_told_and_set_right(steering: Steering, router: MemoryRouter) -> None:
    """The stage waits for one check, with what was found; at the next one all is in order."""
    await steering.apply(CONFIG, split())
    router.state = router.state.model_copy(update={"shares": {"old": 40_000, "new": 60_000}})
    check = await looked(steering)
    assert check.verdict is Verdict.FAIL
    assert "share of new: expected 5 %, found 60 %; share of old: expected 95 %, found 40 %; set right" in check.text
    assert router.state.shares == {"new": 5_000, "old": 95_000}
    assert (await looked(steering)).verdict is Verdict.PASS


async def test_a_router_that_started_anew_has_drifted(steering: Steering, router: MemoryRouter) -> None:
    """It forgot what it was told, so it may have done anything."""
    check = await looked(steering)
    assert (check.verdict, router.state.generation) == (Verdict.FAIL, 7)
    assert "generation: expected 7 of rollout r1, found none" in check.text


async def test_a_change_that_comes_late_is_no_drift(steering: Steering, router: MemoryRouter) -> None:
    """A router that was away when the stage began follows the one before; it is given its split now."""
    await steering.apply(CONFIG, split(generation=6, new=1_000))
    check = await looked(steering)
    assert (check.verdict, router.state.generation) == (Verdict.PASS, 7)
    assert "it has been given the stage's traffic only now" in check.text


async def test_a_server_out_of_service_keeps_the_stage_waiting(steering: Steering, router: MemoryRouter) -> None:
    """Who took it out has to put it back."""
    await steering.apply(CONFIG, split())
    router.state = router.state.model_copy(update={"conditions": {"new": "maintenance"}})
    for _ in range(2):
        check = await looked(steering)
        assert (check.verdict, len(router.applied)) == (Verdict.FAIL, 1)
        assert "condition of new: expected up, found maintenance" in check.text


async def test_a_router_that_is_away_is_a_source_that_is(steering: Steering, router: MemoryRouter) -> None:
    """It says nothing about the candidate."""
    router.failure = Unavailable("no answer at /run/haproxy.sock")
    check = await looked(steering)
    assert (check.verdict, check.text) == (
        Verdict.SOURCE_ERROR,
        "router could not be read: no answer at /run/haproxy.sock",
    )


async def test_a_watch_that_was_left_does_not_undo_the_next_stage(steering: Steering, router: MemoryRouter) -> None:
    """The fence holds against a watch that has not noticed yet that its stage is over."""
    await steering.apply(CONFIG, split(generation=8, new=0))
    assert (await looked(steering)).verdict is Verdict.SOURCE_ERROR
    assert router.state.shares == {"new": 0, "old": 100_000}


async def test_of_two_at_once_the_newer_one_stays(steering: Steering, router: MemoryRouter) -> None:
    """Writers in one process take turns, so that the fence always stops the older one."""
    older, newer = await asyncio.gather(
        steering.apply(CONFIG, split(8)), steering.apply(CONFIG, split(7)), return_exceptions=True
    )
    assert not isinstance(older, BaseException)
    assert isinstance(newer, StaleGeneration)


async def test_there_is_nothing_to_steer() -> None:
    """A rollout without a router never asks for one."""
    with pytest.raises(InvalidInput, match="moves no requests"):
        await Steering(lambda _: None).apply(Resolver(kind="resolver"), split())


async def watched(answers: list[Probed]) -> tuple[list[Check], Observation | None, ScriptedProber]:
    """The gate's check at each of so many looks at green, what they came to, and who was asked."""
    prober = ScriptedProber(answers)
    panel = Panel({"http": HealthSource(prober)})
    wanted = request((HEALTH,), (ALARM,))
    wanted = wanted.model_copy(update={"stage": wanted.stage.model_copy(update={"hold": 2 * wanted.stage.check_every})})
    progress, memory, gates = resumed(wanted, None, NOW), dict[str, Check](), list[Check]()
    for look in range(len(answers)):
        at = NOW + look * wanted.stage.check_every
        checks = await panel.ask(wanted, at, memory)
        memory, progress = remembered(checks), advance(wanted, progress, checks, at)
        gates.append(checks[0])
        found = conclude(wanted, progress, checks)
        if found is not None:
            return gates, found, prober
    return gates, None, prober


async def test_healthy_is_so_many_good_answers_in_a_row() -> None:
    """Not one less; the gate and the guardrail share each answer."""
    gates, found, prober = await watched([Probed(ok=True)] * 3)
    assert [check.verdict for check in gates] == [Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE, Verdict.PASS]
    assert gates[1].text == "health is 1, at least 1; 2 of the 3 good answers in a row that make it pass"
    assert found is not None
    assert (found.kind, found.verdict, len(prober.asked)) == ("judged", Verdict.PASS, 3)


async def test_an_unhealthy_green_is_refused_with_the_reason() -> None:
    """At once, when so many bad answers came in a row."""
    _, found, _ = await watched([BAD] * 3)
    assert found is not None
    assert (found.kind, found.recourse) == ("guardrail", "rollback")
    assert found.text.startswith(
        "guardrail failed: health is 0, below 1 (status 503, expected 200), 3 readings in a row"
    )


async def test_a_bad_answer_in_between_begins_the_row_anew() -> None:
    """At the end of the hold green is not proven healthy, so the stage waits."""
    gates, found, _ = await watched([Probed(ok=True), BAD, Probed(ok=True)])
    assert [check.met for check in gates] == [1, 0, 1]
    assert found is not None
    assert (found.kind, found.verdict) == ("blocked", Verdict.INCONCLUSIVE)
