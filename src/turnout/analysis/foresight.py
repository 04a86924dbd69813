"""What the stages of a plan will need and what they catch, gate by gate, at an expected traffic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from turnout.analysis.outlook import Conditions, Prospect, prospect
from turnout.analysis.policy import alphas_of, shared_alpha
from turnout.domain.bucketing import TOTAL
from turnout.domain.expectation import Expectation
from turnout.domain.plan import SAMPLE_RATIO, Gate, Plan, Stage


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A gate or guardrail of a stage, and its prospect. A guardrail is not asked to pass, only what it catches."""

    role: Literal["gate", "guardrail"]
    gate: Gate
    prospect: Prospect


@dataclass(frozen=True, slots=True)
class StageOutlook:
    """One stage of a plan (``index`` counts from 0): what is foreseen of all that it asks."""

    index: int
    stage: Stage
    foreseen: tuple[Foreseen, ...]

    @property
    def short(self) -> tuple[Foreseen, ...]:
        """The deciding gates that a candidate as expected does not pass within the stage's hold."""
        return tuple(one for one in self.foreseen if self._too_short(one))

    @property
    def needed(self) -> timedelta | None:
        """The hold that would do for every gate; None when no hold does."""
        times = [one.prospect.after for one in self.short]
        return None if None in times else max((time for time in times if time is not None), default=self.stage.hold)

    def _too_short(self, one: Foreseen) -> bool:
        decides = one.role == "gate" and not one.gate.dry_run and not one.prospect.unknown
        return decides and not one.prospect.fits(self.stage.hold)


def foresee(plan: Plan, expected: Expectation) -> tuple[StageOutlook, ...]:
    """What is to be expected of every stage of ``plan``."""
    return tuple(
        StageOutlook(index, stage, tuple(_foreseen(stage, *_expected(stage, plan.share(index), expected))))
        for index, stage in enumerate(plan.stages)
    )


def _expected(stage: Stage, share: float, expected: Expectation) -> tuple[float, Expectation]:
    """The candidate's share, and the traffic of both arms together: in shadow both answer every request of a sample."""
    if stage.shadow is None:
        return share, expected
    both = 2 * stage.shadow.sample / TOTAL
    users = None if expected.users is None else expected.users * both
    return 0.5, expected.model_copy(update={"requests_per_minute": expected.requests_per_minute * both, "users": users})


def _foreseen(stage: Stage, share: float, expected: Expectation) -> Iterator[Foreseen]:
    shared = shared_alpha((*stage.gates, *stage.guardrails))
    for role, gates in (("gate", stage.gates), ("guardrail", stage.guardrails)):
        for gate in gates:
            if gate.metric != SAMPLE_RATIO:
                alphas = alphas_of(gate, shared)
                exposed = stage.exposed / TOTAL
                conditions = Conditions(expected, share * exposed, alphas.fail, alphas.good, stage.hold, exposed)
                yield Foreseen("gate" if role == "gate" else "guardrail", gate, prospect(gate, conditions))
