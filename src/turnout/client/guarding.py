"""The guards of a process: how the calls of each flag are protected, what came of them, and what that is worth."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

from turnout.client.answer import Reason
from turnout.client.assignment import Assignment
from turnout.client.background import TIMED_OUT, Background, Done
from turnout.client.comparing import Compare
from turnout.client.measuring import UNSCORED, Judge, Numbers, Score, carried, judge_of, scored
from turnout.client.outcomes import Draft
from turnout.client.protecting import Passage, Protection
from turnout.client.sender import Sender
from turnout.client.shared import Shared
from turnout.domain.bound import NOTHING, Bound
from turnout.domain.flags import Comparator
from turnout.guards.breaker import Circuit
from turnout.guards.policy import Policy, configured

NO_ANSWER: Final = object()
"""Stands for the answer of a try that has none."""

Given = tuple[object, Mapping[str, Any]]
"""An answer, or `NO_ANSWER`, and the arguments of the call that it answers."""

_log = logging.getLogger("turnout.client")


@dataclass(frozen=True, slots=True)
class Guard:
    """How the calls of one flag are guarded, and what their answers are worth.

    ``accept`` tells whether an answer is one at all. ``measure`` has quick scorers, ``score`` slow ones, by metric.
    """

    policy: Policy = field(default_factory=Policy)
    accept: Callable[..., object] | None = None
    measure: Mapping[str, Score] = field(default_factory=dict[str, Score])
    score: Mapping[str, Score] = field(default_factory=dict[str, Score])
    compare: Compare | Comparator | None = None


class Standing(NamedTuple):
    """A flag's guard as it is used: the time limit in seconds, and functions that know the arguments of a call.

    ``protections`` are the breakers and budgets of its variants.
    """

    policy: Policy
    limit_s: float | None
    accept: Judge | None
    measure: Mapping[str, Judge]
    score: Mapping[str, Judge]
    compare: Compare | Comparator | None
    protections: dict[str, Protection]


class Guarding:
    """The guards of a process, by flag. Safe to share between threads and event loops."""

    def __init__(
        self,
        sender: Sender,
        scoring: Background,
        shared: Shared | None = None,
        bound: Callable[[str], Bound] = lambda _: NOTHING,
    ) -> None:
        self._sender: Final = sender
        self._scoring: Final = scoring
        self._shared: Final = shared or Shared()
        self._bound: Final = bound
        self._guards: dict[str, Guard] = {}
        self._standing: dict[str, Standing] = {}
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._unscored: dict[int, tuple[Callable[[Numbers], None], Numbers]] = {}

    def after_fork(self) -> None:
        """In a forked child: nothing is under way. Breakers begin closed: a lock of theirs may be held for ever."""
        self._begin()
        self._scoring.after_fork()
        self._standing = {flag: standing._replace(protections={}) for flag, standing in self._standing.items()}

    def guard(self, flag: str, guard: Guard) -> None:
        """Guard calls of ``flag`` like this from now on; its breakers begin anew."""
        with self._lock:
            self._guards[flag] = guard
            self._standing.pop(flag, None)

    def standing(self, flag: str) -> Standing:
        """How calls of ``flag`` are guarded: as the environment says, as the program says, or else in the usual way.

        What the environment says is read at the first call, and again when the flag changes: `changed`.
        """
        found = self._standing.get(flag)
        if found is None:
            with self._lock:
                found = self._standing.setdefault(flag, _standing(self._guards.get(flag, Guard()), self._bound(flag)))
        return found

    def changed(self, flags: frozenset[str]) -> None:
        """Read again what the environment says of ``flags``; where that is another thing, breakers begin anew."""
        with self._lock:
            for flag in flags & self._standing.keys():
                policy = configured(self._guards.get(flag, Guard()).policy, self._bound(flag))
                if policy != self._standing[flag].policy:
                    del self._standing[flag]

    def enter(self, standing: Standing, assignment: Assignment, variant: str) -> Passage | Reason:
        """Leave for one call of ``variant``, or the reason why there is none."""
        protection = standing.protections.get(variant)
        if protection is None:
            with self._lock:
                made = Protection(assignment.flag, variant, standing.policy, self._shared)
                protection = standing.protections.setdefault(variant, made)
        return protection.enter(assignment)

    @property
    def counts(self) -> dict[str, int]:
        """How many calls were answered for which reason, ``failed`` altogether, or could not be scored."""
        with self._lock:
            return dict(self._counts)

    @property
    def circuits(self) -> dict[str, str]:
        """The breakers that are not closed: ``errors flag/variant`` → where they are."""
        return {
            f"{kind} {flag}/{variant}": str(circuit)
            for flag, standing in list(self._standing.items())
            for variant, protection in list(standing.protections.items())
            for kind, circuit in protection.circuits.items()
            if circuit is not Circuit.CLOSED
        }

    def count(self, what: str) -> None:
        """One more call was answered for this reason, or ``failed``."""
        with self._lock:
            self._counts[what] += 1

    def report(
        self,
        standing: Standing,
        draft: Draft,
        given: Given,
        passage: Passage | None,
        slow: Mapping[str, Judge] | None = None,
    ) -> Numbers:
        """Report one try, now or when its answer has been scored; gives the numbers that are known now.

        ``passage`` is given back with the numbers. ``slow`` scorers take the place of the guard's.
        """
        answer, arguments = given
        numbers: Numbers = {}
        if answer is not NO_ANSWER:
            numbers = carried(answer)
            if standing.measure:
                scored(answer, arguments, standing.measure, numbers, self._trouble)
            slow = standing.score if slow is None else slow
            if slow:
                self._score(given, slow, numbers, partial(self._deliver, draft, passage))
                return numbers
        self._deliver(draft, passage, numbers)
        return numbers

    def close(self, timeout: float) -> None:
        """Let what is being scored come to its end, for at most ``timeout`` seconds, and take no more."""
        self._scoring.drain(timeout)
        self.stop()

    def stop(self) -> None:
        """Score no more, and report what is being scored without that. Does not wait."""
        self._scoring.stop()
        while self._unscored:
            deliver, numbers = self._unscored.popitem()[1]
            deliver(dict(numbers))

    def _score(
        self, given: Given, slow: Mapping[str, Judge], numbers: Numbers, deliver: Callable[[Numbers], None]
    ) -> None:
        """Deliver when the ``slow`` scorers are through; without what they have not found in time."""
        found = dict(numbers)
        self._unscored[id(found)] = deliver, found

        def end(trouble: str | None) -> None:
            if self._unscored.pop(id(found), None) is not None:
                if trouble is not None:
                    self._trouble(UNSCORED, trouble)
                # A scorer that is late may still add to it.
                deliver(dict(found))

        def then(done: Done) -> None:
            end(f"scoring took longer than {done.latency_ms:g} ms" if done.error == TIMED_OUT else None)

        shed = partial(end, "there are more answers to score than threads to do it")
        if not self._scoring.submit(partial(scored, *given, slow, found, self._trouble), then, shed=shed):
            shed()

    def _deliver(self, draft: Draft, passage: Passage | None, numbers: Numbers) -> None:
        """Report a try, and give back what depends on its worth."""
        if passage is not None:
            passage.measured(numbers.get("quality"), numbers.get("cost"))
        self._sender.put(draft._replace(numbers=numbers) if numbers else draft)

    def _trouble(self, kind: str, why: str) -> None:
        with self._lock:
            self._counts[kind] += 1
            first = self._counts[kind] == 1
        if first:
            _log.warning("guarded call %s (said once): %s", kind, why)


def _standing(guard: Guard, bound: Bound) -> Standing:
    return Standing(
        configured(guard.policy, bound),
        guard.policy.limit_s,
        None if guard.accept is None else judge_of(guard.accept),
        {name: judge_of(score) for name, score in guard.measure.items()},
        {name: judge_of(score) for name, score in guard.score.items()},
        guard.compare,
        {},
    )
