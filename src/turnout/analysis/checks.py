"""All gates and guardrails of a stage together: what is asked, and what the answers come to. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from turnout.analysis.judge import Role, breaches_after, failed_source, judge
from turnout.domain.errors import TurnoutError
from turnout.domain.plan import Gate, Stage
from turnout.domain.readings import Reading
from turnout.domain.verdicts import Check

Answer = Reading | TurnoutError
"""What asking one gate's source came to: a reading, or why there is none."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One gate or guardrail of a stage. ``key`` tells it apart from the stage's others: ``guardrail:0``."""

    gate: Gate
    role: Role
    index: int

    @property
    def key(self) -> str:
        """The name under which its breaches in a row are counted."""
        return f"{self.role}:{self.index}"


def asked_of(stage: Stage) -> tuple[Asked, ...]:
    """Everything ``stage`` asks, the gates first, both in the order of the plan."""
    gates = [Asked(gate, "gate", index) for index, gate in enumerate(stage.gates)]
    return (*gates, *(Asked(gate, "guardrail", index) for index, gate in enumerate(stage.guardrails)))


def conclude(
    asked: Sequence[Asked], answers: Sequence[Answer], breaches: Mapping[str, int]
) -> tuple[tuple[Check, ...], dict[str, int]]:
    """The checks of ``answers`` (one for each asked, in order), and the breaches in a row by key after them.

    A failed source leaves its count as it was: it neither lengthens nor ends a row.
    """
    pairs = tuple(zip(asked, answers, strict=True))
    checks = tuple(_check(one, answer, breaches.get(one.key, 0)) for one, answer in pairs)
    return checks, {one.key: _row(one, answer, breaches.get(one.key, 0)) for one, answer in pairs}


def _check(one: Asked, answer: Answer, before: int) -> Check:
    if isinstance(answer, TurnoutError):
        return failed_source(one.gate, one.role, answer)
    return judge(one.gate, one.role, answer, before)


def _row(one: Asked, answer: Answer, before: int) -> int:
    return before if isinstance(answer, TurnoutError) else breaches_after(one.gate, answer, before)
