"""Geographic: one region after the other, then everybody else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from turnout.domain.adjusting import OTHER
from turnout.domain.errors import Problem
from turnout.domain.matching import Match, among
from turnout.domain.plan import Plan
from turnout.domain.problems import Faults
from turnout.domain.spec import Policies
from turnout.strategies._segmented import (
    MOST_PARTS,
    Part,
    PartSpec,
    Segmented,
    ShareSpec,
    Walk,
    part_problems,
    unproven,
)

_CODE: Final = re.compile(r"[A-Z]{2}")
_MISTAKEN: Final = {"UK": "GB", "EL": "GR"}


def _country(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError('is a boolean, not a country; quote it ("NO"): YAML reads no as a boolean')
    if not isinstance(value, str) or not _CODE.fullmatch(value):
        upper = value.upper() if isinstance(value, str) and _CODE.fullmatch(value.upper()) else "DE"
        raise ValueError(f"is no country; write its two capital letters of ISO 3166-1, such as {upper}")
    if value in _MISTAKEN:
        raise ValueError(f"is not the country's code in ISO 3166-1; write {_MISTAKEN[value]}")
    return value


Country = Annotated[str, BeforeValidator(_country)]
"""The two letters of ISO 3166-1 alpha-2."""


class RegionSpec(PartSpec):
    """A region: its ``countries``, or whom it ``match``es; with neither, the attribute ``region`` is its name.

    A region of countries also takes those whose attribute ``region`` is its name, wherever they are.
    """

    countries: tuple[Country, ...] | None = None
    match: Match | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.countries is not None and not self.countries:
            raise ValueError("has no countries; list some, or leave countries out to go by the attribute region")
        if self.countries is not None and self.match is not None:
            raise ValueError("has countries and match; keep one, or write both conditions under match: {if: …}")
        return self

    @property
    def condition(self) -> JsonValue:
        """Whom it is about."""
        if self.match is not None:
            return self.match.condition
        named: JsonValue = {"===": [{"var": "region"}, self.name]}
        return {"or": [among("country", self.countries), named]} if self.countries else named


class Geographic(Segmented):
    """One stage a region, in the order written, then one for ``other``; the first region that matches is the user's.

    Without ``other``, users of no region stay on stable: so do those with an unknown or private address. When the
    rollout completes, each region keeps its percentage.
    """

    kind: Literal["geographic"]
    regions: tuple[RegionSpec, ...] = Field(max_length=MOST_PARTS)
    other: ShareSpec | None = None

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if problems := [*part_problems("regions", self._parts, self.other), *self._region_problems()]:
            raise Faults(problems)
        return self

    def unproven(self, spec: Policies, more: bool) -> Iterator[Problem]:
        """Regions about which nothing would be asked before the next one, or before what comes after (``more``)."""
        others = self.other is not None and self.other.enabled
        return unproven("regions", self._parts, spec, more or others)

    def plan(self, spec: Policies, stable: str) -> Plan:
        """One stage a region, then one for the others."""
        return Walk(self.kind, self, self._parts, self.other).plan(spec, stable)

    @property
    def _parts(self) -> tuple[Part, ...]:
        return tuple(
            Part(region, region.condition, region.match.size if region.match else 0) for region in self.regions
        )

    def _region_problems(self) -> Iterator[Problem]:
        places = Counter(code for region in self.regions for code in dict.fromkeys(region.countries or ()))
        for code, times in places.items():
            if times > 1:
                yield Problem("regions", f"{times} regions have the same country", "keep it in one of them", code)
        for index, region in enumerate(self.regions):
            if region.name == OTHER:
                remedy = "move it to other: {percentage: …}, or choose another name"
                yield Problem(f"regions[{index}].name", "stands for users of no region", remedy, OTHER)
