"""From what a service reports to an Outcome that the controller will take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex

from turnout.client.assignment import Assignment
from turnout.domain.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Subject:
    """What an outcome is about; ``variant`` or ``unit`` is None when the caller did not say."""

    flag: str
    variant: str | None
    unit: str | None
    generation: int | None
    decided_by: str | None = None


def subject(what: Assignment | str, variant: str | None, unit: str | None, generation: int | None) -> Subject:
    """The subject of a report about ``what``: an assignment, or a flag's key and the rest in words."""
    if isinstance(what, Assignment):
        return Subject(what.flag, what.variant, what.unit, what.generation, what.decided_by)
    return Subject(what, variant, unit, generation)


def outcome(about: Subject, id: str | None, measured: Mapping[str, object], values: Mapping[str, float]) -> Outcome:
    """The outcome, with an id and the present time. Raises ValueError (pydantic's) on anything the intake refuses."""
    fields: dict[str, object] = {
        **measured,
        "id": id or token_hex(16),
        "flag": about.flag,
        "variant": about.variant,
        "unit": about.unit,
        "generation": about.generation,
        "decided_by": about.decided_by,
        "values": values,
        "at": datetime.now(UTC),
    }
    return Outcome.model_validate(fields)
