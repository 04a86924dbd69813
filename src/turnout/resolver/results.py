"""What the resolver answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pydantic import JsonValue

Reason = Literal["STATIC", "TARGETING_MATCH", "DEFAULT", "DISABLED", "ERROR"]
"""Why a flag has its value, in flagd's words: a split that found an arm is TARGETING_MATCH."""

ErrorCode = Literal["FLAG_NOT_FOUND", "GENERAL", "INVALID_CONTEXT"]
"""OpenFeature's codes for what can go wrong."""

Source = Literal[
    "not_found",
    "disabled",
    "stopped",
    "breaker",
    "static",
    "environment",
    "prerequisite",
    "rule",
    "holdout",
    "layer",
    "exposure",
    "segment",
    "traffic",
    "error",
]
"""Which part of a flag decided."""


class Resolution(NamedTuple):
    """The answer for one flag and one unit.

    ``variant`` and ``value`` are None when the caller's own default applies (errors, and disabled flags). The value and
    the metadata are shared with the snapshot: read them, never change them. ``metadata`` holds that of the flag set and
    of the flag (see ``turnout.domain.snapshot``) and ``decidedBy``: ``static``, ``stopped``, ``breaker``,
    ``environment`` (then ``environment`` is the variable), ``prerequisite:<flag>``, ``rule:<name>``,
    ``holdout:<name>``, ``layer:<name>``, ``exposure:test``, ``segment:<name>``, ``traffic``, ``default`` or
    ``disabled``. ``source`` is ``flag file`` where one has the flag.
    """

    key: str
    variant: str | None
    value: JsonValue
    reason: Reason
    error_code: ErrorCode | None = None
    error_message: str | None = None
    metadata: Mapping[str, JsonValue] = {}


@dataclass(frozen=True, slots=True)
class Slice:
    """One arm of a split: buckets ``start`` to ``end``, the end not included, get ``variant``."""

    variant: str | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Contender:
    """A source of a flag's variant, what it says (None: nothing), and whether it decided."""

    source: Literal["emergency stop", "breaker", "environment", "database", "flag file", "caller's default"]
    says: str | None
    decided: bool = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a resolution came about.

    ``source`` is the part of the flag that decided and ``name`` the rule or segment; ``passed`` names the rules and
    segments before it, whose conditions did not hold, and as ``prerequisite:<flag>`` the flags whose variant was the
    required one. If it was a split, ``seed`` is hashed before the unit, ``slices``
    are its arms, ``total`` is where they end, and ``bucket`` is the unit's own (None without a unit). ``contenders``
    are all sources there are, the strongest first; the first that says anything decided.
    """

    resolution: Resolution
    source: Source
    name: str | None = None
    passed: tuple[str, ...] = ()
    seed: str | None = None
    bucket: int | None = None
    total: int | None = None
    slices: tuple[Slice, ...] = ()
    stable: str | None = None
    generation: int | None = None
    rollout: str | None = None
    stopped: bool = False
    contenders: tuple[Contender, ...] = ()
