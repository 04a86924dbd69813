"""How guarded calls run: hangs, cancellation, context variables, blocked loops, threads, and many at once."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.unit.client.guarding_kit import SOON, Service, assigned, limited
from turnout import Turnout
from turnout.client import crew as crews
from turnout.client.calling import is_async
from turnout.client.crew import Crew, Job
from turnout.client.shared import Shared
from turnout.guards.policy import Policy
from turnout.guards.wallet import Wallet

TRACE: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="none")


@pytest.fixture
def service() -> Iterator[Service]:
    """With a short time limit and no breaker in the way."""
    made = Service(limited(failure_threshold=1000))
    yield made
    made.close()


@pytest.fixture
def patient() -> Iterator[Service]:
    """With a long time limit."""
    made = Service(limited(20))
    yield made
    made.close()


async def old(**_: object) -> str:
    """The stable system."""
    await asyncio.sleep(0)
    return "a"


def test_a_thread_that_hangs_is_left_behind(service: Service) -> None:
    """Stable answers at the time limit; what the system says later counts for nothing."""
    release = threading.Event()
    answer = service.call({"old": lambda: "a", "new": lambda: release.wait(20)})
    assert (answer.value, answer.reason) == ("a", "timeout_fallback")
    assert isinstance(answer.error, TimeoutError)
    assert str(answer.error) == "no answer within 0.3 s"
    release.set()
    attempt, fallback = service.sender.kept
    assert (attempt.ok, fallback.ok) == (False, True)
    assert attempt.latency_ms is not None
    assert attempt.latency_ms >= 1000 * SOON
    assert fallback.decided_by == "fallback:timeout_fallback"


async def test_a_coroutine_that_hangs_is_cancelled(service: Service) -> None:
    """And has time for its clean-up, which nobody waits for."""
    cleaned = asyncio.Event()

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    answer = await service.acall({"old": old, "new": hangs})
    assert (answer.value, answer.reason) == ("a", "timeout_fallback")
    await asyncio.wait_for(cleaned.wait(), 10)


async def test_a_coroutine_that_resists_is_left_behind(service: Service) -> None:
    """It swallows its cancellation, as a careless ``except`` does, and holds up nobody."""
    release, ended = asyncio.Event(), asyncio.Event()

    async def resists() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        ended.set()

    assert (await service.acall({"old": old, "new": resists})).reason == "timeout_fallback"
    gc.collect()
    release.set()
    await asyncio.wait_for(ended.wait(), 10)


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_stable_that_hangs_is_a_timeout(service: Service, kind: str) -> None:
    """There is nothing else; the caller hears of it at its time limit."""
    release = threading.Event()

    async def hangs() -> None:
        await asyncio.Event().wait()

    def request() -> None:
        if kind == "plain":
            service.call({"old": lambda: release.wait(20)}, assigned("old"))
        else:
            asyncio.run(service.acall({"old": hangs}, assigned("old")))

    with pytest.raises(TimeoutError, match=r"0\.3 s"):
        request()
    release.set()


async def test_cancelling_a_call_cancels_its_system(patient: Service) -> None:
    """After its clean-up, as if it were awaited itself; no stable is asked, nothing is reported, no permit is lost."""
    steps: list[str] = []
    begun = asyncio.Event()

    async def system() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            steps.append("cleaned")
            raise

    async def stable() -> None:
        steps.append("stable")

    call = asyncio.create_task(patient.acall({"old": stable, "new": system}))
    await begun.wait()
    call.cancel("enough")
    with pytest.raises(asyncio.CancelledError):
        await call
    assert call.cancelled()
    assert steps == ["cleaned"]
    assert patient.sender.kept == []
    assert patient.guarding.counts == {}


async def test_a_time_limit_of_the_callers_is_kept(patient: Service) -> None:
    """Also against a system that resists, for no longer than the call's own limit."""

    async def resists() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if stop.is_set():
                    raise

    stop = asyncio.Event()
    made = Service(limited(0.3))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await made.acall({"old": old, "new": resists})
    stop.set()
    made.close()


