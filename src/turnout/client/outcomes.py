"""From what a service reports to an Outcome that the controller will take."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from secrets import token_hex
from typing import Final, NamedTuple

from turnout.client.assignment import Assignment
from turnout.domain.outcomes import Outcome

_FIELDS: Final = frozenset({"quality", "satisfaction", "cost"})


class Subject(NamedTuple):
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


class Draft(NamedTuple):
    """What becomes an outcome when it is delivered: making one takes longer than many a request may.

    ``numbers`` has measurements by metric. ``at`` is when it was reported, in seconds since 1970.
    """

    assignment: Assignment
    variant: str
    decided_by: str | None
    ok: bool
    latency_ms: float
    numbers: Mapping[str, float]
    at: float

    def outcome(self) -> Outcome:
        """The outcome. Raises ValueError (pydantic's) on anything the intake refuses."""
        given, numbers = self.assignment, self.numbers
        about = Subject(given.flag, self.variant, given.unit, given.generation, self.decided_by)
        measured: dict[str, object] = {"ok": self.ok, "latency_ms": self.latency_ms}
        measured |= {name: numbers[name] for name in _FIELDS & numbers.keys()}
        values = {name: number for name, number in numbers.items() if name not in _FIELDS}
        return outcome(about, None, measured, values, datetime.fromtimestamp(self.at, UTC))


def outcome(
    about: Subject,
    id: str | None,
    measured: Mapping[str, object],
    values: Mapping[str, float],
    at: datetime | None = None,
) -> Outcome:
    """The outcome, with an id and the present time unless given.

    Raises ValueError (pydantic's) on anything the intake refuses.
    """
    fields: dict[str, object] = {
        **measured,
        "id": id or token_hex(16),
        "flag": about.flag,
        "variant": about.variant,
        "unit": about.unit,
        "generation": about.generation,
        "decided_by": about.decided_by,
        "values": values,
        "at": at or datetime.now(UTC),
    }
    return Outcome.model_validate(fields)
