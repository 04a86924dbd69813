"""One guarded call, whatever runs it: which variant is asked, and what follows from how that went.

`steps` is a generator: it yields every `Try` that is to be made and is sent what came of it as `Ran`, so that threads
and event loops share all rules. ``calling.py`` has both drivers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Mapping
from contextvars import Context
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from turnout.client.answer import Answer, Reason, RefusedAnswer
from turnout.client.assignment import Assignment
from turnout.client.guarding import NO_ANSWER, Guarding, Standing
from turnout.client.measuring import Judge, Numbers, Once, Score, own_quality
from turnout.client.outcomes import Draft
from turnout.client.protecting import Passage
from turnout.client.reports import blocked
from turnout.client.shadowing import Served, Terms
from turnout.domain.errors import InvalidInput, Problem
from turnout.guards.policy import Policy

System = Callable[..., Any]
Systems = Mapping[str, System]
Shadow = Callable[[Assignment, Systems, Served, Terms], object]
"""Asks the candidate in the background, if the request is in a shadow's sample. Never raises."""


_log = logging.getLogger("turnout.client")

NOTHING: Final[Mapping[str, float]] = MappingProxyType({})


class Try(NamedTuple):
    """A call to make: of ``system``, for at most ``limit_s`` seconds. The ``last`` has nothing to fall back to."""

    system: System
    limit_s: float | None
    last: bool


class Ran(NamedTuple):
    """What came of a try: its ``answer``, or the ``error`` it ended with; ``late`` when its time was up.

    ``context`` is where it ran, if it was not the caller's own.
    """

    answer: Any
    error: BaseException | None
    latency_ms: float
    late: bool = False
    context: Context | None = None


class End(NamedTuple):
    """What the caller gets: the ``answer``, or ``error`` to raise."""

    answer: Answer[Any] | None
    error: BaseException | None
    context: Context | None


class NotAsked(RuntimeError):
    """The error of a try that was not made: it says nothing about its system."""


Steps = Generator[Try, Ran, End]


def steps(
    guarding: Guarding, assignment: Assignment, systems: Systems, arguments: Mapping[str, Any], shadow: Shadow
) -> Steps:
    """The tries of one call. Close it when a try is given up: permits and money of it return.

    Raises:
        InvalidInput: none of the ``systems`` can answer.
    """
    call = _Call(guarding, guarding.standing(assignment.flag), assignment, systems, arguments, shadow)
    return call.steps()


class _Choice(NamedTuple):
    """``variant`` is asked first; ``stable`` answers when that fails, or None; ``reason`` is for ``variant``."""

    variant: str
    stable: str | None
    reason: Reason


