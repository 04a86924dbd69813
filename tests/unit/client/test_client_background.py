"""Calls beside a request: bounded, in time, and harmless whatever they do."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
from collections.abc import Iterator

import pytest

from turnout.client.background import TIMED_OUT, Background, Done


class Box:
    """Collects what calls came to."""

    def __init__(self) -> None:
        self.done: list[Done] = []
        self._changed = threading.Condition()

    def __call__(self, done: Done) -> None:
        with self._changed:
            self.done.append(done)
            self._changed.notify_all()

    def wait(self, number: int) -> list[Done]:
        """What the first ``number`` calls came to."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.done) >= number, 10)
            return list(self.done)


@pytest.fixture(autouse=True)
def ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No thread is left to the tests of others."""
    made: list[Background] = []
    begin = Background._begin

    def begun(background: Background) -> None:
        made.append(background)
        begin(background)

    monkeypatch.setattr(Background, "_begin", begun)
    yield
    for background in made:
        background.stop()


@pytest.fixture
def box() -> Box:
    """An empty one."""
    return Box()


def test_an_answer_comes_with_its_latency(box: Box) -> None:
    """A call's answer is handed on, with the time it took."""
    assert Background().submit(lambda: time.sleep(0.05) or 42, box)
    (done,) = box.wait(1)
    assert (done.answer, done.ok) == (42, True)
    assert done.latency_ms >= 50


def test_an_exception_is_an_outcome(box: Box) -> None:
    """What a call raises is told, whatever it is, and the thread lives on."""
    background = Background(places=1)

    def fails() -> None:
        raise SystemExit("no")

    background.submit(fails, box)
    background.submit(lambda: "fine", box)
    first, second = box.wait(2)
    assert (first.ok, first.error) == (False, "SystemExit: no")
    assert second.answer == "fine"


def test_a_call_that_hangs_is_over_at_its_limit_once(box: Box) -> None:
    """It is reported late while it still runs, and what it returns afterwards is not."""
    background, release = Background(places=1, limit_s=0.1), threading.Event()
    background.submit(release.wait, box)
    (late,) = box.wait(1)
    assert (late.error, late.latency_ms) == (TIMED_OUT, 100)
    release.set()
    background.submit(lambda: "next", box)
    assert [done.answer for done in box.wait(2)] == [None, "next"]
    assert background.counts.late == 1


def test_hanging_calls_shed_the_rest_without_waiting(box: Box) -> None:
    """When all places hang and the queue is full, more calls are refused at once; none is started."""
    background, release = Background(places=2, limit_s=0.3, waiting=3), threading.Event()
    for _ in range(2):
        assert background.submit(release.wait, box)
    box.wait(2)
    taken = [background.submit(release.wait, box) for _ in range(50)]
    assert taken.count(True) <= 3 + 1
    assert background.counts.started == 2
    time.sleep(0.35)
    background.submit(lambda: None, box)
    assert background.counts.shed >= 46 + 2
    release.set()


def test_no_more_than_the_places_run_at_once(box: Box) -> None:
    """Twenty calls on three threads: never four at a time, all of them in the end."""
    background, now, most, lock = Background(places=3, waiting=20), [0], [0], threading.Lock()

    def call() -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.005)
        with lock:
            now[0] -= 1

    assert all(background.submit(call, box) for _ in range(20))
    box.wait(20)
    assert most[0] == 3
    assert background.drain(5)


def test_a_failing_callback_harms_nothing(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    """A callback that raises is logged; the next call is served."""
    background = Background(places=1)

    def fails(_: Done) -> None:
        raise ValueError("callback")

    background.submit(lambda: 1, fails)
    background.submit(lambda: 2, box)
    assert box.wait(1)[0].answer == 2
    assert "callback" in caplog.text


def test_context_variables_reach_the_call(box: Box) -> None:
    """A call sees the context variables of who submitted it, such as a trace."""
    variable = contextvars.ContextVar("trace", default="none")
    token = variable.set("abc")
    Background().submit(variable.get, box)
    variable.reset(token)
    assert box.wait(1)[0].answer == "abc"


async def test_coroutines_run_on_the_loop_within_their_limit(box: Box) -> None:
    """A coroutine that hangs is cancelled at its limit; one that raises TimeoutError itself is not called late."""
    background = Background(places=2, limit_s=0.05)

    async def raises() -> None:
        raise TimeoutError("theirs")

    assert background.spawn(lambda: asyncio.sleep(60), box)
    assert background.spawn(raises, box)
    assert not background.spawn(lambda: asyncio.sleep(0), box)
    await asyncio.sleep(0.2)
    assert {done.error for done in box.done} == {TIMED_OUT, "TimeoutError: theirs"}
    assert background.spawn(lambda: asyncio.sleep(0, "again"), box)
    await asyncio.sleep(0.05)
    assert box.done[-1].answer == "again"


def test_a_forked_child_starts_empty(box: Box) -> None:
    """In a child nothing runs and nothing waits, whatever the parent was doing, and calls are taken again."""
    background, release = Background(places=1, waiting=0), threading.Event()
    background.submit(release.wait, print)
    child = os.fork()
    if child == 0:
        background.after_fork()
        taken = background.submit(lambda: "child", box)
        os._exit(0 if taken and box.wait(1)[0].answer == "child" and not background.counts.shed else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    release.set()


def test_who_waited_in_vain_is_told(box: Box) -> None:
    """A call that is shed after it was taken says so, once: too old when the next one comes, or at the end."""
    background, begun, release = Background(places=1, limit_s=10, waiting=5), threading.Event(), threading.Event()
    told: list[str] = []
    assert background.submit(lambda: begun.set() or release.wait(20), box)
    assert begun.wait(10)
    assert background.submit(lambda: 1, box, 0.01, shed=lambda: told.append("old"))
    time.sleep(0.05)
    assert background.submit(lambda: 2, box, shed=lambda: told.append("last"))
    assert told == ["old"]
    background.stop()
    assert told == ["old", "last"]
    assert not background.submit(lambda: 3, box, shed=lambda: told.append("never taken"))
    release.set()
    assert [done.answer for done in box.wait(1)] == [True]
    assert told == ["old", "last"]
    assert background.counts.shed == 3
