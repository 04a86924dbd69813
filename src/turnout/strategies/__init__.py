"""Strategies: each file turns what a person writes of one strategy into a plan.

A new strategy is a new file with a model (its ``kind``, ``needs_gates`` and ``plan``) and its name in ``Strategy``.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from turnout.domain.errors import InvalidInput, Problem
from turnout.domain.plan import Plan
from turnout.domain.problems import problems_of
from turnout.domain.spec import Policies
from turnout.strategies._ramp import along
from turnout.strategies.canary import Canary
from turnout.strategies.gradual import Gradual

__all__ = ["Canary", "Gradual", "RolloutSpec", "along", "compile_plan", "parse_spec"]

Strategy = Annotated[Canary | Gradual, Field(discriminator="kind")]


class RolloutSpec(Policies):
    """A rollout as a person writes it."""

    strategy: Strategy

    @model_validator(mode="after")
    def _grows_on_evidence(self) -> Self:
        if not self.strategy.needs_gates or any(not gate.dry_run for gate in self.gates):
            return self
        found = "every gate is a dry run" if self.gates else "there is no gate"
        raise ValueError(
            f"{found}, and traffic grows only on evidence; "
            "add one under gates:, or use a canary with auto_promote: false to move by hand"
        )


def parse_spec(document: object) -> RolloutSpec:
    """Read a spec from plain data (as YAML or JSON gives it).

    Raises:
        InvalidInput: with every problem in the document: path, value and remedy.
    """
    if not isinstance(document, dict):
        remedy = "start with flag:, candidate:, strategy: and gates:"
        raise InvalidInput([Problem("", "a rollout spec is a mapping", remedy)])
    try:
        return RolloutSpec.model_validate(document)
    except ValidationError as error:
        raise InvalidInput(problems_of(error, RolloutSpec)) from error


def compile_plan(spec: RolloutSpec, stable: str) -> Plan:
    """The plan of ``spec``: moving traffic from ``stable`` to the spec's candidate.

    Raises:
        InvalidInput: the candidate is the stable variant already.
    """
    if spec.candidate == stable:
        remedy = "name another variant of the flag"
        raise InvalidInput([Problem("candidate", "serves all users already", remedy, repr(stable))])
    return spec.strategy.plan(spec, stable)
