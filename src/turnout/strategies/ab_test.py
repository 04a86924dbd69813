"""A/B test: the candidate against stable with fixed shares, analysed when the sample is in."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from turnout.domain.bucketing import TOTAL
from turnout.domain.plan import Plan
from turnout.domain.spec import Policies
from turnout.strategies._trial import Trial, plan_of


class AbTest(Trial):
    """``ratio`` of the users of the test get the candidate, the others stable, until the sample or the time is reached.

    The test then recommends to deploy the candidate, to keep stable, or to continue.
    """

    kind: Literal["ab_test"]
    ratio: float = Field(default=0.5, ge=0.001, le=0.999)

    def plan(self, spec: Policies, stable: str) -> Plan:
        """One stage; the candidate first."""
        share = round(self.ratio * TOTAL)
        arms = {spec.candidate: share, stable: TOTAL - share}
        return plan_of(self.kind, spec, stable, self, self.trial_of(arms, stable))
