"""What a gate would have decided, as a sentence."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from turnout.domain.durations import format_duration
from turnout.domain.plan import Gate
from turnout.domain.rejudged import RejudgedGate
from turnout.domain.rollout import Decision, DecisionKind
from turnout.domain.verdicts import Check, Verdict

_SECOND: Final = timedelta(seconds=1)
_DID: Final[dict[DecisionKind, str]] = {
    "advanced": "advanced there",
    "overridden": "was moved on there without the gates",
    "moved_back": "went back a stage there",
    "restarted": "began the stage anew",
    "adjusted": "changed a share there",
    "adjusted_by_override": "changed a share there by override",
    "withdrawn": "took everybody back there",
    "adopted": "gave everybody the candidate there",
    "settled": "left the traffic as it was there",
    "returned": "ended there, everybody on stable",
}


def told(found: RejudgedGate, gate: Gate, where: str, since: datetime, ended: Decision | None) -> str:
    """``gate error_rate ≤ 0.01 would have failed stage 2 (25 %) after 14m; the rollout advanced there after 30m``.

    ``since`` is when the stage ``where`` began, ``ended`` the decision that ended it.
    """
    name = f"{found.role} {found.gate}" + (" (dry run)" if gate.dry_run else "")
    if found.final is None:
        return f"{name} reads a {gate.source.kind} source; only gates on outcomes can be asked of the past"
    return f"{name} {_would(found, found.final, where, ended)}; {_did(since, ended)}"


def _would(found: RejudgedGate, final: Check, where: str, ended: Decision | None) -> str:
    end = "so far in" if ended is None else "at the end of"
    match final.verdict:
        case Verdict.FAIL if found.role == "gate" and not final.anytime:
            # Only the look at the end of the hold acts on it.
            return f"would have failed {end} {where}"
        case Verdict.FAIL:
            return f"would have failed {where}{_when(found.failed_after)}"
        case Verdict.PASS:
            before = f" (and failed{_when(found.failed_after)})" if found.failed_after is not None else ""
            return f"would have passed {where}, first{_when(found.passed_after)}{before}"
        case Verdict.NO_DATA:
            return f"would have had no data in {where}"
        case Verdict.INCONCLUSIVE:
            return f"would have been undecided {end} {where}{_between(found)}"
        case Verdict.SOURCE_ERROR:
            return f"could not have been asked in {where}"


def _between(found: RejudgedGate) -> str:
    firsts = (("passed", found.passed_after), ("failed", found.failed_after))
    seen = [f"{did}{_when(after)}" for did, after in firsts if after is not None]
    return f" (it first {' and '.join(seen)})" if seen else ""


def _when(after: timedelta | None) -> str:
    return "" if after is None else f" after {_span(after)}"


def _did(since: datetime, ended: Decision | None) -> str:
    if ended is None:
        return "the rollout is still there"
    return f"the rollout {_DID.get(ended.kind, 'ended there')} after {_span(ended.at - since)}"


def _span(length: timedelta) -> str:
    return format_duration(_SECOND * round(length / _SECOND)) if length >= _SECOND else format_duration(length)
