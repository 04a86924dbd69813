"""The checks of a stage next to the gates they answer; those that decide nothing are left out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from turnout.domain.plan import Gate, Stage
from turnout.domain.verdicts import Check, Verdict

Role = Literal["gate", "guardrail", "signal"]


@dataclass(frozen=True, slots=True)
class Answered:
    """A gate and what it found. The ``role`` follows from the plan: a guardrail with ``on_fail: hold`` is a signal."""

    role: Role
    gate: Gate
    check: Check

    @property
    def failed(self) -> bool:
        """Whether harm, or a broken signal, is proven."""
        return self.check.verdict is Verdict.FAIL

    @property
    def comparative(self) -> bool:
        """Whether the answer rests on both arms being alike but for the candidate."""
        return self.gate.versus is not None or self.gate.score is not None

    @property
    def keeps_open(self) -> Verdict:
        """As which verdict this keeps the stage undecided: a failing signal says nothing about the candidate."""
        return Verdict.INCONCLUSIVE if self.role == "signal" and self.failed else self.check.verdict


def deciding(stage: Stage, checks: Sequence[Check]) -> tuple[Answered, ...]:
    """Every deciding gate and guardrail of ``stage`` with its check; ``checks`` hold each of them in the plan's order.

    Raises:
        ValueError: the checks are not those of the stage.
    """
    gates = zip(stage.gates, [c for c in checks if c.role == "gate"], strict=True)
    guardrails = zip(stage.guardrails, [c for c in checks if c.role != "gate"], strict=True)
    answered = [Answered("gate", gate, check) for gate, check in gates]
    answered += [Answered("signal" if g.on_fail == "hold" else "guardrail", g, check) for g, check in guardrails]
    return tuple(a for a in answered if not (a.gate.dry_run or a.check.dry_run))
