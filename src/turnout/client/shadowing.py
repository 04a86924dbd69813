"""Shadow calls: the candidate answers a sample of the requests in the background, beside what the user was served.

Each gives two outcomes of mode ``shadow``, one for either side, so that both are measured on the same requests. They
exist only when the candidate was really asked: what is shed is counted and reported for neither side.
"""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from turnout.client.assignment import Assignment
from turnout.client.background import TIMED_OUT, Background, Done, told
from turnout.client.comparing import COMPARATORS, Compare
from turnout.client.outcomes import Subject, outcome
from turnout.client.sender import Sender
from turnout.domain.bucketing import bucket
from turnout.domain.flags import Comparator
from turnout.domain.metrics import AGREEMENT

Score = Callable[[Any], float]
"""An answer -> its quality, on the caller's scale."""

_log = logging.getLogger("turnout.client")


@dataclass(frozen=True, slots=True)
class Served:
    """What the user was served: the ``answer`` (of no interest unless ``ok``), and how that went.

    ``latency_ms`` is in milliseconds. A ``quality`` that is known already is not scored again.
    """

    answer: object = None
    ok: bool = True
    latency_ms: float | None = None
    quality: float | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """How both answers are judged, and the time for all of it.

    ``compare`` is a name or a function (none: as published). ``limit_s`` is in seconds (none: the client's).
    """

    compare: Compare | Comparator | None = None
    score: Score | None = None
    limit_s: float | None = None


def shadow_of(metadata: Mapping[str, Any], served: str | None, unit: str | None) -> str | None:
    """The variant that is to answer the requests of ``unit`` in the background too, if any.

    ``metadata`` is that of the evaluation which gave the unit the variant ``served``. Of the users who are served the
    stable variant it is the published sample: ``bucket(shadowSeed, unit) < shadowSample``.
    """
    variant = metadata.get("shadow")
    if not isinstance(variant, str) or variant == served or not unit or served != metadata.get("stable"):
        return None
    return variant if bucket(metadata["shadowSeed"], unit) < metadata["shadowSample"] else None


class Shadowing:
    """Runs candidates in the background and reports what came of them.

    At most ``places`` run at a time; ``waiting`` more may wait for a thread.
    """

    def __init__(self, sender: Sender, places: int, limit_s: float, waiting: int = 16) -> None:
        self._sender: Final = sender
        self._background: Final = Background(places, limit_s, waiting)
        self._judges: Final = Background(places, limit_s, waiting)
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._troubles: Counter[str] = Counter()

    def after_fork(self) -> None:
        """In a forked child: nothing runs. What the parent runs is the parent's to report."""
        self._begin()
        self._background.after_fork()
        self._judges.after_fork()

    @property
    def counts(self) -> dict[str, int]:
        """How many were ``started`` and ``shed``, how many ``late``, and what else went wrong how often."""
        counts = self._background.counts
        numbers = {"started": counts.started, "shed": counts.shed, "late": counts.late}
        return {name: number for name, number in (numbers | self._troubles).items() if number}

    def submit(
        self,
        assignment: Assignment,
        systems: Mapping[str, Callable[[], object]],
        served: Served,
        terms: Terms,
    ) -> bool:
        """Ask the candidate among the blocking ``systems`` on a thread, if the request is in the sample.

        Tells whether it will be asked. The limit bounds the answer and its judgement together.
        """
        trial = self._trial(assignment, systems, served, terms)
        if trial is None:
            return False
        system = systems[trial.variant]

        def whole() -> None:
            trial.answered(_timed(system))
            trial.judge()

        return self._background.submit(whole, trial.over, terms.limit_s)

    def spawn(
        self,
        assignment: Assignment,
        systems: Mapping[str, Callable[[], Awaitable[object]]],
        served: Served,
        terms: Terms,
    ) -> bool:
        """Like `submit`, with a coroutine function on the running event loop.

        Comparing and scoring block, and have a thread and a limit of their own.
        """
        trial = self._trial(assignment, systems, served, terms)
        if trial is None:
            return False

        def then(done: Done) -> None:
            trial.answered(done)
            if not trial.judgeable:
                trial.over(done)
            elif not self._judges.submit(trial.judge, trial.over, terms.limit_s):
                self._trouble("unjudged", "there are more answers to compare and score than threads to do it")
                trial.over(done)

        return self._background.spawn(systems[trial.variant], then, terms.limit_s)

    def close(self, timeout: float) -> None:
        """Let what runs on threads come to its end, for at most ``timeout`` seconds, and take no more."""
        self._background.drain(timeout)
        self.stop()

    def stop(self) -> None:
        """Take no more, and let the threads end with what they do. Does not wait."""
        self._background.stop()
        self._judges.stop()

    def _trial(
        self, assignment: Assignment, systems: Mapping[str, object], served: Served, terms: Terms
    ) -> _Trial | None:
        variant = shadow_of(assignment.metadata, assignment.variant, assignment.unit)
        if variant is None:
            return None
        if variant not in systems:
            self._trouble("unserved", f"flag {assignment.flag!r} asks for {variant!r}, which is none of the systems")
            return None
        return _Trial(self._sender, self._trouble, assignment, variant, served, terms)

    def _trouble(self, kind: str, why: str) -> None:
        with self._lock:
            self._troubles[kind] += 1
            first = self._troubles[kind] == 1
        if first:
            _log.warning("shadow call %s (said once): %s", kind, why)