async def test_a_cancelled_probe_returns_its_place() -> None:
    """A half-open breaker lets the next probe through."""
    now = [0.0]
    made = Service(limited(20, failure_threshold=1, probes=1))
    made.clock(lambda: now[0])
    systems: dict[str, Any] = {"old": old, "new": functools.partial(asyncio.sleep, 60)}

    async def fails() -> None:
        raise ValueError

    await made.acall({"old": old, "new": fails})
    now[0] = 31
    for _ in range(3):
        probe = asyncio.create_task(made.acall(systems))
        await asyncio.sleep(0)
        assert (await made.acall(systems)).reason == "breaker_open"
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
    answer = await made.acall({"old": old, "new": functools.partial(asyncio.sleep, 0, "b")})
    assert (answer.value, answer.reason, made.guarding.circuits) == ("b", "assigned", {})
    made.close()


async def test_a_system_that_cancels_itself_has_failed(patient: Service) -> None:
    """Its CancelledError is not the caller's."""

    async def cancels() -> None:
        raise asyncio.CancelledError

    answer = await patient.acall({"old": old, "new": cancels})
    assert (answer.reason, type(answer.error)) == ("error_fallback", asyncio.CancelledError)
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]  # there is a task


@pytest.mark.parametrize("timeout", ["20s", None])
def test_context_variables_pass_in_and_out(timeout: str | None) -> None:
    """As in a bare call: the system sees the request's, and what it sets the caller sees. A trace stays whole."""
    made = Service(Policy(timeout=timeout))
    seen: list[str] = []

    def system() -> None:
        seen.append(TRACE.get())
        TRACE.set("by the system")

    async def coroutine() -> None:
        system()

    def request() -> None:
        TRACE.set("request-7")
        made.call({"new": system})
        assert TRACE.get() == "by the system"

    async def arequest() -> None:
        TRACE.set("request-8")
        await made.acall({"new": coroutine})
        assert TRACE.get() == "by the system"

    contextvars.copy_context().run(request)
    asyncio.run(arequest())
    assert seen == ["request-7", "request-8"]
    assert TRACE.get() == "none"
    made.close()


def test_a_failed_system_leaves_no_context_behind(patient: Service) -> None:
    """What it had set is not the fallback's business."""

    def fails() -> None:
        TRACE.set("half done")
        raise ValueError

    def request() -> str:
        TRACE.set("request-7")
        return patient.call({"old": TRACE.get, "new": fails}).value

    assert contextvars.copy_context().run(request) == "request-7"


def test_an_exception_keeps_its_traceback(patient: Service) -> None:
    """From another thread, too, it shows where it was raised."""

    def culprit() -> None:
        raise ValueError("here")

    with pytest.raises(ValueError, match="here") as caught:
        patient.call({"old": culprit}, assigned("old"))
    assert "culprit" in [entry.name for entry in caught.traceback]


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_a_raised_exception_is_garbage_afterwards(patient: Service, kind: str) -> None:
    """No frame of the call keeps it in a cycle."""

    class Mine(Exception):
        pass

    def fails() -> None:
        raise Mine

    async def coroutine() -> None:
        raise Mine

    def request() -> weakref.ref[Mine]:
        try:
            patient.call({"old": fails}, assigned("old"))
        except Mine as error:
            return weakref.ref(error)
        pytest.fail("nothing was raised")

    async def arequest() -> weakref.ref[Mine]:
        try:
            await patient.acall({"old": coroutine}, assigned("old"))
        except Mine as error:
            return weakref.ref(error)
        pytest.fail("nothing was raised")

    gc.collect()
    gc.disable()
    try:
        gone = request() if kind == "plain" else asyncio.run(arequest())
        assert gone() is None
    finally:
        gc.enable()


async def test_a_blocked_loop_is_no_timeout_of_the_system(service: Service) -> None:
    """While something else blocks the event loop nobody can answer: the time is given once more."""

    async def quick() -> str:
        await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)
        return "b"

    call = asyncio.create_task(service.acall({"old": old, "new": quick}))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.sleep(2 * SOON)
    assert (await call).reason == "assigned"


