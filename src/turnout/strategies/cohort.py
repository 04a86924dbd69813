"""Cohort: one named group of users after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from turnout.domain.errors import Problem
from turnout.domain.matching import Match
from turnout.domain.plan import Plan
from turnout.domain.problems import Faults
from turnout.domain.spec import Policies
from turnout.strategies._segmented import MOST_PARTS, Part, PartSpec, Segmented, Walk, part_problems, unproven


class CohortSpec(PartSpec):
    """A cohort: whom it ``match``es (see `turnout.domain.matching`) and how many of them get the candidate."""

    match: Match


class Cohort(Segmented):
    """One stage a cohort, in the order written; the first cohort that matches a user is the user's.

    A user of no cohort stays on stable. When the rollout completes, each cohort keeps its percentage.
    """

    kind: Literal["cohort"]
    cohorts: tuple[CohortSpec, ...] = Field(max_length=MOST_PARTS)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if problems := list(part_problems("cohorts", self._parts)):
            raise Faults(problems)
        return self

    def unproven(self, spec: Policies, more: bool) -> Iterator[Problem]:
        """Cohorts about which nothing would be asked before the next one, or before what comes after (``more``)."""
        return unproven("cohorts", self._parts, spec, more)

    def plan(self, spec: Policies, stable: str) -> Plan:
        """One stage a cohort."""
        return Walk(self.kind, self, self._parts).plan(spec, stable)

    @property
    def _parts(self) -> tuple[Part, ...]:
        return tuple(Part(cohort, cohort.match.condition, cohort.match.size) for cohort in self.cohorts)
