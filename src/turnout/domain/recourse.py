"""What to do about a stage that is still undecided at its deadline. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from turnout.domain.answered import Answered
from turnout.domain.plan import Gate, Stage, Undecided
from turnout.domain.verdicts import Verdict

HARM: Final = 0.2
"""A claim "beyond the limit" whose p-value is at most this is evidence of harm: odds of 5 to 1 against the candidate.

A p-value that is valid at every look falls this low for at most a fifth of the candidates that are just at the limit
(Ville's inequality). To get here takes ln 5 / ln 100, about a third, of the evidence that a failure at 0.01 takes, so
that harm too rare to fail in time still stops the advance. The estimate alone does not: with few data it lies beyond
the limit by chance.
"""

Remedy = Literal["rollback", "pause", "hold", "advance"]
"""What the deadline comes to."""

_BY_CAUTION: Final[tuple[Literal["rollback", "pause", "hold"], ...]] = ("rollback", "pause", "hold")


def remedy(stage: Stage, waits_for: Sequence[Answered], answered: Sequence[Answered]) -> Remedy:
    """The most cautious of what all ask for that the stage ``waits_for``: rollback, pause, hold, then advance.

    To advance without proof takes that nothing among all ``answered`` speaks for harm; otherwise the stage pauses.
    """
    asked = {policy(stage, one) for one in waits_for}
    for recourse in _BY_CAUTION:
        if recourse in asked:
            return recourse
    return "advance" if asked and no_evidence_of_harm(answered) else "pause"


def policy(stage: Stage, one: Answered) -> Undecided:
    """What the spec asks for when ``one`` is what keeps ``stage`` undecided at the deadline.

    A gate's own policy goes before the stage's. Nothing advances past a failing signal: that would be to trust the
    numbers it calls into question.
    """
    asked = policy_of(stage, one.gate, one.keeps_open)
    return "pause" if one.role == "signal" and asked == "advance_if_no_evidence_of_harm" else asked


def policy_of(stage: Stage, gate: Gate, verdict: Verdict) -> Undecided:
    """The policy of ``gate`` for ``verdict`` (no_data, source_error, else inconclusive), or else that of ``stage``."""
    match verdict:
        case Verdict.NO_DATA:
            return gate.on_no_data or stage.on_no_data
        case Verdict.SOURCE_ERROR:
            return gate.on_source_error or stage.on_source_error
        case _:
            return gate.on_inconclusive or stage.on_inconclusive


def no_evidence_of_harm(answered: Iterable[Answered]) -> bool:
    """Whether all data that was asked for is there, and none of it speaks against the candidate.

    Every gate passes, or is inconclusive on at least its minimum of outcomes and users with a p-value above `HARM`;
    without a p-value (a single number, a score) there is no telling. No guardrail or signal fails or lacks its data,
    and no guardrail has a p-value of `HARM` or less.
    """
    return all(_clears(one) for one in answered)


def _clears(one: Answered) -> bool:
    check = one.check
    if check.verdict not in (Verdict.PASS, Verdict.INCONCLUSIVE):
        return False
    if one.role == "signal" or (one.role == "gate" and check.verdict is Verdict.PASS):
        return True
    if one.role == "guardrail":
        return check.p_fail is None or check.p_fail > HARM
    return _has_its_minimum(one) and check.p_fail is not None and check.p_fail > HARM


def _has_its_minimum(one: Answered) -> bool:
    gate, check = one.gate, one.check
    of_enough_users = gate.source.kind != "outcomes" or check.units >= gate.min_units
    return check.samples >= gate.min_samples and of_enough_users