def test_a_thread_that_was_starved_is_no_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the process was stopped past the limit, the call goes on for as long as that took, at most the limit."""
    jumps = iter([0.0, 30.0, 0.0, 30.0])
    monkeypatch.setattr(crews.time, "monotonic", lambda: next(jumps))
    assert Job(lambda: None).wait(0.01) is False
    slow = Job(lambda: None)
    threading.Timer(0.6, slow.done.release).start()
    assert slow.wait(0.5) is True


async def test_ten_thousand_calls_at_once(patient: Service) -> None:
    """Every one gets an answer: those of the candidate's that fail, and those that a breaker saves from it."""
    arrived = 0
    everybody = asyncio.Event()

    async def new(number: int) -> int:
        nonlocal arrived
        arrived += 1
        if arrived == 10_000:
            everybody.set()
        await everybody.wait()
        if number % 2:
            raise ValueError
        return number

    async def stable(number: int) -> int:
        await asyncio.sleep(0)
        return -number

    systems = {"old": stable, "new": new}
    calls = [patient.acall(systems, number=number) for number in range(10_000)]
    answers = await asyncio.gather(*calls)
    assert [a.value for a in answers] == [-n if n % 2 else n for n in range(10_000)]
    assert patient.guarding.counts == {"assigned": 5000, "error_fallback": 5000}
    assert len(patient.sender.kept) == 15_000


def test_many_threads_at_once(patient: Service) -> None:
    """Callers of a thread pool wait for their own answers, and share the threads that answer."""

    def system(number: int) -> int:
        time.sleep(0.001)
        if number % 3 == 0:
            raise ValueError
        return number

    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda n: patient.call({"old": lambda number: -number, "new": system}, number=n), range(500))
        )
    assert all(abs(answer.value) == number for number, answer in enumerate(answers))
    assert sum(patient.guarding.counts.values()) == 500
    assert 0 < patient.crew._count <= 32


def test_calls_one_after_the_other_share_a_thread(patient: Service) -> None:
    """And what a call had is let go of."""

    class Mine:
        pass

    answers = [patient.call({"new": Mine}).value for _ in range(50)]
    assert patient.crew._count == 1
    gone = weakref.ref(answers.pop())
    assert gone() is None


def test_a_call_within_a_call(patient: Service) -> None:
    """A system may be guarded itself."""
    inner = {"old": lambda: "a", "new": lambda: "b"}
    assert patient.call({"new": lambda: patient.call(inner).value}).value == "b"


def test_when_no_thread_is_left_stable_is_called_here() -> None:
    """The candidate is not asked, which is no failure of its own; stable answers on the caller's own thread."""
    made = Service(limited(20))
    made.crew = Crew(most=0)
    answer = made.call({"old": threading.current_thread, "new": lambda: "b"})
    assert answer.value is threading.current_thread()
    assert answer.reason == "error_fallback"
    assert "no thread is left" in str(answer.error)
    assert made.sender.told() == [("old", True, "fallback:error_fallback")]
    for _ in range(5):
        made.call({"old": lambda: "a", "new": lambda: "b"})
    assert made.guarding.circuits == {}
    made.close()


def test_a_call_that_is_not_made_costs_nothing() -> None:
    """What was set aside for it comes back."""
    wallet = Wallet()
    wallet.add("lease-1", 1_000_000, time.monotonic(), 60)
    shared = Shared(wallet=lambda flag, variant: wallet if variant == "new" else None)
    made = Service(Policy(estimate="0.60"), shared)
    made.crew = Crew(most=0)
    assert made.call({"old": lambda: "a", "new": lambda: "b"}).value == "a"
    assert wallet.left == 1_000_000
    made.close()


