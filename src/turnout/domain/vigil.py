"""The rules of watching one stage: how its clocks run, and when there is something to decide. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from turnout.domain.answered import Answered, deciding
from turnout.domain.durations import format_duration
from turnout.domain.freezes import Closed, Opening
from turnout.domain.plan import SAMPLE_RATIO
from turnout.domain.recourse import Remedy, policy, remedy
from turnout.domain.rollout import ZERO, Clock, Observation, WatchRequest
from turnout.domain.verdicts import Check, Verdict, combine

_UNDECIDED = (Verdict.INCONCLUSIVE, Verdict.NO_DATA)
_LONGEST_TEXT = 600


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a watch has come: the clock at its last check ``at``, and checks in a row with a source that failed."""

    at: datetime
    clock: Clock
    errors: int = 0


def tolerance(request: WatchRequest) -> timedelta:
    """The longest gap between two checks that still counts as watched."""
    return 2 * request.stage.check_every + timedelta(seconds=1)


def advance(request: WatchRequest, progress: Progress, checks: Sequence[Check], now: datetime) -> Progress:
    """The progress after a check at ``now`` found ``checks``.

    Time counts towards the hold only when it was watched, every source answered and no signal failed; a longer gap
    (everything was down) counts towards nothing.
    """
    answered = deciding(request.stage, checks)
    gap = max(now - progress.at, ZERO)
    errors = progress.errors + 1 if any(_unanswered(one) for one in answered) else 0
    clock = progress.clock
    if request.counting and gap <= tolerance(request):
        waiting = errors or _failing_signals(answered) or clock.counted >= request.stage.hold
        field = "waited" if waiting else "counted"
        clock = clock.model_copy(update={field: getattr(clock, field) + gap})
    return Progress(now, clock, errors)


def next_check(request: WatchRequest, progress: Progress) -> timedelta:
    """How long to sleep: the usual interval, or less when the hold ends or the window opens sooner."""
    rest = request.stage.hold - progress.clock.counted
    every = request.stage.check_every
    if request.closed is not None and request.closed.opens_at is not None and request.closed.opens_at > progress.at:
        return min(every, request.closed.opens_at - progress.at)
    return min(every, rest) if request.counting and rest > ZERO else every


def asks_calendar(request: WatchRequest, progress: Progress, checks: Sequence[Check]) -> bool:
    """Whether it matters now, after ``checks``, if traffic may move forward."""
    if request.windows is None:
        return False
    return request.closed is not None or _over(request, progress, deciding(request.stage, checks))


def conclude(
    request: WatchRequest, progress: Progress, checks: Sequence[Check], opening: Opening | None = None
) -> Observation | None:
    """What there is to decide after ``checks``; None to go on watching. Dry runs decide nothing.

    A failed guardrail acts at once, and so does a gate whose failure stays right however often one looks. Every other
    failure waits for the end of the hold, and every pass does, too; the hold of a test ends with its result. What moves
    traffic forward waits until the calendar's ``opening`` allows it (asked for where `asks_calendar`), and then the
    gates have their say once more.
    """
    seen = _concluded(request, progress, checks, opening)
    return seen if seen is None or opening is None else _in_its_time(seen, opening)


def _over(request: WatchRequest, progress: Progress, answered: Sequence[Answered]) -> bool:
    """Whether the hold has ended: by its time, or by the result of a test."""
    return _timed_out(request, progress) or any(map(_settled, answered))


def _timed_out(request: WatchRequest, progress: Progress) -> bool:
    return progress.clock.counted >= request.stage.hold


def _in_its_time(seen: Observation, opening: Opening) -> Observation:
    """``seen``, or that what it leads to has to wait."""
    if not (seen.verdict is Verdict.PASS and seen.kind == "judged") and seen.recourse != "advance":
        return seen
    if opening.closed is None:
        return seen.model_copy(update={"until": opening.until})
    return seen.model_copy(update={"kind": "waiting", "closed": opening.closed, "recourse": None})


def _concluded(
    request: WatchRequest, progress: Progress, checks: Sequence[Check], opening: Opening | None
) -> Observation | None:
    answered = deciding(request.stage, checks)
    alarms = [one for one in answered if one.role == "guardrail" and one.failed]
    if alarms:
        everybody_back = any(one.gate.on_fail != "pause" for one in alarms)
        return _seen(progress, "guardrail", Verdict.FAIL, alarms, "rollback" if everybody_back else "pause")
    if not request.counting and request.closed is None:
        return None
    closed = opening.closed if opening is not None and request.closed is not None else None
    if _timed_out(request, progress) and any(map(_looks_later, answered)):
        return None  # the test was asked just before the end of its time, and is analysed at the next check
    over = _over(request, progress, answered) and closed is None
    proven = [one for one in _failed_gates(answered) if over or one.check.anytime]
    if proven:
        return _seen(progress, "judged", Verdict.FAIL, proven)
    if closed is not None:
        return _still_closed(request, progress, closed)
    waits_for = _waits_for(request, progress, answered, over)
    if waits_for:
        return _undecided(request, progress, waits_for, answered)
    if any(map(_unanswered, answered)):
        return None  # a source that has failed no more often than is borne
    if not over:
        return _recovered(request, progress)
    passed = [one for one in answered if one.role == "gate"]
    return _seen(progress, "judged", Verdict.PASS, passed).model_copy(update={"winner": _winner(passed)})