@dataclass(slots=True)
class _Trial:
    """One request, from the candidate's answer to the report. A judgement that comes too late is not reported."""

    sender: Sender
    trouble: Callable[[str, str], None]
    assignment: Assignment
    variant: str
    served: Served
    terms: Terms
    candidate: Done | None = None
    agreement: float | None = None
    qualities: tuple[float | None, float | None] = (None, None)
    void: bool = False

    def answered(self, done: Done) -> None:
        """Take what came of the candidate."""
        self.candidate = done
        if inspect.iscoroutine(done.answer):
            done.answer.close()
            self.void = True
            self.trouble("unserved", f"{self.variant!r} gives a coroutine, which nobody awaits; use shadow_async")

    @property
    def judgeable(self) -> bool:
        """Whether there is an answer of the candidate, or one of stable that is to be scored all the same."""
        done = self.candidate
        return done is not None and (done.ok or (self._unscored and done.error != TIMED_OUT))

    def judge(self) -> None:
        """Compare and score what there is of both answers."""
        served, done, score = self.served, self.candidate, self.terms.score
        if done is not None and done.ok and served.ok:
            self.agreement = self._judged(lambda: _agreement(self._compare()(served.answer, done.answer)))
        if score is not None:
            ours = self._judged(lambda: float(score(served.answer))) if self._unscored else None
            theirs = self._judged(lambda: float(score(done.answer))) if done is not None and done.ok else None
            self.qualities = (ours, theirs)

    @property
    def _unscored(self) -> bool:
        return self.served.ok and self.served.quality is None and self.terms.score is not None

    def over(self, done: Done) -> None:
        """Report both sides."""
        if self.void:
            return
        candidate = self.candidate or done
        if done.error == TIMED_OUT and candidate.ok:
            self.trouble("unjudged", f"comparing and scoring took longer than {done.latency_ms:g} ms")
        stable_quality, quality = self.qualities
        agreement = {} if self.agreement is None else {AGREEMENT: self.agreement}
        known = self.served.quality if self.served.quality is not None else stable_quality
        self._report(str(self.assignment.variant), self.served.ok, self.served.latency_ms, known, {})
        self._report(self.variant, candidate.ok, candidate.latency_ms, quality, agreement)

    def _report(
        self, variant: str, ok: bool, latency_ms: float | None, quality: float | None, values: Mapping[str, float]
    ) -> None:
        given = self.assignment
        about = Subject(given.flag, variant, given.unit, given.generation, given.decided_by)
        measured: dict[str, object] = {"ok": ok, "latency_ms": latency_ms, "quality": quality, "mode": "shadow"}
        try:
            self.sender.put(outcome(about, None, measured, values))
        except ValueError as error:
            self.sender.drop("invalid", told(error))

    def _compare(self) -> Compare:
        chosen = self.terms.compare
        if callable(chosen):
            return chosen
        name = chosen or self.assignment.metadata.get("shadowComparator", "exact")
        if name not in COMPARATORS:
            raise ValueError(f"there is no comparison {name!r}; there are {', '.join(COMPARATORS)}")
        return COMPARATORS[name]

    def _judged(self, judgement: Callable[[], float]) -> float | None:
        try:
            return judgement()
        except BaseException as error:
            self.trouble("unjudged", told(error))
            return None


def _agreement(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"an agreement is a number from 0 to 1, not {value!r}")
    return float(value)


def _timed(call: Callable[[], object]) -> Done:
    began = time.monotonic()
    try:
        answer, error = call(), None
    except BaseException as raised:
        answer, error = None, told(raised)
    return Done(answer, (time.monotonic() - began) * 1000, error)
