"""Guarded calls of a client that is connected to a controller, and of one whose controller is away."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.client.conftest import Connect
from tests.integration.client.controller import FLAG, Controller, eventually, flag, free_port, written
from tests.integration.client.test_client_processes import in_child, run
from tests.integration.client.test_client_shadow import shadowed
from turnout import ErrorBreaker, Policy, Turnout

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")


async def ask_perplexity(query: str) -> dict[str, Any]:
    """The stable system."""
    return {"text": f"perplexity on {query}", "quality": 0.7, "cost": 0.01}


async def ask_lightrag(query: str) -> dict[str, Any]:
    """The candidate."""
    return {"text": f"lightrag on {query}", "quality": 0.9, "cost": 0.002}


async def fail(query: str) -> dict[str, Any]:
    """A candidate that is down."""
    raise ConnectionError(query)


SYSTEMS = {"perplexity": ask_perplexity, "lightrag": ask_lightrag}


@pytest.fixture
def client(controller: Controller, connect: Connect) -> Turnout:
    """Of a flag that sends everybody to the candidate."""
    controller.document = written(flag(lightrag=100, generation=4))
    return connect(controller.url)


async def test_a_call_reaches_the_controller(controller: Controller, client: Turnout) -> None:
    """The answer, who gave it and why; its outcome with the numbers that it carries."""
    answer = await client.call(FLAG, "user-1", SYSTEMS, query="turnouts")
    assert (answer.value["text"], answer.served_by, answer.reason) == ("lightrag on turnouts", "lightrag", "assigned")
    await asyncio.to_thread(eventually, lambda: client.flush() and controller.stored)
    (outcome,) = controller.stored.values()
    assert (outcome["variant"], outcome["unit"], outcome["generation"]) == ("lightrag", "user-1", 4)
    assert (outcome["ok"], outcome["quality"], outcome["cost"]) == (True, 0.9, 0.002)
    assert outcome["latency_ms"] == answer.latency_ms


async def test_the_environment_goes_before_the_policy(
    controller: Controller, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the flag's prefix it sets when a breaker opens, whatever the program says."""
    monkeypatch.setenv("LIGHTRAG_CIRCUIT_BREAKER_FAILURE_THRESHOLD", "1")
    bound = flag(lightrag=100).definition.model_copy(update={"env_prefix": "LIGHTRAG_"})
    controller.document = written(flag(lightrag=100).model_copy(update={"definition": bound}))
    client = connect(controller.url)
    client.guard(FLAG, Policy(errors=ErrorBreaker(failure_threshold=50)))
    systems = {"perplexity": ask_perplexity, "lightrag": fail}
    reasons = [(await client.call(FLAG, "user-1", systems, query="x")).reason for _ in range(2)]
    assert reasons == ["error_fallback", "breaker_open"]


async def test_the_environment_goes_before_the_policy_when_flags_come_late(connect: Connect) -> None:
    """Which prefix is a flag's is known only once the flag is: calls before that are guarded as the program says."""
    port = free_port()
    late = Controller(port)
    bound = flag(lightrag=100).definition.model_copy(update={"env_prefix": "LIGHTRAG_"})
    late.document = written(flag(lightrag=100).model_copy(update={"definition": bound}))
    environ = {"LIGHTRAG_CIRCUIT_BREAKER_FAILURE_THRESHOLD": "1"}
    client = connect(f"http://127.0.0.1:{port}", wait=0.0, poll_every=0.1, environ=environ)
    systems = {"perplexity": ask_perplexity, "lightrag": fail}
    assert (await client.call(FLAG, "user-1", systems, query="x")).reason == "default"
    with late:
        assert await asyncio.to_thread(client.wait_ready, 20)
        reasons = [(await client.call(FLAG, "user-1", systems, query="x")).reason for _ in range(2)]
    assert reasons == ["error_fallback", "breaker_open"]


