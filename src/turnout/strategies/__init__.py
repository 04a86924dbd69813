"""Strategies: each file turns what a person writes of one strategy into a plan.

A new strategy is a new file with a model (its ``kind``, ``needs_gates`` and ``plan``) and its name in ``_kinds``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from turnout.domain.errors import InvalidInput, Problem
from turnout.domain.plan import Plan
from turnout.domain.problems import Faults, problems_of
from turnout.domain.spec import Policies
from turnout.strategies._kinds import Strategy
from turnout.strategies._pipeline import Part, PartSpec, concatenated
from turnout.strategies._ramp import along, of_shadow
from turnout.strategies._routers import router_faults, router_of
from turnout.strategies._steered import UNKNOWN_STABLE, steered, without_the_split
from turnout.strategies.ab_test import AbTest
from turnout.strategies.blue_green import BlueGreen
from turnout.strategies.canary import Canary
from turnout.strategies.cohort import Cohort
from turnout.strategies.geographic import Geographic
from turnout.strategies.gradual import Gradual
from turnout.strategies.multivariate import Multivariate, with_candidate
from turnout.strategies.shadow import Shadow

__all__ = [
    "UNKNOWN_STABLE",
    "AbTest",
    "BlueGreen",
    "Canary",
    "Cohort",
    "Geographic",
    "Gradual",
    "Multivariate",
    "RolloutSpec",
    "Shadow",
    "along",
    "compile_plan",
    "parse_spec",
]


class RolloutSpec(Policies):
    """A rollout as a person writes it: by one ``strategy``, or by several in a ``pipeline``."""

    pipeline: tuple[PartSpec, ...] = ()
    strategy: Strategy | None = Field(default=None, validate_default=True)

    @field_validator("strategy")
    @classmethod
    def _is_a_way(cls, strategy: Strategy | None, info: ValidationInfo) -> Strategy | None:
        if strategy is None and info.data.get("pipeline") == ():
            raise PydanticCustomError("missing", "is required")
        return strategy

    @model_validator(mode="before")
    @classmethod
    def _has_a_candidate(cls, document: object) -> object:
        return with_candidate(document)

    @model_validator(mode="after")
    def _fits_its_way(self) -> Self:
        asked = (self._evidence_faults(), self._shadow_faults(), router_faults(self, self.by_path))
        faults = list(self._way_faults()) or [fault for faults in asked for fault in faults]
        if faults:
            raise Faults(faults)
        return self

    @property
    def parts(self) -> tuple[Part, ...]:
        """What the rollout goes through, in order."""
        return (Part(strategy=self.strategy),) if self.strategy is not None else self.pipeline

    @property
    def by_path(self) -> dict[str, Part]:
        """The parts by where they are written."""
        return {f"pipeline[{index}]" if self.pipeline else "": part for index, part in enumerate(self.parts)}

    def _way_faults(self) -> Iterator[Problem]:
        if self.strategy is not None and self.pipeline:
            yield Problem("pipeline", "says how the rollout goes, and so does strategy", "keep one of the two")
        kinds = [part.strategy.kind for part in self.parts]
        for index, kind in enumerate(kinds):
            if kind == "shadow" and set(kinds[:index]) - {"shadow"}:
                why = "is a shadow, in which all users have stable, after a part that has moved some of them"
                yield Problem(f"pipeline[{index}]", why, "put it first")

    def _evidence_faults(self) -> Iterator[Problem]:
        for index, part in enumerate(self.parts):
            in_shadow, on_the_way = part.strategy.kind == "shadow", index < len(self.parts) - 1
            gates = [gate for gate in part.policies(self).gates if in_shadow or not of_shadow(gate)]
            if (part.strategy.needs_gates or on_the_way) and all(gate.dry_run for gate in gates):
                where = f"pipeline[{index}].gates" if self.pipeline else ""
                found = "every gate is a dry run" if gates else "there is no gate"
                remedy = "add one under gates:, or use a canary with auto_promote: false to move by hand"
                yield Problem(where, f"{found}, and traffic grows only on evidence", remedy)
            elif part.strategy.needs_gates and isinstance(part.strategy, Cohort | Geographic):
                where = f"pipeline[{index}].strategy" if self.pipeline else "strategy"
                more = index + 1 < len(self.parts)
                for fault in part.strategy.unproven(part.policies(self), more):
                    yield replace(fault, path=f"{where}.{fault.path}")

    def _shadow_faults(self) -> Iterator[Problem]:
        if any(part.strategy.kind == "shadow" for part in self.parts):
            return
        for path, gate in self._by_path().items():
            if of_shadow(gate):
                why = "is known of answers in shadow alone, and nothing here is in shadow"
                yield Problem(f"{path}.metric", why, "remove it, or begin with a shadow", repr(gate.metric))


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
        InvalidInput: the candidate is the stable variant already, or the router has no place for a variant.
    """
    if spec.candidate == stable:
        remedy = "name another variant of the flag"
        raise InvalidInput([Problem("candidate", "serves all users already", remedy, repr(stable))])
    router, path = router_of(spec, spec.by_path)
    asked = without_the_split(spec, router)
    plan = (
        spec.parts[0].plan(asked, stable) if spec.strategy is not None else concatenated(spec.pipeline, asked, stable)
    )
    said = {"start_at": spec.start_at, "notify": spec.notify, "on_breaker": spec.on_breaker, "name": spec.name}
    return steered(plan.model_copy(update=said), router, path)