def as_of(request: WatchRequest, progress: Progress, now: datetime) -> WatchRequest:
    """``request`` with its clock at ``now``, for sources that have to know when the stage's time is up."""
    gap = max(now - progress.at, ZERO)
    clock = progress.clock
    if request.counting and gap <= tolerance(request):
        clock = clock.model_copy(update={"counted": clock.counted + gap})
    return request.model_copy(update={"clock": clock})


def _still_closed(request: WatchRequest, progress: Progress, closed: Closed) -> Observation | None:
    """That traffic may move at another time than was known: a freeze has come, or gone."""
    if closed == request.closed:
        return None
    text = "the calendar has changed"
    return Observation(kind="waiting", at=progress.at, clock=progress.clock, text=text, closed=closed)


def interrupted(progress: Progress) -> Observation:
    """What a watch that is asked to stop answers, and what its heartbeats carry."""
    return Observation(kind="interrupted", at=progress.at, clock=progress.clock)


def _settled(one: Answered) -> bool:
    found = one.check.experiment
    return one.role == "gate" and found is not None and found.final


def _looks_later(one: Answered) -> bool:
    found = one.check.experiment
    return found is not None and not found.final and one.check.verdict is Verdict.INCONCLUSIVE


def _winner(passed: Sequence[Answered]) -> str | None:
    advice = (one.check.experiment.recommendation for one in passed if one.check.experiment is not None)
    return next((one.winner for one in advice if one is not None), None)


def _unanswered(one: Answered) -> bool:
    return one.check.verdict is Verdict.SOURCE_ERROR


def _failing_signals(answered: Sequence[Answered]) -> list[Answered]:
    return [one for one in answered if one.role == "signal" and one.failed]


def _failed_gates(answered: Sequence[Answered]) -> list[Answered]:
    """The gates whose failure can be trusted: users who are not split as planned cannot be compared."""
    split = not any(one.gate.metric == SAMPLE_RATIO and one.failed for one in answered)
    return [one for one in answered if one.role == "gate" and one.failed and (split or not one.comparative)]


def _waits_for(request: WatchRequest, progress: Progress, answered: Sequence[Answered], over: bool) -> list[Answered]:
    """What keeps the stage from being decided: sources that stay away, failing signals, then the gates themselves."""
    known = request.blocked is Verdict.SOURCE_ERROR

    def stays_away(one: Answered) -> bool:
        # A check that does not count its failed reads is held against the watch's own row.
        return _unanswered(one) and (known or (one.check.errors or progress.errors) > one.gate.consecutive_error_limit)

    blocking = [*filter(stays_away, answered), *_failing_signals(answered)]
    if not over or (not blocking and any(map(_unanswered, answered))):
        return blocking
    return blocking + [one for one in answered if one.role == "gate" and one.check.verdict in _UNDECIDED]


def _undecided(
    request: WatchRequest, progress: Progress, waits_for: Sequence[Answered], answered: Sequence[Answered]
) -> Observation | None:
    verdict = combine(one.keeps_open for one in waits_for)
    known = (Verdict.SOURCE_ERROR,) if verdict is Verdict.SOURCE_ERROR else _UNDECIDED
    if request.blocked not in known:
        return _seen(progress, "blocked", verdict, waits_for)
    if progress.clock.waited < request.stage.deadline:
        return None
    asked = remedy(request.stage, waits_for, answered)
    if asked == "hold":
        return None
    # Told is what asked for this: another doubt next to it may have asked for less.
    causes = [one for one in waits_for if policy(request.stage, one) == asked] or waits_for
    return _seen(progress, "overdue", combine(one.keeps_open for one in causes), causes, asked)


def _recovered(request: WatchRequest, progress: Progress) -> Observation | None:
    if request.blocked is None:
        return None
    waited = format_duration(progress.clock.waited)
    good = "every source answers again" if request.blocked is Verdict.SOURCE_ERROR else "no signal fails any more"
    text = f"{good}; the hold goes on (blocked for {waited} of this stage)"
    return Observation(kind="recovered", at=progress.at, clock=progress.clock, text=text)


def _seen(
    progress: Progress,
    kind: str,
    verdict: Verdict,
    answered: Sequence[Answered],
    recourse: Remedy | None = None,
) -> Observation:
    opening = {"guardrail": "guardrail failed: ", "judged": f"gates {verdict}: "}.get(kind, "")
    relevant = [one for one in answered if one.keeps_open is verdict]
    text = opening + "; ".join(map(_told, relevant)) if relevant else "held; there is nothing to ask at this share"
    return Observation.model_validate(
        {
            "kind": kind,
            "at": progress.at,
            "clock": progress.clock,
            "verdict": verdict,
            "recourse": recourse,
            "text": text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…",
        }
    )


def _told(one: Answered) -> str:
    return f"signal {one.gate.label} fails: {one.check.text}" if one.role == "signal" and one.failed else one.check.text


def resumed(request: WatchRequest, last: Observation | None, now: datetime) -> Progress:
    """Where a watch begins: at the request's clock, or at that of an attempt that died.

    Nobody watched between the last check of that attempt and ``now``, so that time counts towards nothing.
    """
    return Progress(at=now, clock=request.clock if last is None else last.clock)
