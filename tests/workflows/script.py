"""What a scripted lookout answers: observations for a whole stage at once, true at a later (virtual) time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from turnout.domain.freezes import Freeze, opening
from turnout.domain.recourse import policy_of
from turnout.domain.rollout import ZERO, Clock, Observation, WatchRequest
from turnout.domain.verdicts import Check, Verdict
from turnout.domain.vigil import advance, conclude, interrupted, next_check, resumed

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FOREVER = timedelta(days=365)

Answer = Callable[[WatchRequest, datetime], Observation | None]

Evidence = Callable[[WatchRequest, timedelta], Sequence[Check]]
"""What the gates and guardrails of a stage find so long after it was entered."""


def rest_of_hold(request: WatchRequest) -> timedelta:
    """What is still to be counted, from the request's clock on."""
    return max(request.stage.hold - request.clock.counted, ZERO)


def seen(
    request: WatchRequest, now: datetime, kind: str, verdict: Verdict, watched: timedelta, **more: object
) -> Observation:
    """An observation after ``watched``: up to the hold that time counts, what is beyond was waited."""
    counted = min(watched, rest_of_hold(request)) if request.counting else ZERO
    waited = watched - counted if request.counting else ZERO
    if request.blocked is Verdict.SOURCE_ERROR:
        counted, waited = ZERO, watched
    clock = Clock(counted=request.clock.counted + counted, waited=request.clock.waited + waited)
    text = f"scripted {kind} {verdict}"
    more = {"evidence": "e1", "text": text} | more
    return Observation.model_validate({"kind": kind, "at": now + watched, "clock": clock, "verdict": verdict} | more)


def quiet(request: WatchRequest, now: datetime) -> Observation:
    """Nothing to decide for a year."""
    return seen(request, now, "interrupted", Verdict.NO_DATA, FOREVER)


def endless(request: WatchRequest, now: datetime) -> None:
    """Watch on until told to stop; real time only, as the server skips no time while an activity runs."""


def judged(verdict: Verdict) -> Answer:
    """The gates' ``verdict`` at the end of the hold."""
    return lambda request, now: seen(request, now, "judged", verdict, rest_of_hold(request))


def fails_early(after: timedelta) -> Answer:
    """A gate fails for good ``after`` the watch began, or at the end of the hold if that is sooner."""
    return lambda request, now: seen(request, now, "judged", Verdict.FAIL, min(after, rest_of_hold(request)))


def guardrail(after: timedelta = HOUR, recourse: str = "rollback") -> Answer:
    """A guardrail fails ``after`` the watch began."""
    return lambda request, now: seen(request, now, "guardrail", Verdict.FAIL, after, recourse=recourse)


def blocked(verdict: Verdict, after: timedelta | None = None) -> Answer:
    """The stage cannot be decided, from ``after`` (default: the end of the hold) on."""
    return lambda request, now: seen(
        request, now, "blocked", verdict, rest_of_hold(request) if after is None else after
    )


def recovered(after: timedelta = HOUR) -> Answer:
    """The source answers again."""
    return lambda request, now: seen(request, now, "recovered", Verdict.NO_DATA, after)


def overdue(verdict: Verdict) -> Answer:
    """Blocked by the first gate until the deadline, which comes to what that gate's policy asks for."""

    def answer(request: WatchRequest, now: datetime) -> Observation:
        recourse = policy_of(request.stage, request.stage.gates[0], verdict)
        if recourse == "hold":
            return quiet(request, now)
        asked = "advance" if recourse == "advance_if_no_evidence_of_harm" else recourse
        more = max(request.stage.deadline - request.clock.waited, ZERO)
        clock = Clock(counted=request.clock.counted, waited=request.clock.waited + more)
        return seen(request, now, "overdue", verdict, more, recourse=asked).model_copy(update={"clock": clock})

    return answer


def watched(evidence: Evidence) -> Answer:
    """What the real rules of watching come to on ``evidence``, checked as often as the stage says, for a year."""

    def answer(request: WatchRequest, now: datetime) -> Observation:
        progress, at = resumed(request, None, now), now
        while at < now + FOREVER:
            checks = evidence(request, at - request.since)
            progress = advance(request, progress, checks, at)
            found = conclude(request, progress, checks)
            if found is not None:
                return found.model_copy(update={"evidence": "e1"})
            at += next_check(request, progress)
        return interrupted(progress)

    return answer


def in_its_time(
    request: WatchRequest, seen: Observation | None, freezes: Sequence[Freeze], now: datetime
) -> Observation | None:
    """``seen``, unless the calendar forbids what it leads to; while that is waited for, a pass once it is allowed."""
    if request.windows is None or seen is None:
        return seen
    if request.closed is not None:
        opens = now
        while (closed := opening(request.windows, freezes, request.flag, opens).closed) is not None:
            if closed.opens_at is None:
                return seen
            opens = closed.opens_at
        if seen.at < opens:
            return seen
        seen = seen_at(request, opens)
    if not (seen.kind == "judged" and seen.verdict is Verdict.PASS) and seen.recourse != "advance":
        return seen
    found = opening(request.windows, freezes, request.flag, seen.at)
    if found.closed is None:
        return seen.model_copy(update={"until": seen.until or found.until})
    return seen.model_copy(update={"kind": "waiting", "closed": found.closed, "recourse": None})


def seen_at(request: WatchRequest, at: datetime) -> Observation:
    """The gates pass at ``at``, with the clock as it stands."""
    return Observation(
        kind="judged", at=at, clock=request.clock, verdict=Verdict.PASS, evidence="e2", text="pass again"
    )


def wins(arm: str) -> Answer:
    """A test recommends ``arm`` at the end of the hold."""
    return lambda request, now: seen(request, now, "judged", Verdict.PASS, rest_of_hold(request), winner=arm)


passes, fails = judged(Verdict.PASS), judged(Verdict.FAIL)


class Script:
    """The n-th counting watch of a stage gets that stage's n-th answer, the last one for ever; other stages pass.

    ``standing`` are the answers to watches without a running clock (paused, awaiting approval), in order.
    """

    def __init__(self, stages: Mapping[int, Sequence[Answer]] | None = None, standing: Sequence[Answer] = ()) -> None:
        self._stages = stages or {}
        self._standing = (*standing, quiet)
        self._asked: Counter[int] = Counter()

    def __call__(self, request: WatchRequest, now: datetime) -> Observation | None:
        """The answer to ``request``."""
        place = request.index if request.counting else -1
        answers = self._stages.get(request.index, (passes,)) if request.counting else self._standing
        turn = self._asked[place]
        self._asked[place] += 1
        return answers[min(turn, len(answers) - 1)](request, now)
