"""All gates and guardrails of a stage together: what is asked, and what the answers come to. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from turnout.analysis.judge import Role, failed_source, judge
from turnout.analysis.policy import alphas_of, comparative, shared_alpha
from turnout.domain.errors import TurnoutError
from turnout.domain.plan import SAMPLE_RATIO, Gate, Stage
from turnout.domain.readings import Reading
from turnout.domain.verdicts import Check, Verdict

Answer = Reading | TurnoutError
"""What asking one gate's source came to: a reading, or why there is none."""

_MISMATCH: Final = "users are not split as planned, and a comparison means nothing then; without that: "
_STANDS: Final = "this has failed in this stage, and that stands; at this look: "
_CLAIMS: Final = (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE)


@dataclass(frozen=True, slots=True)
class Asked:
    """One gate or guardrail of a stage. ``key`` tells it apart from the stage's others: ``guardrail:0``."""

    gate: Gate
    kind: Literal["gate", "guardrail"]
    index: int

    @property
    def key(self) -> str:
        """The name under which its checks are remembered."""
        return f"{self.kind}:{self.index}"

    @property
    def role(self) -> Role:
        """A guardrail that makes the stage wait is a signal."""
        return "signal" if self.kind == "guardrail" and self.gate.on_fail == "hold" else self.kind

    @property
    def final(self) -> bool:
        """Whether a failure stands for the stage.

        Not so of a signal, which may recover, and of methods for one look, which a later look must not find failed
        because an earlier one did. A test remembers its own result.
        """
        for_one_look = self.gate.method == "fixed" or self.gate.score is not None or self.gate.experiment is not None
        return self.role != "signal" and not for_one_look


def asked_of(stage: Stage) -> tuple[Asked, ...]:
    """Everything ``stage`` asks, the gates first, both in the order of the plan."""
    gates = [Asked(gate, "gate", index) for index, gate in enumerate(stage.gates)]
    return (*gates, *(Asked(gate, "guardrail", index) for index, gate in enumerate(stage.guardrails)))


def conclude(asked: Sequence[Asked], answers: Sequence[Answer], previous: Mapping[str, Check]) -> tuple[Check, ...]:
    """The checks of ``answers`` (one for each asked, in order).

    ``previous`` are the last checks of the same stage by key: the memory of rows of breaches, of failed reads in a row
    and of what has failed already. `remembered` makes the next memory of what is returned. The error rate of a fail is
    shared among all that is asked; while the users are not split as planned, comparisons are inconclusive.
    """
    shared = shared_alpha(one.gate for one in asked)
    checks = [_check(one, answer, _memory(one, previous), shared) for one, answer in zip(asked, answers, strict=True)]
    if any(map(_mismatch, checks)):
        checks = [_muted(one, check) for one, check in zip(asked, checks, strict=True)]
    return tuple(checks)


def remembered(checks: Sequence[Check]) -> dict[str, Check]:
    """The memory that ``checks`` are for the next look at the same stage, by key."""
    return {check.key: check for check in checks if check.key}


def _check(one: Asked, answer: Answer, before: Check | None, shared: float) -> Check:
    if isinstance(answer, TurnoutError):
        check = failed_source(one.gate, one.role, answer, before, one.key)
    else:
        check = judge(one.gate, one.role, answer, alphas_of(one.gate, shared), before, one.key)
    return _latched(check, before) if one.final else check


def _memory(one: Asked, previous: Mapping[str, Check]) -> Check | None:
    """The gate's last check; a position may have another gate by now, since some are not asked during a pause."""
    known = previous.get(one.key)
    if known is not None and known.gate == one.gate.label:
        return known
    return next((c for c in previous.values() if c.role == one.role and c.gate == one.gate.label), None)


def _latched(check: Check, before: Check | None) -> Check:
    """``check``, or the failure that stands."""
    if before is None or not before.latched:
        return check.model_copy(update={"latched": check.verdict is Verdict.FAIL})
    update: dict[str, object] = {"latched": True}
    if check.verdict is not Verdict.FAIL:
        update |= {"verdict": Verdict.FAIL, "text": _STANDS + check.text, "missing": ""}
    return check.model_copy(update=update)


def _mismatch(check: Check) -> bool:
    return check.metric == SAMPLE_RATIO and check.verdict is Verdict.FAIL and not check.dry_run


def _muted(one: Asked, check: Check) -> Check:
    """A comparison while the split is wrong: neither proof of harm nor of good, and no memory of such."""
    if not comparative(one.gate) or check.verdict not in _CLAIMS:
        return check
    text = _MISMATCH + check.text.removeprefix(_STANDS)
    update = {"verdict": Verdict.INCONCLUSIVE, "text": text, "latched": False, "missing": "users split as planned"}
    return check.model_copy(update=update)
