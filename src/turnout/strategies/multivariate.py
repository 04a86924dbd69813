"""Multivariate test: several arms against one control, with fixed shares, analysed when the sample is in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self, cast

from pydantic import Field, model_validator

from turnout.domain.bucketing import TOTAL
from turnout.domain.errors import InvalidInput, Problem
from turnout.domain.plan import Plan
from turnout.domain.problems import Faults, suggestion
from turnout.domain.spec import Percentage, Policies
from turnout.strategies._trial import Trial, plan_of


class Multivariate(Trial):
    """Every variant of ``allocation`` gets its percentage of the users of the test and is held against ``control``.

    The test then recommends to deploy the best arm, to keep the control, or to continue.
    """

    kind: Literal["multivariate"]
    allocation: dict[str, Percentage] = Field(min_length=2, max_length=20)
    control: str

    @model_validator(mode="after")
    def _splits_the_users(self) -> Self:
        faults = list(self._faults())
        if faults:
            raise Faults(faults)
        return self

    @property
    def treatments(self) -> tuple[str, ...]:
        """The arms that are held against the control, in order."""
        return tuple(arm for arm in self.allocation if arm != self.control)

    def plan(self, spec: Policies, stable: str) -> Plan:
        """One stage with the allocation as it is written.

        Raises:
            InvalidInput: the spec's candidate is no arm that is held against the control.
        """
        if spec.candidate not in self.treatments:
            why = "is not held against the control in strategy.allocation"
            remedy = f"leave it out, or name one of {', '.join(self.treatments)}"
            raise InvalidInput([Problem("candidate", why, remedy, repr(spec.candidate))])
        arms = {arm: round(share * 1000) for arm, share in self.allocation.items()}
        return plan_of(self.kind, spec, stable, self, self.trial_of(arms, self.control))

    def _faults(self) -> Iterator[Problem]:
        if self.end == "adopt":
            why = "makes the candidate stable, and the winner may be another arm"
            yield Problem("end", why, "write return or stay", repr(self.end))
        if self.control not in self.allocation:
            why = "is no arm of the allocation"
            yield Problem("control", why, suggestion(self.control, list(self.allocation)), repr(self.control))
        for arm, share in self.allocation.items():
            if share <= 0:
                yield Problem(f"allocation.{arm}", "gets no users", "give it a share, or remove it", f"{share:g}")
        total = sum(round(share * 1000) for share in self.allocation.values())
        if total != TOTAL:
            yield Problem("allocation", "does not sum to 100 %", "make it sum to 100", f"{total / 1000:g}")


def with_candidate(document: object) -> object:
    """``document`` with a candidate, where a multivariate test leaves it out: the first arm beside the control."""
    if not isinstance(document, dict):
        return document
    written = cast("dict[str, object]", document)
    strategy = written.get("strategy")
    if "candidate" in written or not isinstance(strategy, dict):
        return written
    test = cast("dict[str, object]", strategy)
    arms = test.get("allocation")
    if test.get("kind") != "multivariate" or not isinstance(arms, dict):
        return written
    named = (arm for arm in cast("dict[str, object]", arms) if arm != test.get("control"))
    first = next(named, None)
    return written if first is None else {**written, "candidate": first}
