"""The client across forks, at exit, and next to an event loop."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.client.conftest import Connect
from tests.integration.client.controller import FLAG, Controller, eventually, failing, flag
from turnout import Turnout

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")


def in_child(work: Callable[[], object]) -> object:
    """What ``work`` returns in a forked child, which ends without any clean-up."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            os.write(writing, json.dumps(work()).encode())
        except BaseException:
            os.write(writing, json.dumps(traceback.format_exc()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        result: object = json.loads(pipe.read())
    os.waitpid(child, 0)
    return result


@pytest.fixture
def client(controller: Controller, connect: Connect) -> Turnout:
    """A connected client."""
    return connect(controller.url)


def test_a_child_resolves_and_follows(controller: Controller, client: Turnout) -> None:
    """A forked child answers as its parent does, starts no thread before it is asked, and then gets changes."""
    expected = client.resolve(FLAG, "user-1").variant
    child_has_resolved, reading = os.pipe()[::-1]

    def work() -> object:
        before = [thread.name for thread in threading.enumerate() if thread.name.startswith("turnout-")]
        first = client.resolve(FLAG, "user-1").variant
        ready = client.wait_ready(20)
        os.write(child_has_resolved, b"!")
        eventually(lambda: client.status.revision == 2)
        return [before, first, ready, client.resolve(FLAG, "user-1").variant, client.status.state]

    def publish() -> None:
        os.read(reading, 1)
        controller.publish(flag(lightrag=100), revision=2)

    publishing = threading.Thread(target=publish)
    publishing.start()
    assert in_child(work) == [[], expected, True, "lightrag", "ready"]
    publishing.join()
    eventually(lambda: client.status.revision == 2)
    assert client.status.state == "ready"


def test_a_fork_leaves_the_parents_stream_alone(controller: Controller, client: Turnout) -> None:
    """The parent goes on listening on the connection it has, and a child that does not ask opens none."""
    assert in_child(lambda: "done") == "done"
    controller.publish(flag(lightrag=100), revision=2)
    eventually(lambda: client.status.revision == 2)
    assert controller.requests["stream"] == 1


def test_a_child_leaves_the_queue_to_its_parent(controller: Controller, client: Turnout) -> None:
    """Outcomes queued before a fork are sent by the parent alone; those of the child by the child."""
    controller.intake.append(failing(503, {"Retry-After": "1"}))
    assignment = client.resolve(FLAG, "user-1")
    client.report(assignment, ok=True, id="of-parent")
    eventually(lambda: controller.arrivals)

    def work() -> object:
        queued = client.status.queued
        client.report(assignment, ok=True, id="of-child")
        flushed = client.flush(20)
        return [queued, flushed, client.status.sent]

    assert in_child(work) == [0, True, 1]
    assert client.flush(20)
    assert controller.stored.keys() == {"of-parent", "of-child"}
    assert controller.requests["stored twice"] == 0
    assert client.status.sent == 1


def test_a_child_forked_while_threads_are_busy(controller: Controller, client: Turnout) -> None:
    """Whatever the other threads hold at the moment of the fork, the child can resolve, report and close."""
    done = threading.Event()
    assignment = client.resolve(FLAG, "user-1")

    def busy() -> None:
        while not done.is_set():
            client.report(assignment, ok=True)
            client.resolve(FLAG, "user-1")

    workers = [threading.Thread(target=busy) for _ in range(4)]
    for worker in workers:
        worker.start()

    def work() -> object:
        reported = client.report(client.resolve(FLAG, "user-2"), ok=True)
        client.close()
        return [reported, client.status.sent, client.status.queued]

    try:
        results = [in_child(work) for _ in range(10)]
    finally:
        done.set()
        for worker in workers:
            worker.join()
    assert results == [[True, 1, 0]] * 10


def test_a_closed_client_stays_closed_in_a_child(client: Turnout) -> None:
    """A fork does not bring a closed client back to life; it still resolves."""
    client.close()

    def work() -> object:
        variant = client.resolve(FLAG, "user-1").variant
        reported = client.report(client.resolve(FLAG, "user-1"), ok=True)
        return [variant is not None, reported, threading.active_count()]

    assert in_child(work) == [True, False, 1]


def run(program: str, *arguments: str) -> str:
    """What a Python program writes, which must succeed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_outcomes_are_delivered_at_exit(controller: Controller) -> None:
    """A program that ends without closing its client still delivers what it reported."""
    run(
        "import sys, turnout\n"
        "client = turnout.Turnout(sys.argv[1], cache_dir=None, wait=20)\n"
        "client.report(client.resolve('answer-engine', 'user-1'), ok=True, id='last-words')\n",
        controller.url,
    )
    assert controller.stored.keys() == {"last-words"}


def test_importing_starts_nothing() -> None:
    """Importing the package starts no thread and loads no HTTP client before a name is used."""
    out = run(
        "import sys, threading, turnout, turnout.domain.flags\n"
        "print('httpx' in sys.modules, end=' ')\n"
        "turnout.Turnout\n"
        "print('httpx' in sys.modules, threading.active_count())\n"
    )
    assert out == "False True 1\n"


async def test_an_event_loop_is_never_blocked(client: Turnout) -> None:
    """Resolving and reporting work inside a running event loop, while its other tasks go on."""

    async def handle(user: str) -> str | None:
        assignment = client.resolve(FLAG, user)
        await asyncio.sleep(0)
        client.report(assignment, ok=True)
        return assignment.variant

    variants = await asyncio.gather(*(handle(f"user-{number}") for number in range(200)))
    assert set(variants) == {"perplexity", "lightrag"}
    assert await asyncio.to_thread(client.flush, 20)
    assert client.status.sent == 200