async def test_a_fallback_reaches_the_controller(controller: Controller, client: Turnout) -> None:
    """Both tries do, the second one as no part of any comparison; then the breaker opens, as the status says."""
    client.guard(FLAG, Policy(timeout="5s", errors=ErrorBreaker(failure_threshold=2)))
    systems = {"perplexity": ask_perplexity, "lightrag": fail}
    reasons = [(await client.call(FLAG, "user-1", systems, query="x")).reason for _ in range(3)]
    assert reasons == ["error_fallback", "error_fallback", "breaker_open"]
    await asyncio.to_thread(eventually, lambda: client.flush() and len(controller.stored) == 5)
    told = sorted((o["variant"], o["ok"], o["decided_by"]) for o in controller.stored.values())
    assert told == [("lightrag", False, "static")] * 2 + [
        ("perplexity", True, "fallback:breaker_open"),
        ("perplexity", True, "fallback:error_fallback"),
        ("perplexity", True, "fallback:error_fallback"),
    ]
    assert client.status.calls == {"error_fallback": 2, "breaker_open": 1}
    assert client.status.breakers == {f"errors {FLAG}/lightrag": "open"}


async def test_a_stop_reaches_calls(controller: Controller, client: Turnout) -> None:
    """Everybody has stable at once, and the reason says so."""
    stopped = flag(lightrag=100, generation=5).model_copy(update={"stopped": True})
    controller.publish(stopped, revision=2)
    await asyncio.to_thread(eventually, lambda: client.status.revision == 2)
    answer = await client.call(FLAG, "user-1", SYSTEMS, query="x")
    assert (answer.served_by, answer.reason) == ("perplexity", "stopped")


def test_attributes_decide(controller: Controller, connect: Connect) -> None:
    """What rules ask for is apart from the arguments of the systems."""
    published = flag(lightrag=0)
    rule = {"name": "beta", "if": {"===": [{"var": "plan"}, "beta"]}, "serve": "lightrag"}
    definition = type(published.definition).model_validate(
        published.definition.model_dump(exclude_none=True, exclude={"traffic"}) | {"rules": [rule]}
    )
    controller.document = written(published.model_copy(update={"definition": definition}))
    client: Turnout = connect(controller.url)
    systems = {"perplexity": lambda plan: "p" + plan, "lightrag": lambda plan: "l" + plan}
    assert client.call(FLAG, "u", systems, plan="x").value == "px"
    assert client.call(FLAG, "u", systems, attributes={"plan": "beta"}, plan="x").value == "lx"


async def test_a_shadow_stage_is_served(controller: Controller, connect: Connect) -> None:
    """The call asks the candidate in the background and reports both sides."""
    controller.document = written(shadowed())
    client: Turnout = connect(controller.url)
    client.guard(FLAG, compare=lambda one, other: one["text"].split()[1:] == other["text"].split()[1:])
    answer = await client.call(FLAG, "user-1", SYSTEMS, query="turnouts")
    assert (answer.served_by, answer.reason) == ("perplexity", "assigned")
    await asyncio.to_thread(eventually, lambda: client.flush() and len(controller.stored) == 3)
    sides = {(o["variant"], o.get("mode", "serve")): o for o in controller.stored.values()}
    assert {key: o["quality"] for key, o in sides.items()} == {
        ("perplexity", "serve"): 0.7,
        ("perplexity", "shadow"): 0.7,
        ("lightrag", "shadow"): 0.9,
    }
    assert sides["lightrag", "shadow"]["values"] == {"agreement": 1}


async def test_a_controller_that_is_down_at_start(connect: Connect) -> None:
    """Without flags the first system answers; once the controller comes up, the flag decides, and outcomes arrive."""
    port = free_port()
    client: Turnout = connect(f"http://127.0.0.1:{port}", wait=0.0, poll_every=0.1)
    answer = await client.call(FLAG, "user-1", SYSTEMS, query="x")
    assert (answer.served_by, answer.reason, answer.assignment.variant) == ("perplexity", "default", None)
    late = Controller(port)
    late.document = written(flag(lightrag=100))
    with late as controller:
        assert await asyncio.to_thread(client.wait_ready, 20)
        assert (await client.call(FLAG, "user-1", SYSTEMS, query="x")).served_by == "lightrag"
        await asyncio.to_thread(eventually, lambda: client.flush() and len(controller.stored) == 2)
        assert {o["decided_by"] for o in controller.stored.values()} == {"fallback:default", "static"}


