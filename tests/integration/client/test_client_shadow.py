"""Shadow calls of a client that is connected to a controller: end to end, at exit, and after a fork."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.integration.client.conftest import Connect
from tests.integration.client.controller import FLAG, Controller, eventually, flag, written
from tests.integration.client.test_client_processes import in_child, run
from turnout import Served, Turnout
from turnout.domain.flags import Shadow, Traffic
from turnout.domain.snapshot import PublishedFlag

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")


def shadowed(sample: int = 100_000) -> PublishedFlag:
    """A flag in shadow: everybody has perplexity, lightrag answers beside it."""
    published = flag()
    shadow = Shadow(variant="lightrag", sample=sample, comparator="token_overlap")
    traffic = Traffic(stable="perplexity", weights={"perplexity": 100_000}, shadow=shadow, generation=6)
    return published.model_copy(update={"traffic": traffic})


@pytest.fixture
def client(controller: Controller, connect: Connect) -> Turnout:
    """A client of a controller with a flag in shadow."""
    controller.document = written(shadowed())
    client: Turnout = connect(controller.url)
    return client


def test_both_sides_reach_the_controller(controller: Controller, client: Turnout) -> None:
    """Beside the outcome that was served: one of mode shadow for either side, compared as the rollout says."""
    assignment = client.resolve(FLAG, "user-1")
    client.report(assignment, ok=True, latency_ms=5)
    assert client.shadow(assignment, {"lightrag": lambda: "a b d"}, Served("a b c", latency_ms=5))
    eventually(lambda: client.flush() and len(controller.stored) == 3)
    sides = {(o["variant"], o.get("mode", "serve")): o for o in controller.stored.values()}
    assert sides.keys() == {("perplexity", "serve"), ("perplexity", "shadow"), ("lightrag", "shadow")}
    assert {(o["unit"], o["generation"], o["decided_by"]) for o in sides.values()} == {("user-1", 6, "static")}
    assert sides["lightrag", "shadow"]["values"] == {"agreement": pytest.approx(2 / 3)}
    assert client.status.shadows == {"started": 1}


async def test_coroutines_do_too(controller: Controller, client: Turnout) -> None:
    """On the loop of the caller."""

    async def answer() -> str:
        await asyncio.sleep(0.01)
        return "a b c"

    assignment = client.resolve(FLAG, "user-1")
    assert client.shadow_async(assignment, {"lightrag": answer}, Served("a b c"))
    await asyncio.to_thread(eventually, lambda: client.flush() and len(controller.stored) == 2)
    (candidate,) = [o for o in controller.stored.values() if o["variant"] == "lightrag"]
    assert (candidate["ok"], candidate["values"]) == (True, {"agreement": 1})


def test_nothing_is_asked_without_a_shadow(controller: Controller, connect: Connect) -> None:
    """A flag that no rollout has in shadow, an unknown flag, and what is no assignment at all: nothing, quietly."""
    client = connect(controller.url)
    for assignment in (client.resolve(FLAG, "user-1"), client.resolve("no-such", "user-1"), None):
        assert not client.shadow(assignment, {"lightrag": lambda: 1 / 0}, Served("a"))
        assert not client.shadow_async(assignment, {"lightrag": lambda: 1 / 0}, Served("a"))
    assert client.status.shadows == {}


def test_a_coroutine_needs_a_running_loop(client: Turnout, caplog: pytest.LogCaptureFixture) -> None:
    """Without one the request goes on all the same, and the log tells."""
    assert not client.shadow_async(client.resolve(FLAG, "user-1"), {"lightrag": asyncio.Event().wait}, Served("a"))
    assert "no running event loop" in caplog.text


def test_the_end_of_a_shadow_reaches_the_client(controller: Controller, client: Turnout) -> None:
    """Once it is published, no further request is asked of the candidate."""
    controller.publish(flag(lightrag=0), revision=2)
    eventually(lambda: client.status.revision == 2)
    assert not client.shadow(client.resolve(FLAG, "user-1"), {"lightrag": lambda: "b"}, Served("a"))


def test_a_child_shadows_although_its_parents_candidates_hang(controller: Controller, client: Turnout) -> None:
    """The places of the parent are not those of the child."""
    release = threading.Event()
    for number in range(40):
        client.shadow(client.resolve(FLAG, f"user-{number}"), {"lightrag": lambda: release.wait(20)}, Served("a"))
    assert client.status.shadows["shed"] == 16

    def work() -> object:
        taken = client.shadow(client.resolve(FLAG, "child"), {"lightrag": lambda: "a"}, Served("a"))
        client.close()
        return [taken, client.status.shadows, client.status.sent]

    assert in_child(work) == [True, {"started": 1}, 2]
    release.set()


PROGRAM = (
    "import sys, threading, turnout\n"
    "client = turnout.Turnout(sys.argv[1], cache_dir=None, wait=20)\n"
    "assignment = client.resolve('answer-engine', 'user-1')\n"
    "client.shadow(assignment, {'lightrag': lambda: 'b'}, turnout.Served('a'))\n"
    "for _ in range(int(sys.argv[2])):\n"
    "    client.shadow(assignment, {'lightrag': threading.Event().wait}, turnout.Served('a'))\n"
)


@pytest.mark.parametrize("hanging", [0, 30])
def test_a_program_ends_whatever_its_candidates_do(controller: Controller, hanging: int) -> None:
    """Its last shadow calls are reported, and those that hang hold it up for a second at most."""
    controller.document = written(shadowed())
    run(PROGRAM, controller.url, str(hanging))
    assert {o["variant"] for o in controller.stored.values()} == {"perplexity", "lightrag"}
    assert len(controller.stored) == 2
