"""Makes guarded calls: on threads for plain functions, on the running event loop for coroutine functions."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import CoroutineType, FunctionType
from typing import Any, Final, cast

from turnout.client.answer import Answer
from turnout.client.assignment import Assignment
from turnout.client.crew import Crew, Job
from turnout.client.guarded import End, NotAsked, Ran, Systems, Try, steps
from turnout.client.guarding import Guarding
from turnout.client.shadowing import Served, Terms

Arguments = Mapping[str, Any]
AskShadow = Callable[..., object]

_ABSENT: Final = object()
_left: Final[set[asyncio.Task[Any]]] = set()
"""Coroutines that go on after their time was up: the event loop alone would not keep them from being collected."""


def is_async(systems: Systems) -> bool:
    """Whether any of the ``systems`` is known to give something to await."""
    return any(_gives_awaitable(system) for system in systems.values())


def call_blocking(
    guarding: Guarding, crew: Crew, shadow: AskShadow, assignment: Assignment, systems: Systems, arguments: Arguments
) -> Answer[Any]:
    """Make a call of plain functions. With a time limit they run on another thread, in the caller's context."""

    def begin(assignment: Assignment, systems: Systems, served: Served, terms: Terms) -> object:
        bound = {name: partial(system, **arguments) for name, system in systems.items()}
        return shadow(assignment, bound, served, terms)

    tries = steps(guarding, assignment, systems, arguments, begin)
    try:
        wanted = next(tries)
        while True:
            wanted = tries.send(_run(crew, wanted, arguments))
    except StopIteration as stop:
        end: End = stop.value
    finally:
        tries.close()
    try:
        return _given(end)
    finally:
        # The traceback of an error has this frame, which would keep the error and all it holds alive.
        del end


async def call_awaiting(
    guarding: Guarding, shadow: AskShadow, assignment: Assignment, systems: Systems, arguments: Arguments
) -> Answer[Any]:
    """Make a call of coroutine functions."""

    def begin(assignment: Assignment, systems: Systems, served: Served, terms: Terms) -> object:
        bound = {name: partial(_awaited, system, arguments) for name, system in systems.items()}
        return shadow(assignment, bound, served, terms)

    tries = steps(guarding, assignment, systems, arguments, begin)
    try:
        wanted = next(tries)
        while True:
            wanted = tries.send(await _await(wanted, arguments))
    except StopIteration as stop:
        end: End = stop.value
    finally:
        tries.close()
    try:
        return _given(end)
    finally:
        # The traceback of an error has this frame, which would keep the error and all it holds alive.
        del end


def _run(crew: Crew, wanted: Try, arguments: Arguments) -> Ran:
    system, limit, last = wanted
    job = Job(partial(_plain, system, arguments))
    began = time.perf_counter()
    if limit is None or not crew.begin(job):
        if limit is not None and not last:
            return Ran(None, NotAsked("no thread is left to call it on"), 0.0)
        return _run_here(job.call, began)
    if not job.wait(limit):
        return _late(began, limit)
    return Ran(job.answer, job.taken(), _ms_since(began), context=job.context)


def _run_here(call: Callable[[], Any], began: float) -> Ran:
    try:
        return Ran(call(), None, _ms_since(began))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Ran(None, error, _ms_since(began))


def _plain(system: Callable[..., Any], arguments: Arguments) -> Any:
    answer = system(**arguments)
    if type(answer) is CoroutineType:
        answer.close()
        raise TypeError("the system gives a coroutine, which nobody awaits here; use call_async")
    return answer


async def _await(wanted: Try, arguments: Arguments) -> Ran:
    """Run a try as a task of its own: one that resists its cancellation would hold the caller for ever."""
    system, limit, _ = wanted
    if limit is None:
        return await _await_here(system, arguments)
    loop = asyncio.get_running_loop()
    running = _Running()
    context = contextvars.copy_context()
    began = time.perf_counter()
    due = loop.time() + limit
    task = loop.create_task(running.run(system, arguments), context=context)
    try:
        if not await running.wait(loop, due):
            # The loop was blocked and came back late: the system did not have its time either.
            await running.wait(loop, loop.time() + min(max(0.0, loop.time() - due), limit))
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task}, timeout=max(0.0, due - loop.time()))
        _leave(task)
        raise
    if not running.over:
        task.cancel()
        _leave(task)
        return _late(began, limit)
    error, running.error = running.error, None
    return Ran(running.answer, error, _ms_since(began), context=context)


class _Running:
    """A system's answer, and who waits for it. The task itself could only be asked a turn of the event loop later."""

    __slots__ = ("answer", "error", "over", "waiter")

    def __init__(self) -> None:
        self.answer: Any = None
        self.error: BaseException | None = None
        self.over = False
        self.waiter: asyncio.Future[None] | None = None

    async def run(self, system: Callable[..., Any], arguments: Arguments) -> None:
        """Await the system."""
        try:
            answer: object = system(**arguments)
            if type(answer) is CoroutineType or inspect.isawaitable(answer):
                answer = cast("object", await answer)
            self.answer = answer
        except KeyboardInterrupt:
            raise
        # A SystemExit here would end the event loop before the caller could fall back.
        except BaseException as error:
            self.error = error
        self.over = True
        self._wake()

    async def wait(self, loop: asyncio.AbstractEventLoop, until: float) -> bool:
        """Wait for the answer, at most ``until`` a time of the loop's; tells whether it is there."""
        self.waiter = loop.create_future()
        timer = loop.call_at(until, self._wake)
        try:
            await self.waiter
        finally:
            timer.cancel()
            self.waiter = None
        return self.over

    def _wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


async def _await_here(system: Callable[..., Any], arguments: Arguments) -> Ran:
    began = time.perf_counter()
    try:
        return Ran(await _awaited(system, arguments), None, _ms_since(began))
    except (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError):
        raise
    except BaseException as error:
        return Ran(None, error, _ms_since(began))


async def _awaited(system: Callable[..., Any], arguments: Arguments) -> Any:
    answer: object = system(**arguments)
    if type(answer) is CoroutineType or inspect.isawaitable(answer):
        answer = cast("object", await answer)
    return answer


def _leave(task: asyncio.Task[Any]) -> None:
    if not task.done():
        _left.add(task)
        task.add_done_callback(_left.discard)


def _late(began: float, limit: float) -> Ran:
    return Ran(None, TimeoutError(f"no answer within {limit:g} s"), _ms_since(began), late=True)


def _given(end: End) -> Answer[Any]:
    """What the caller gets, with the context variables that the system has set."""
    answer, error, context = end
    if context is not None:
        for variable, value in context.items():
            if variable.get(_ABSENT) is not value:
                variable.set(value)
    if error is not None:
        try:
            raise error
        finally:
            del end, error
    return cast("Answer[Any]", answer)


def _gives_awaitable(system: Callable[..., Any]) -> bool:
    if type(system) is FunctionType:
        return bool(system.__code__.co_flags & inspect.CO_COROUTINE)
    return inspect.iscoroutinefunction(system) or inspect.iscoroutinefunction(getattr(system, "__call__", None))  # noqa: B004


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