def test_a_controller_that_goes_away_for_good(connect: Connect, tmp_path: Path) -> None:
    """Calls go on with the last flags, guarded as ever; outcomes are kept up to a bound. Also after a restart."""
    with Controller() as controller:
        controller.document = written(flag(lightrag=100))
        client: Turnout = connect(controller.url, queue_size=5)
        assert client.wait_ready(20)
    systems = {"perplexity": lambda: "p", "lightrag": lambda: "l"}
    for _ in range(20):
        assert client.call(FLAG, "user-1", systems).value == "l"
    failing = {"perplexity": lambda: "p", "lightrag": lambda: 1 / 0}
    assert [client.call(FLAG, "user-1", failing).reason for _ in range(6)][-2:] == ["error_fallback", "breaker_open"]
    assert client.status.drops["overflow"] > 0
    client.close(0)
    restarted: Turnout = connect(controller.url, wait=0.0)
    assert restarted.call(FLAG, "user-1", systems).value == "l"
    assert restarted.status.source == "disk"


def test_an_outcome_that_is_none_is_dropped_alone(controller: Controller, client: Turnout) -> None:
    """A unit that no outcome may have is found when it is to be sent; the call was answered, and the others arrive."""
    systems = {"perplexity": lambda: "p", "lightrag": lambda: "l"}
    for unit in ("user-1", "u" * 501, "user-\x00", "user-2"):
        assert client.call(FLAG, unit, systems).value == "l"
    eventually(lambda: client.flush() and len(controller.stored) == 2)
    assert {o["unit"] for o in controller.stored.values()} == {"user-1", "user-2"}
    assert client.status.drops == {"invalid": 2}


def test_a_child_that_was_forked_after_a_call(controller: Controller, client: Turnout) -> None:
    """It has threads, connections and breakers of its own, although its parent's hang."""
    release = threading.Event()
    client.guard(FLAG, Policy(timeout="0.2s", errors=ErrorBreaker(failure_threshold=1)))
    systems = {"perplexity": lambda: "p", "lightrag": lambda: release.wait(20)}
    assert client.call(FLAG, "parent", systems).reason == "timeout_fallback"

    def work() -> object:
        client.guard(FLAG)
        answer = client.call(FLAG, "child", {"perplexity": lambda: "p", "lightrag": lambda: "l"})
        client.close(20)
        return [answer.value, answer.reason, client.status.calls, client.status.sent]

    assert in_child(work) == ["l", "assigned", {"assigned": 1}, 1]
    assert client.status.breakers == {f"errors {FLAG}/lightrag": "open"}
    release.set()


PROGRAM = (
    "import sys, threading, turnout\n"
    "client = turnout.Turnout(sys.argv[1], cache_dir=None, wait=20)\n"
    "client.guard('answer-engine', turnout.Policy(timeout='0.2s'), score={'quality': lambda answer: {\n"
    "    'p': lambda: 0.5, 'l': threading.Event().wait}[answer]()})\n"
    "hangs = threading.Event().wait\n"
    "systems = {'perplexity': lambda: 'p', 'lightrag': lambda: sys.argv[2] == 'l' and 'l' or hangs()}\n"
    "print(client.call('answer-engine', 'user-1', systems).reason)\n"
)


@pytest.mark.parametrize("what", ["a system that hangs", "l"])
def test_a_program_ends_with_its_outcomes_delivered(controller: Controller, client: Turnout, what: str) -> None:
    """Whatever hangs: a system, or a scorer. What is queued or waits for a score is sent at exit."""
    client.close(0)
    began = time.monotonic()
    run(PROGRAM, controller.url, what)
    assert time.monotonic() - began < 60
    told = sorted((o["variant"], o["ok"], o.get("quality")) for o in controller.stored.values())
    assert told == (
        [("lightrag", True, None)] if what == "l" else [("lightrag", False, None), ("perplexity", True, 0.5)]
    )