@dataclass(slots=True)
class _Call:
    guarding: Guarding
    standing: Standing
    assignment: Assignment
    systems: Systems
    arguments: Mapping[str, Any]
    shadow: Shadow
    failed: BaseException | None = None

    def steps(self) -> Steps:
        variant, stable, reason = _choice(self.assignment, self.systems, self.standing.policy)
        if variant != stable:
            entered = self.guarding.enter(self.standing, self.assignment, variant)
            if isinstance(entered, Passage):
                try:
                    ran = self._checked((yield Try(self.systems[variant], self.standing.limit_s, stable is None)))
                    end = self._settled(entered, variant, ran, last=stable is None)
                except BaseException:
                    entered.lost()
                    raise
                if end is not None:
                    return end
                reason = "timeout_fallback" if isinstance(ran.error, TimeoutError) else "error_fallback"
            else:
                reason = entered
        if stable is None:
            raise InvalidInput([_missing(self.assignment, self.systems)])
        ran = self._checked((yield Try(self.systems[stable], self.standing.limit_s, last=True)))
        return self._served(stable, reason, ran)

    def _settled(self, passage: Passage, variant: str, ran: Ran, *, last: bool) -> End | None:
        """Take what came of the assigned variant; the end, unless stable has to answer."""
        if isinstance(ran.error, NotAsked):
            passage.unused()
            self.failed = ran.error
            return None
        expected = self._expected(ran)
        passage.ended(_worth(self.standing.policy, ran, expected))
        self._report(variant, self.assignment.decided_by, ran, passage)
        if ran.error is None:
            self.guarding.count("assigned")
            return End(Answer(ran.answer, variant, "assigned", self.assignment, ran.latency_ms), None, ran.context)
        if expected or last:
            self.guarding.count("assigned" if expected else "failed")
            return End(None, ran.error, ran.context)
        self.failed = ran.error
        return None

    def _served(self, stable: str, reason: Reason, ran: Ran) -> End:
        """Take what came of stable."""
        error, failed = ran.error, self.failed
        self.guarding.count(reason if error is None or self._expected(ran) else "failed")
        if reason == "assigned" and "shadow" in self.assignment.metadata:
            self._shadowed(stable, ran)
        else:
            # Whom stable served in another's place was not drawn by the traffic, and must not count in comparisons.
            drawn = reason in ("assigned", "stopped")
            self._report(stable, self.assignment.decided_by if drawn else f"fallback:{reason}", ran)
        if error is None:
            return End(Answer(ran.answer, stable, reason, self.assignment, ran.latency_ms, failed), None, ran.context)
        if failed is not None and failed is not error and error.__context__ is None:
            error.__context__ = failed
        return End(None, error, ran.context)

    def _shadowed(self, stable: str, ran: Ran) -> None:
        """Report what stable answered, and ask the candidate as well; what is slow is scored once for both."""
        standing = self.standing
        slow, judge = standing.score, standing.score.get("quality")
        if judge is not None:
            judge = Once(judge, ran.answer)
            slow = {**slow, "quality": judge}
        numbers = self._report(stable, self.assignment.decided_by, ran, slow=slow)
        known = numbers.get("quality") if judge is None else None
        judge = judge or standing.measure.get("quality")
        score = _scorer(judge, self.arguments) if judge else own_quality if known is not None else None
        served = Served(ran.answer, ran.error is None, ran.latency_ms, known)
        try:
            self.shadow(self.assignment, self.systems, served, Terms(standing.compare, score))
        except Exception:
            _log.exception("a shadow call could not be made")

    def _report(
        self,
        variant: str,
        decided_by: str | None,
        ran: Ran,
        passage: Passage | None = None,
        slow: Mapping[str, Judge] | None = None,
    ) -> Numbers:
        answered = ran.error is None
        ok = answered or self._expected(ran)
        draft = Draft(self.assignment, variant, decided_by, ok, ran.latency_ms, NOTHING, time.time())
        return self.guarding.report(
            self.standing, draft, (ran.answer if answered else NO_ANSWER, self.arguments), passage, slow
        )

    def _expected(self, ran: Ran) -> bool:
        return ran.error is not None and isinstance(ran.error, self.standing.policy.expected)

    def _checked(self, ran: Ran) -> Ran:
        accept = self.standing.accept
        return ran if accept is None or ran.error is not None else _accepted(accept, self.arguments, ran)


def _scorer(judge: Judge, arguments: Mapping[str, Any]) -> Score:
    def score(answer: object) -> Any:
        return judge(answer, arguments)

    return score


def _choice(assignment: Assignment, systems: Systems, policy: Policy) -> _Choice:
    variant, published = assignment.variant, assignment.metadata.get("stable")
    stable = published if published in systems else None
    if variant is None and stable is None:
        stable = policy.stable if policy.stable in systems else next(iter(systems), None)
    if variant is not None and variant in systems:
        return _Choice(variant, stable, _assigned(assignment))
    if stable is None:
        raise InvalidInput([_missing(assignment, systems)])
    return _Choice(stable, stable, "default" if variant is None else "unserved")


def _assigned(assignment: Assignment) -> Reason:
    """Why the unit has its variant; the last two are breakers of other processes, which keep it from another one."""
    if assignment.decided_by == "stopped":
        return "stopped"
    kind = blocked(assignment)
    return "assigned" if kind is None else "breaker_open" if kind == "errors" else "quality_breaker_open"


def _missing(assignment: Assignment, systems: Systems) -> Problem:
    wanted = assignment.metadata.get("stable") or assignment.variant or "any variant"
    return Problem("systems", f"flag {assignment.flag!r} needs a system for {wanted!r}", "add it", str(list(systems)))


def _accepted(accept: Judge, arguments: Mapping[str, Any], ran: Ran) -> Ran:
    """What came of a try, with an answer that is none as an error."""
    try:
        if accept(ran.answer, arguments):
            return ran
        error = RefusedAnswer(f"the answer, a {type(ran.answer).__name__}, was not accepted")
    except Exception as raised:
        error = RefusedAnswer(f"the answer could not be checked: {type(raised).__name__}: {raised}")
        error.__cause__ = raised
    return ran._replace(answer=None, error=error)


def _worth(policy: Policy, ran: Ran, expected: bool) -> float | None:
    """What the error breaker is told: 1 for a good call, 0 for a failure, None for what does not count."""
    error = ran.error
    if error is None or expected:
        return 1.0
    if ran.late or isinstance(error, RefusedAnswer) or not isinstance(error, Exception):
        return 0.0
    return 0.0 if policy.errors is not None and isinstance(error, policy.errors.counts) else None