def test_idle_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while without work; the next call starts one anew."""
    monkeypatch.setattr(crews, "IDLE_S", 0.01)
    made = Service(limited(20))
    for _ in range(3):
        assert made.call({"new": lambda: "b"}).value == "b"
        wait_for(lambda: made.crew._count == 0)
    made.close()


def test_threads_end_with_the_client() -> None:
    """The idle ones at once, a busy one when its call is over; calls after that keep no thread."""
    made = Service(limited(20))
    begun, release = threading.Event(), threading.Event()
    busy = threading.Thread(target=made.call, args=({"new": lambda: begun.set() or release.wait(20)},))
    busy.start()
    assert begun.wait(10)
    assert made.call({"new": lambda: "b"}).value == "b"
    made.crew.stop()
    wait_for(lambda: made.crew._count == 1)
    release.set()
    busy.join()
    assert made.call({"new": lambda: "b"}).value == "b"
    wait_for(lambda: made.crew._count == 0)
    made.close()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until it holds, for a while."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_an_interrupt_reaches_the_caller(patient: Service) -> None:
    """Ctrl-C while a system runs is nobody's failure, and no fallback follows."""
    import _thread

    def system() -> None:
        _thread.interrupt_main()
        time.sleep(0.3)

    with pytest.raises(KeyboardInterrupt):
        patient.call({"old": lambda: pytest.fail("asked"), "new": system})
    assert patient.sender.kept == []


def test_a_forked_child_makes_calls_of_its_own(patient: Service) -> None:
    """The threads and the open breakers of its parent stay there."""
    release = threading.Event()
    parent = Service(limited(failure_threshold=1))
    parent.call({"old": lambda: "a", "new": lambda: release.wait(20)})
    assert parent.guarding.circuits
    child = os.fork()
    if child == 0:
        parent.guarding.after_fork()
        parent.crew.after_fork()
        parent.sender._news = threading.Condition()
        answer = parent.call({"old": lambda: "a", "new": lambda: "b"})
        os._exit(0 if (answer.value, parent.guarding.counts) == ("b", {"assigned": 1}) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    release.set()
    parent.close()


async def test_stable_is_shadowed_on_the_loop(patient: Service) -> None:
    """In a shadow stage the candidate is asked with the same arguments, by coroutine functions too."""
    shadowed = assigned("old", "static", shadow="new", shadowSample=100_000, shadowSeed="s")

    async def new(query: str) -> dict[str, object]:
        return {"text": query, "quality": 0.5}

    async def stable(query: str) -> dict[str, object]:
        return {"text": query, "quality": 0.25}

    assert (await patient.acall({"old": stable, "new": new}, shadowed, query="q")).reason == "assigned"
    outcomes = {(o.variant, o.mode): o.quality for o in await asyncio.to_thread(patient.sender.all, 3)}
    assert outcomes == {("old", "serve"): 0.25, ("old", "shadow"): 0.25, ("new", "shadow"): 0.5}


class Asks:
    """A client object that is called."""

    async def __call__(self) -> str:
        """Its answer."""
        return "b"

    async def method(self) -> str:
        """Another one."""
        return "b"


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        (old, True),
        (functools.partial(old), True),
        (Asks(), True),
        (Asks().method, True),
        (lambda: "b", False),
        (lambda: old(), False),
        (len, False),
        (dict, False),
    ],
)
def test_coroutine_functions_are_told_from_plain_ones(system: Callable[..., Any], expected: bool) -> None:
    """In all the shapes that functions have; of a lambda nobody can know before it is called."""
    assert is_async({"old": lambda: "a", "new": system}) is expected


def test_call_does_for_both() -> None:
    """To be awaited with coroutine functions, and an answer with plain ones; without flags, of the first system."""
    client = Turnout("http://127.0.0.1:9", cache_dir=None, wait=0)
    answer = client.call("engine", "user-1", {"old": lambda query: query}, query="q", attributes={"plan": "beta"})
    assert (answer.value, answer.served_by, answer.reason) == ("q", "old", "default")

    async def request() -> None:
        answer = await client.call("engine", "user-1", {"old": old}, query="q")
        assert answer.value == "a"
        answer = await client.call_async("engine", "user-1", {"old": lambda: old()})
        assert answer.value == "a"

    asyncio.run(request())
    with pytest.raises(TypeError, match="call_async"):
        client.call("engine", "user-1", {"old": lambda: old()})
    assert client.status.calls == {"default": 3, "failed": 1}
    assert client.status.queued == 4
    client.close(0)


def test_a_plain_function_among_coroutines_is_taken_as_it_is(patient: Service) -> None:
    """It blocks the event loop, but its answer is one."""

    async def request() -> str:
        return (await patient.acall({"old": old, "new": lambda: "b"})).value

    assert asyncio.run(request()) == "b"
