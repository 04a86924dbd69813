"""The rules of watching one stage: how its clocks run, and when there is something to decide. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from turnout.domain.durations import format_duration
from turnout.domain.plan import Recourse
from turnout.domain.rollout import ZERO, Clock, Observation, WatchRequest
from turnout.domain.verdicts import Check, Verdict, combine

PATIENCE = 3
"""A source must fail this many checks in a row before the stage is said to hold for it."""

_UNDECIDED = (Verdict.INCONCLUSIVE, Verdict.NO_DATA)
_LONGEST_TEXT = 600


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a watch has come: the clock at its last check ``at``, and source failures in a row."""

    at: datetime
    clock: Clock
    errors: int = 0


def tolerance(request: WatchRequest) -> timedelta:
    """The longest gap between two checks that still counts as watched."""
    return 2 * request.stage.check_every + timedelta(seconds=1)


def advance(request: WatchRequest, progress: Progress, checks: Sequence[Check], now: datetime) -> Progress:
    """The progress after a check at ``now`` found ``checks``.

    Time counts towards the hold only when it was watched and every source answered; a longer gap (everything was
    down) counts towards nothing.
    """
    gap = max(now - progress.at, ZERO)
    errors = progress.errors + 1 if _source_errors(checks) else 0
    clock = progress.clock
    if request.counting and gap <= tolerance(request):
        waiting = bool(errors) or clock.counted >= request.stage.hold
        field = "waited" if waiting else "counted"
        clock = clock.model_copy(update={field: getattr(clock, field) + gap})
    return Progress(now, clock, errors)


def next_check(request: WatchRequest, progress: Progress) -> timedelta:
    """How long to sleep: the usual interval, or less when the hold ends sooner."""
    rest = request.stage.hold - progress.clock.counted
    every = request.stage.check_every
    return min(every, rest) if request.counting and rest > ZERO else every


def conclude(request: WatchRequest, progress: Progress, checks: Sequence[Check]) -> Observation | None:
    """What there is to decide after ``checks``; None to go on watching."""
    failed = [c for c in checks if c.role == "guardrail" and c.verdict is Verdict.FAIL]
    if failed:
        return _seen(progress, "guardrail", Verdict.FAIL, failed, _harshest(request, checks))
    if not request.counting:
        return None
    gates = [c for c in checks if c.role == "gate"]
    over = progress.clock.counted >= request.stage.hold
    verdict = combine(c.verdict for c in gates) if gates else Verdict.PASS
    if over and verdict is Verdict.FAIL:
        return _seen(progress, "judged", verdict, gates)
    if progress.errors:
        return _without_source(request, progress, checks)
    if not over:
        return _recovered(request, progress)
    if verdict is Verdict.PASS:
        return _seen(progress, "judged", verdict, gates)
    return _undecided(request, progress, gates, verdict)


def interrupted(progress: Progress) -> Observation:
    """What a watch that is asked to stop answers, and what its heartbeats carry."""
    return Observation(kind="interrupted", at=progress.at, clock=progress.clock)


def _source_errors(checks: Sequence[Check]) -> list[Check]:
    return [c for c in checks if c.verdict is Verdict.SOURCE_ERROR]


def _without_source(request: WatchRequest, progress: Progress, checks: Sequence[Check]) -> Observation | None:
    if request.blocked is not Verdict.SOURCE_ERROR and progress.errors < PATIENCE:
        return None
    kind = "blocked"
    if request.blocked is Verdict.SOURCE_ERROR:
        if progress.clock.waited < request.stage.deadline:
            return None
        kind = "overdue"
    return _seen(progress, kind, Verdict.SOURCE_ERROR, _source_errors(checks))


def _recovered(request: WatchRequest, progress: Progress) -> Observation | None:
    if request.blocked is not Verdict.SOURCE_ERROR:
        return None
    waited = format_duration(progress.clock.waited)
    text = f"every source answers again; the hold goes on (blocked for {waited} of this stage)"
    return Observation(kind="recovered", at=progress.at, clock=progress.clock, text=text)


def _undecided(
    request: WatchRequest, progress: Progress, gates: Sequence[Check], verdict: Verdict
) -> Observation | None:
    open_gates = [c for c in gates if c.verdict is not Verdict.PASS]
    if request.blocked not in _UNDECIDED:
        return _seen(progress, "blocked", verdict, open_gates)
    if progress.clock.waited < request.stage.deadline:
        return None
    return _seen(progress, "overdue", verdict, open_gates)


def _harshest(request: WatchRequest, checks: Sequence[Check]) -> Recourse:
    guardrails = [c for c in checks if c.role == "guardrail"]
    pairs = zip(request.stage.guardrails, guardrails, strict=True)
    asked = {gate.on_fail for gate, check in pairs if check.verdict is Verdict.FAIL}
    return "pause" if asked == {"pause"} else "rollback"


def _seen(
    progress: Progress,
    kind: str,
    verdict: Verdict,
    checks: Sequence[Check],
    recourse: Recourse | None = None,
) -> Observation:
    relevant = [c for c in checks if verdict is Verdict.PASS or c.verdict is verdict] or list(checks)
    opening = {"guardrail": "guardrail failed: ", "judged": f"gates {verdict}: "}.get(kind, "")
    text = opening + "; ".join(c.text for c in relevant) if relevant else "held; there is nothing to ask at this share"
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


def resumed(request: WatchRequest, last: Observation | None, now: datetime) -> Progress:
    """Where a watch begins: at the request's clock, or at that of an attempt that died.

    Nobody watched between the last check of that attempt and ``now``, so that time counts towards nothing.
    """
    return Progress(at=now, clock=request.clock if last is None else last.clock)
