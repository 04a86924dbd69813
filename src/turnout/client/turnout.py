"""The client of Turnout: which variant a unit gets, and how it went."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast, overload
from weakref import finalize

from turnout.adapters.geo import Places, located
from turnout.client import lifecycle
from turnout.client.answer import Answer
from turnout.client.assignment import Assignment, Status
from turnout.client.background import Background
from turnout.client.calling import call_awaiting, call_blocking, is_async
from turnout.client.comparing import Compare
from turnout.client.crew import Crew
from turnout.client.current import Current, OnChange, OnState, Resolves
from turnout.client.disk import Cache
from turnout.client.feed import Feed
from turnout.client.flagfile import read_flag_file
from turnout.client.guarding import Guard, Guarding
from turnout.client.http import endpoint
from turnout.client.outcomes import outcome, subject
from turnout.client.sender import Sender
from turnout.client.settings import DEFAULT_URL, CacheDir, cache_path, check, places_of
from turnout.client.shadowing import Score, Served, Shadowing, Terms
from turnout.client.sharing import Sharing
from turnout.client.typed import TypedReads
from turnout.domain.bound import Bound
from turnout.domain.flags import Comparator
from turnout.guards.policy import Policy
from turnout.resolver import Resolution
from turnout.resolver.conditions import Attributes

Listener = TypeVar("Listener")
AnySystem = TypeVar("AnySystem")
Given = TypeVar("Given")

SCORING: Final = 4
"""How many answers are scored in the background at a time."""

_log = logging.getLogger("turnout.client")
# Half the time of calling the class, on the path that every request takes.
_assign: Final = cast("Callable[[type[Assignment], tuple[object, ...]], Assignment]", tuple.__new__)


class Turnout(TypedReads):
    """A connection to a Turnout controller, for use by a whole process: make one and share it.

    ::

        with Turnout("http://127.0.0.1:8080") as turnout:
            assignment = turnout.resolve("answer-engine", user_id, plan="beta")
            answer = systems[assignment.variant or "perplexity"](question)
            turnout.report(assignment, ok=True, latency_ms=312)

    Evaluation reads flags held in memory: it never waits, never locks and never raises, whatever happens to the
    controller. One background thread keeps the flags up to date, another delivers outcomes. Safe to share between
    threads and event loops (no method but ``close``, ``flush``, ``wait_ready`` and the constructor waits for anything),
    and across ``fork``: a child goes on with the parent's flags, its own connections and an empty outcome queue.
    """

    def __init__(  # noqa: PLR0913 - settings, all but one by keyword
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        cache_dir: str | os.PathLike[str] | CacheDir | None = CacheDir.PLATFORM,
        timeout: float = 5.0,
        wait: float = 2.0,
        queue_size: int = 10_000,
        poll_every: float = 5.0,
        stream_every: float = 60.0,
        shadow_places: int = 8,
        shadow_timeout: float = 10.0,
        geo: str | os.PathLike[str] | Places | None = None,
        score_timeout: float = 30.0,
        environ: Mapping[str, str] | None = None,
        flags_file: str | os.PathLike[str] | None = None,
    ) -> None:
        """Load the flags kept on disk, start listening, and wait at most ``wait`` seconds for the controller's.

        ``url`` defaults to TURNOUT_URL, then http://127.0.0.1:8080; ``token`` to TURNOUT_TOKEN. ``cache_dir`` is where
        the last good flags are kept, by default the platform's folder for caches; None keeps none. ``timeout`` bounds
        each request, in seconds. ``wait`` ends early once the controller has failed and there are flags from disk; 0
        does not wait at all. At most ``queue_size`` outcomes wait to be sent, then the oldest are dropped. Where
        streams do not get through, flags are polled every ``poll_every`` seconds, and the stream is tried every
        ``stream_every`` seconds. At most ``shadow_places`` candidates answer in the background at a time, each for at
        most ``shadow_timeout`` seconds. ``geo`` is a MaxMind DB file, by default TURNOUT_GEO_DATABASE if that is set:
        for an attribute ``ip`` it adds ``country``, ``region`` and ``continent`` before evaluation. Slow scorers of
        guarded calls have ``score_timeout`` seconds for an answer. ``environ`` is what may override flags in this
        process, by default its environment as it is now (see docs/configuration.md). ``flags_file``, by default
        TURNOUT_FLAGS_FILE if that is set, has the flags to serve while, or where, the controller has none. Raises
        InvalidInput when a setting cannot work; an absent controller is no error.
        """
        super().__init__()
        check(queue_size=queue_size, poll_every=poll_every, stream_every=stream_every)
        check(shadow_places=shadow_places, shadow_timeout=shadow_timeout, score_timeout=score_timeout)
        url = url or os.environ.get("TURNOUT_URL") or DEFAULT_URL
        controller = endpoint(url, token or os.environ.get("TURNOUT_TOKEN") or None, timeout)
        self._places: Final = places_of(geo)
        beneath = read_flag_file(flags_file or os.environ.get("TURNOUT_FLAGS_FILE") or None)
        self._current: Final = Current(controller.url, os.environ if environ is None else environ, beneath)
        kept_in = cache_path(cache_dir, controller)
        cache = Cache(kept_in)
        self._feed: Final = Feed(controller, self._current, cache, poll_every, stream_every)
        self._sender: Final = Sender(controller, queue_size)
        self._shadowing: Final = Shadowing(self._sender, shadow_places, shadow_timeout)
        self._sharing: Final = Sharing(controller, self._current, kept_in.parent if kept_in is not None else None)
        scoring = Background(SCORING, score_timeout, waiting=queue_size)
        self._guarding: Final = Guarding(self._sender, scoring, self._sharing.shared, self._current.bound)
        self._current.on_change.append(self._guarding.changed)
        self._crew: Final = Crew()
        self._waking = threading.Lock()
        self._closed = False
        background = (self._feed, self._sender, self._shadowing, self._guarding, self._crew, self._sharing)
        self._forgotten: Final = finalize(self, _abandon, *background)
        self._forgotten.atexit = False
        lifecycle.opened(self)
        kept = cache.load()
        if kept is not None:
            self._current.offer(kept[0], "disk", kept[1])
        self._feed.start()
        if wait > 0:
            self._current.wait(wait, any_try=True)
            if self._current.state == "ready":
                self._sharing.ready(min(wait, _FIRST_MONEY_S))

    def resolve(self, flag: str, unit: str, /, *, default: object = None, **attributes: object) -> Assignment:
        """The variant of ``flag`` for ``unit``, normally a user's id, given what is known of it (``plan="beta"``).

        Never raises and never waits. When there is no such flag, no flags at all, or a value that the flag's rules
        cannot work with, the assignment has no variant, ``default`` as its value, and says so in ``error``.
        """
        try:
            if self._places is not None:
                attributes = dict(located(attributes, self._places))
            _, variant, value, reason, _, error, metadata = self._current.snapshot.resolve(flag, unit, attributes)
            served = default if variant is None else value
            generation, decided_by = metadata.get("generation"), metadata.get("decidedBy")
            return _assign(Assignment, (flag, variant, served, reason, unit, generation, error, decided_by, metadata))
        except Exception as error:
            return Assignment(flag, None, default, "ERROR", unit, None, f"{type(error).__name__}: {error}")

    def variant(self, flag: str, unit: str, /, *, default: str = "", **attributes: object) -> str:
        """The name of the variant that ``resolve`` gives, or ``default``. Never raises and never waits."""
        return self.resolve(flag, unit, **attributes).variant or default

    def evaluate(self, flag: str, unit: str | None, attributes: Attributes) -> Resolution:
        """The resolver's whole answer, with metadata; for attributes of any name. Never raises and never waits."""
        try:
            return self._current.snapshot.resolve(flag, unit, located(attributes, self._places))
        except Exception as error:
            return Resolution(flag, None, None, "ERROR", "GENERAL", f"{type(error).__name__}: {error}")

    def bound(self, flag: str) -> Bound:
        """What this process's environment says of ``flag`` under its ``env_prefix``; nothing for a flag without one."""
        return self._current.bound(flag)

    def report(  # noqa: PLR0913 - measurements, all by keyword
        self,
        what: Assignment | str,
        /,
        *,
        ok: bool | None = None,
        latency_ms: float | None = None,
        quality: float | None = None,
        satisfaction: float | None = None,
        cost: float | None = None,
        id: str | None = None,
        variant: str | None = None,
        unit: str | None = None,
        generation: int | None = None,
        **values: float,
    ) -> bool:
        """Report how a request went that was served as ``what`` says; tells whether the outcome was queued.

        ``what`` is an assignment, or a flag's key together with ``variant`` and ``unit``. ``latency_ms`` is in
        milliseconds; ``cost``, ``quality``, ``satisfaction`` and further ``values`` are on scales of the caller's own.
        Outcomes with the same ``id`` count once; without one each report counts. Never raises and never waits: an
        outcome that cannot be used (no variant, a number that is none) is dropped and counted, see ``status``.
        """
        try:
            self._wake()
            about = subject(what, variant, unit, generation)
            if about.variant is None:
                self._sender.drop("unattributed", f"there is no variant for {about.flag!r} to report on")
                return False
            measured = {
                "ok": ok,
                "latency_ms": latency_ms,
                "quality": quality,
                "satisfaction": satisfaction,
                "cost": cost,
            }
            return self._sender.put(outcome(about, id, measured, values))
        except Exception as error:
            self._sender.drop("invalid", f"{type(error).__name__}: {error}")
            return False

    def guard(
        self,
        flag: str,
        policy: Policy | None = None,
        /,
        *,
        accept: Callable[..., object] | None = None,
        measure: Mapping[str, Callable[..., float]] | None = None,
        score: Mapping[str, Callable[..., float]] | None = None,
        compare: Compare | Comparator | None = None,
    ) -> None:
        """Say how calls of ``flag`` are guarded and what their answers are worth; its breakers begin anew.

        ``policy`` has the time limit, the breakers and the estimate of the cost (`Policy`'s defaults unless given).
        ``accept`` tells whether an answer is one: another one counts as an error. ``measure`` and ``score`` have
        functions by metric (``quality``, ``satisfaction``, ``cost``, or any other) that make a number of an answer:
        the quick ones in ``measure`` are called at once, the slow ones in ``score`` in the background. They go before
        the numbers of these names that an answer carries itself, as attributes or as keys. All these functions take the
        answer first, and by name whichever arguments of the call they ask for. ``compare`` is how answers are compared
        when a rollout is in shadow, see `shadow`.
        """
        self._guarding.guard(flag, Guard(policy or Policy(), accept, measure or {}, score or {}, compare))

    @overload
    def call(  # pyright: ignore[reportOverlappingOverload] - a coroutine function is a function: the first that fits
        self,
        flag: str,
        unit: str,
        systems: Mapping[str, Callable[..., Coroutine[Any, Any, Given]]],
        /,
        *,
        attributes: Attributes | None = None,
        **arguments: Any,
    ) -> Coroutine[Any, Any, Answer[Given]]: ...

    @overload
    def call(
        self,
        flag: str,
        unit: str,
        systems: Mapping[str, Callable[..., Given]],
        /,
        *,
        attributes: Attributes | None = None,
        **arguments: Any,
    ) -> Answer[Given]: ...

    def call(
        self,
        flag: str,
        unit: str,
        systems: Mapping[str, Callable[..., Any]],
        /,
        *,
        attributes: Attributes | None = None,
        **arguments: Any,
    ) -> Any:
        """Call the system that the unit is assigned, under protection, and report how it went; see `Answer`.

        ``systems`` has a function by variant, which is called with ``arguments``. With coroutine functions the call has
        to be awaited: ``answer = await turnout.call(…)``; otherwise it gives the answer. When the assigned system
        fails, takes longer than the policy's time limit, or may not be called, stable answers. With a time limit plain
        functions run on another thread, with the present context variables. ``attributes`` are what the flag's rules
        ask for. The rest is as `guard` says.

        Raises whatever stable raises, or a TimeoutError when it takes too long; InvalidInput when ``systems`` has
        nothing to answer with.
        """
        assignment = self._assigned(flag, unit, attributes)
        if is_async(systems):
            return call_awaiting(self._guarding, self._shadowing.spawn, assignment, systems, arguments)
        return call_blocking(self._guarding, self._crew, self._shadowing.submit, assignment, systems, arguments)

    def call_async(
        self,
        flag: str,
        unit: str,
        systems: Mapping[str, Callable[..., Awaitable[Given]]],
        /,
        *,
        attributes: Attributes | None = None,
        **arguments: Any,
    ) -> Coroutine[Any, Any, Answer[Given]]:
        """Like `call`, with functions that give something to await, even if they are no coroutine functions."""
        assignment = self._assigned(flag, unit, attributes)
        return call_awaiting(self._guarding, self._shadowing.spawn, assignment, systems, arguments)

    def _assigned(self, flag: str, unit: str, attributes: Attributes | None) -> Assignment:
        _, variant, value, reason, _, error, metadata = self.evaluate(flag, unit, attributes or {})
        generation, decided_by = metadata.get("generation"), metadata.get("decidedBy")
        return _assign(Assignment, (flag, variant, value, reason, unit, generation, error, decided_by, metadata))

    def shadow(
        self,
        assignment: Assignment,
        systems: Mapping[str, Callable[[], object]],
        /,
        served: Served,
        *,
        compare: Compare | Comparator | None = None,
        score: Score | None = None,
        timeout: float | None = None,
    ) -> bool:
        """Ask the candidate in the background too, when the request is in a shadow's sample; tells whether it will be.

        ``systems`` has a function by variant that answers this very request; the variant in shadow is called on
        another thread, with the present context variables, for at most ``timeout`` seconds (``shadow_timeout`` unless
        given), the judgement included. ``served`` is what the user got. Both answers are compared by ``compare``
        (a function of stable's and the candidate's answer that gives 0 to 1, ``exact`` or ``token_overlap``; the
        rollout's comparator unless given), and scored by ``score``. Never raises and never waits: when too many
        candidates are busy the request is left out and counted, see ``status``.
        """
        return self._begin(self._shadowing.submit, assignment, systems, served, Terms(compare, score, timeout))

    def shadow_async(
        self,
        assignment: Assignment,
        systems: Mapping[str, Callable[[], Awaitable[object]]],
        /,
        served: Served,
        *,
        compare: Compare | Comparator | None = None,
        score: Score | None = None,
        timeout: float | None = None,
    ) -> bool:
        """Like `shadow`, with coroutine functions that are called on the running event loop. Not awaited itself.

        ``compare`` and ``score`` are plain functions; they run on a thread, with a time limit of their own.
        """
        return self._begin(self._shadowing.spawn, assignment, systems, served, Terms(compare, score, timeout))

    def _begin(
        self,
        begin: Callable[[Assignment, Mapping[str, AnySystem], Served, Terms], bool],
        assignment: Assignment,
        systems: Mapping[str, AnySystem],
        served: Served,
        terms: Terms,
    ) -> bool:
        try:
            self._wake()
            return begin(assignment, systems, served, terms)
        except Exception:
            _log.exception("a shadow call could not be made")
            return False

    @property
    def status(self) -> Status:
        """How the client is doing."""
        self._wake()
        current, sender = self._current, self._sender
        flags, drops = current.flags, dict(sender.drops)
        return Status(
            state=current.state,
            revision=flags.revision if flags else None,
            store_id=flags.store_id if flags else None,
            source=current.source,
            age_s=current.age_s,
            last_error=current.error or sender.error or self._sharing.error,
            dropped=sum(drops.values()),
            queued=sender.queued,
            sent=sender.sent,
            denied=current.denied or sender.denied,
            drops=drops,
            shadows=self._shadowing.counts,
            rejected=dict(sender.rejected),
            calls=self._guarding.counts,
            breakers=self._guarding.circuits,
        )

    def wait_ready(self, timeout: float | None = None) -> bool:
        """Wait until the flags are the controller's, for at most ``timeout`` seconds; tells whether they are."""
        self._wake()
        return self._current.wait(timeout)

    def on_change(self, callback: OnChange) -> Callable[[], None]:
        """Call ``callback`` with the keys of the flags that changed, on the background thread; returns its removal."""
        return _listen(self._current.on_change, callback)

    def on_state(self, callback: OnState) -> Callable[[], None]:
        """Call ``callback`` with every new state, on the background thread; returns its removal."""
        return _listen(self._current.on_state, callback)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until no outcome is left to deliver, for at most ``timeout`` seconds; tells whether none is."""
        self._wake()
        return self._sender.flush(timeout)

    def close(self, timeout: float = 2.0) -> None:
        """Deliver the outcomes, for at most ``timeout`` seconds, and stop the threads. Evaluation goes on working.

        Half of the time is for what still runs in the background: candidates in shadow, and slow scorers. Outcomes that
        could not be delivered are lost, counted and logged. Closing again does nothing.
        """
        with self._waking:
            if self._closed:
                return
            self._closed = True
        lifecycle.closed(self)
        self._forgotten.detach()
        self._feed.stop()
        end = time.monotonic() + timeout
        self._shadowing.close(timeout / 2)
        self._guarding.close(max(0.0, end - timeout / 2 - time.monotonic()))
        self._crew.stop()
        self._sharing.close(max(0.0, (end - time.monotonic()) / 2))
        self._sender.flush(max(0.0, end - time.monotonic()))
        self._sender.stop()
        for thread in (self._feed, self._sender):
            thread.join(_JOIN_S)

    def after_fork(self) -> None:
        """Called in a forked child. Threads start with the first use of the client there."""
        self._waking = threading.Lock()
        self._current.after_fork()
        self._feed.after_fork()
        self._sender.after_fork()
        self._shadowing.after_fork()
        self._guarding.after_fork()
        self._crew.after_fork()
        self._sharing.after_fork()
        self._current.snapshot = _Asleep(self._current.snapshot, self._wake)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wake(self) -> None:
        """After a fork: start listening, and evaluate without this detour from now on."""
        asleep = self._current.snapshot
        if not isinstance(asleep, _Asleep):
            return
        with self._waking:
            if self._current.snapshot is asleep:
                self._current.snapshot = asleep.snapshot
                if not self._closed:
                    self._feed.start()
                    self._sharing.ready(0.0)


_FIRST_MONEY_S: Final = 1.0
"""How long the constructor waits for money of budgets at most, in seconds, once it has flags."""

_JOIN_S: Final = 0.5
"""How long ``close`` waits for each thread that was told to end."""


@dataclass(frozen=True, slots=True)
class _Asleep:
    """Stands in for the snapshot in a forked child until it is first used, and costs evaluation nothing elsewhere."""

    snapshot: Resolves
    wake: Callable[[], None]

    def resolve(self, key: str, unit: str | None, attributes: Attributes, /) -> Resolution:
        """The snapshot's answer."""
        self.wake()
        return self.snapshot.resolve(key, unit, attributes)


def _abandon(
    feed: Feed, sender: Sender, shadowing: Shadowing, guarding: Guarding, crew: Crew, sharing: Sharing
) -> None:
    """The client was forgotten without being closed."""
    feed.abandon()
    shadowing.stop()
    guarding.stop()
    crew.stop()
    sharing.close(0.0)
    sender.finish()


def _listen(listeners: list[Listener], listener: Listener) -> Callable[[], None]:
    listeners.append(listener)

    def remove() -> None:
        if listener in listeners:
            listeners.remove(listener)

    return remove
