"""A compiled flag document: pure, immutable, and fast enough to ask on every request.

Everything that can be is done when the document is compiled: conditions become functions, splits become limits on the
hash, and every possible answer exists before anybody asks. Replace a whole snapshot by another; threads may share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from types import MappingProxyType
from typing import Final, cast

from pydantic import JsonValue

from turnout.domain.bound import NOTHING, Bound
from turnout.domain.bucketing import bucket, splitter
from turnout.domain.errors import Problem
from turnout.resolver.conditions import Attributes, Condition, compile_condition
from turnout.resolver.overriding import overridden
from turnout.resolver.reader import DocumentPlan, Fixed, FlagPlan, Override, Served, Split, read_document
from turnout.resolver.results import Contender, Explanation, Reason, Resolution, Slice, Source

Evaluate = Callable[[str | None, Attributes], Resolution]

_BREAKER: Final = "breaker"
_ENV: Final = "environment"
_NOTHING: Final[Attributes] = MappingProxyType({})


def compile_document(
    document: Mapping[str, object], environ: Mapping[str, str] | None = None, file: Mapping[str, object] | None = None
) -> Snapshot:
    """The snapshot of a flagd flag-definition ``document`` (see ``turnout.domain.snapshot``), read from JSON.

    What ``environ`` says of flags overrides it (see `turnout.resolver.overriding`); its faults are in the snapshot.
    Flags that only ``file`` has, another such document, are its own. Raises InvalidInput with every fault of a
    document; one bad flag refuses it all.
    """
    plan, beneath = read_document(document), _from_file(file)
    known = {flag.key for flag in plan.flags}
    every = replace(plan, flags=(*plan.flags, *(flag for flag in beneath if flag.key not in known)))
    laid_over, faults = overridden(every, environ or {})
    return Snapshot(laid_over, faults, beneath)


class Snapshot:
    """All flags of one document.

    ``revision`` and ``store_id`` are those of the document (0 and empty when it has none); ``metadata`` is that of the
    flag set; ``faults`` is what is wrong with the environment's overrides.
    """

    __slots__ = ("_beneath", "_evaluate", "_flags", "faults", "metadata", "revision", "store_id")

    def __init__(self, plan: DocumentPlan, faults: Sequence[Problem] = (), beneath: Sequence[FlagPlan] = ()) -> None:
        self.faults: Final = tuple(faults)
        self._beneath: Final = {flag.key: flag for flag in beneath}
        self.revision: Final = plan.revision
        self.store_id: Final = plan.store_id
        self.metadata: Final[Mapping[str, JsonValue]] = plan.metadata
        self._flags: Final = {flag.key: _CompiledFlag(flag, plan.metadata) for flag in plan.flags}
        self._evaluate: Final = {key: flag.evaluate for key, flag in self._flags.items()}

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all flags, in the order of the document."""
        return tuple(self._flags)

    def resolve(self, key: str, unit: str | None = None, attributes: Attributes = _NOTHING) -> Resolution:
        """The variant of flag ``key`` for ``unit`` (None or empty when there is none) with these ``attributes``.

        Never raises: what goes wrong is in the resolution.
        """
        evaluate = self._evaluate.get(key)
        if evaluate is None:
            message = f"there is no flag {key!r}"
            return Resolution(key, None, None, "ERROR", "FLAG_NOT_FOUND", message, self.metadata)
        try:
            return evaluate(unit, attributes)
        # Attributes are objects of the caller, whose comparisons may raise anything.
        except Exception as error:
            return self._flags[key].failure(unit, error)

    def explain(self, key: str, unit: str | None = None, attributes: Attributes = _NOTHING) -> Explanation:
        """How ``resolve`` comes to its answer; slower. Never raises."""
        resolution = self.resolve(key, unit, attributes)
        flag = self._flags.get(key)
        if flag is None:
            return Explanation(resolution, "not_found")
        beneath = self._beneath.get(key)
        says = _CompiledFlag(beneath, {}).published(unit, attributes) if beneath is not None else None
        return flag.explain(resolution, unit, attributes, says)

    def bound(self, key: str) -> Bound:
        """What the environment says of flag ``key`` under its prefix; nothing for a flag without one."""
        flag = self._flags.get(key)
        return flag.plan.bound if flag else NOTHING

    def changed(self, earlier: Snapshot) -> frozenset[str]:
        """The keys of the flags that are new, gone or different since ``earlier``."""
        keys = self._flags.keys() | earlier._flags.keys()
        return frozenset(key for key in keys if self._plan(key) != earlier._plan(key))

    def _plan(self, key: str) -> FlagPlan | None:
        flag = self._flags.get(key)
        return flag.plan if flag else None


class _CompiledFlag:
    """One flag: its plan, the conditions of its branches, and the function that resolves it."""

    __slots__ = ("_blocked", "_conditions", "_metadata", "_override", "_published", "evaluate", "plan")

    def __init__(self, plan: FlagPlan, set_metadata: Mapping[str, JsonValue]) -> None:
        self.plan: Final = plan
        self._override: Final = None if plan.stopped else plan.override
        self._metadata: Final = {**set_metadata, **_told(plan.metadata, self._override)}
        self._blocked: Final = _blocked(plan.metadata.get("breaker"))
        self._conditions: Final = [compile_condition(branch.condition, plan.key) for branch in plan.branches]
        self._published: Final = self._compile()
        own = self._published if plan.instead is None else self._compile(plan.instead)
        self.evaluate: Final = own if self._override is None else self._overriding(self._override)

    def published(self, unit: str | None, attributes: Attributes) -> Resolution:
        """The answer without the environment; never raises."""
        try:
            return self._published(unit, attributes)
        except Exception as error:
            return self.failure(unit, error)

    def explain(
        self, resolution: Resolution, unit: str | None, attributes: Attributes, file: Resolution | None = None
    ) -> Explanation:
        """How the resolution came about; ``file`` is what the flag file says."""
        found = self._explain(resolution, unit, attributes)
        stopped_or_file = self.plan.stopped or self.plan.from_file
        database = None if stopped_or_file else _said(self.published(unit, attributes))
        return replace(found, contenders=tuple(self._contenders(found, database, file and _said(file))))

    def _contenders(self, found: Explanation, database: str | None, file: str | None) -> Iterator[Contender]:
        stopped = f"{self.plan.default} to everybody" if self.plan.stopped else None
        yield Contender("emergency stop", stopped, decided=found.source == "stopped")
        if names := _names(self.plan.metadata.get("blocked")):
            says = f"{self.plan.metadata.get('stable')} instead of {', '.join(sorted(names))}"
            yield Contender("breaker", says, decided=found.source == "breaker")
        override = self.plan.override or self.plan.instead
        said = f"{override.variable}={override.value}" if override else None
        yield Contender("environment", said, decided=found.source == "environment")
        beaten = found.source in {"stopped", "breaker", "environment"}
        yield Contender("database", database, decided=database is not None and not beaten)
        yield Contender("flag file", file, decided=self.plan.from_file and file is not None and not beaten)
        settled = beaten or database is not None or (self.plan.from_file and file is not None)
        yield Contender("caller's default", "its own", decided=not settled)

    def _explain(self, resolution: Resolution, unit: str | None, attributes: Attributes) -> Explanation:
        if resolution.reason == "ERROR":
            return self._explanation(resolution, "error")
        if self._override is not None:
            served, name = self._override.served, self._override.variable
            return self._explanation(resolution, "environment", name, [], served, unit)
        if not self.plan.enabled:
            return self._explanation(resolution, "disabled")
        if self.plan.rest is None:
            blocked: Source = "breaker" if 0 in self._blocked.get("traffic", ()) else "static"
            return self._explanation(resolution, "stopped" if self.plan.stopped else blocked)
        passed: list[str] = []
        for branch, holds in zip(self.plan.branches, self._conditions, strict=True):
            if holds(unit, attributes):
                return self._explanation(resolution, branch.kind, branch.name, passed, branch.served, unit)
            passed.append(f"prerequisite:{branch.name}" if branch.kind == "prerequisite" else branch.name)
        if (instead := self.plan.instead) is not None:
            return self._explanation(resolution, "environment", instead.variable, passed, instead.served, unit)
        return self._explanation(resolution, "traffic", None, passed, self.plan.rest, unit)

    def failure(self, unit: str | None, error: Exception) -> Resolution:
        """The answer when evaluation raised ``error``."""
        key, metadata = self.plan.key, self._metadata
        wrong = None if unit is None or isinstance(cast("object", unit), str) else f"a {type(unit).__name__}"
        if wrong is None and isinstance(error, UnicodeEncodeError):
            wrong = "a text without a UTF-8 form"
        if wrong is not None:
            message = f"the targeting key has to be a text, and is {wrong}"
            return Resolution(key, None, None, "ERROR", "INVALID_CONTEXT", message, metadata)
        message = f"{type(error).__name__}: {error}"
        return Resolution(key, None, None, "ERROR", "GENERAL", message, metadata)

    def _overriding(self, override: Override) -> Evaluate:
        """What the environment says, with stable in place of variants that breakers block."""
        names, stable = _names(self.plan.metadata.get("blocked")), self.plan.metadata.get("stable")
        instead = stable if isinstance(stable, str) else self.plan.default
        served = override.served
        if isinstance(served, Fixed):
            held = served.variant in names
            return _always(self._answer(instead if held else served.variant, "STATIC", _BREAKER if held else _ENV))
        arms = tuple((instead if name in names else name, weight) for name, weight in served.arms)
        self._blocked[_ENV] = frozenset(place for place, (name, _) in enumerate(served.arms) if name in names)
        return self._serving(replace(served, arms=arms), _ENV)

    def _compile(self, instead: Override | None = None) -> Evaluate:
        """The published flag, with what the environment says in place of its traffic."""
        plan = self.plan
        if not plan.enabled:
            return _always(self._answer(None, "DISABLED", "disabled"))
        if plan.rest is None:
            blocked = "breaker" if 0 in self._blocked.get("traffic", ()) else "static"
            return _always(self._answer(plan.default, "STATIC", "stopped" if self.plan.stopped else blocked))
        rest = self._serving(plan.rest, "traffic") if instead is None else self._instead(instead)
        branches = [
            (holds, self._serving(branch.served, f"{branch.kind}:{branch.name}"))
            for branch, holds in zip(plan.branches, self._conditions, strict=True)
        ]
        return _first_match(branches, rest) if branches else rest

    def _instead(self, instead: Override) -> Evaluate:
        served = instead.served
        found = self._outcome(served.variant if isinstance(served, Fixed) else None, _ENV)
        return _always(found._replace(metadata={**found.metadata, "environment": instead.variable}))

    def _serving(self, served: Served, decided_by: str) -> Evaluate:
        blocked = self._blocked.get(decided_by, frozenset())
        if isinstance(served, Fixed):
            return _always(self._outcome(served.variant, "breaker" if 0 in blocked else decided_by))
        arms = [
            (self._outcome(variant, "breaker" if place in blocked else decided_by), weight)
            for place, (variant, weight) in enumerate(served.arms)
        ]
        return splitter(served.seed, arms, self._outcome(None, "default"))

    def _outcome(self, variant: str | None, decided_by: str) -> Resolution:
        """The answer when targeting results in ``variant``."""
        if variant is None:
            return self._answer(self.plan.default, "DEFAULT", "default")
        if variant not in self.plan.variants:
            message = f"targeting gives {variant!r}, which is no variant"
            return Resolution(self.plan.key, None, None, "ERROR", "GENERAL", message, self._metadata)
        return self._answer(variant, "TARGETING_MATCH", decided_by)

    def _answer(self, variant: str | None, reason: Reason, decided_by: str) -> Resolution:
        value = self.plan.variants[variant] if variant is not None else None
        # Without a default variant there is nothing static: the caller's own default applies.
        reason = "DEFAULT" if variant is None and reason == "STATIC" else reason
        metadata = {**self._metadata, "decidedBy": decided_by}
        return Resolution(self.plan.key, variant, value, reason, None, None, metadata)

    def _explanation(
        self,
        resolution: Resolution,
        source: Source,
        name: str | None = None,
        passed: list[str] | None = None,
        served: Served | None = None,
        unit: str | None = None,
    ) -> Explanation:
        source = "breaker" if resolution.metadata.get("decidedBy") == "breaker" else source
        split = served if isinstance(served, Split) else None
        slices = _slices(split) if split else ()
        total = slices[-1].end if slices else None
        stable, generation, rollout = (self._metadata.get(field) for field in ("stable", "generation", "rollout"))
        return Explanation(
            resolution=resolution,
            source=source,
            name=name,
            passed=tuple(passed or ()),
            seed=split.seed if split else None,
            bucket=bucket(split.seed, unit, total) if split and unit and total else None,
            total=total,
            slices=slices,
            stable=stable if isinstance(stable, str) else None,
            generation=generation if isinstance(generation, int) else None,
            rollout=rollout if isinstance(rollout, str) else None,
            stopped=self.plan.stopped,
        )


def _from_file(file: Mapping[str, object] | None) -> tuple[FlagPlan, ...]:
    flags = read_document(file).flags if file is not None else ()
    return tuple(replace(f, from_file=True, metadata={**f.metadata, "source": "flag file"}) for f in flags)


def _said(resolution: Resolution) -> str | None:
    if resolution.reason == "DISABLED":
        return "the flag is disabled"
    return f"{resolution.variant} ({resolution.metadata.get('decidedBy')})" if resolution.variant else None


def _told(metadata: Mapping[str, JsonValue], override: Override | None) -> dict[str, JsonValue]:
    """The metadata of a flag; one that the environment sets is in no rollout here, hence in no shadow."""
    if override is None:
        return dict(metadata)
    kept = {name: value for name, value in metadata.items() if not name.startswith("shadow")}
    return {**kept, "environment": override.variable}


def _always(resolution: Resolution) -> Evaluate:
    return lambda _unit, _attributes: resolution


def _first_match(branches: list[tuple[Condition, Evaluate]], rest: Evaluate) -> Evaluate:
    def evaluate(unit: str | None, attributes: Attributes) -> Resolution:
        for holds, serve in branches:
            if holds(unit, attributes):
                return serve(unit, attributes)
        return rest(unit, attributes)

    return evaluate


def _names(listed: JsonValue) -> frozenset[str]:
    return frozenset(listed.split(",")) if isinstance(listed, str) and listed else frozenset()


def _blocked(marks: JsonValue) -> dict[str, frozenset[int]]:
    """The places of the arms that breakers gave to stable, by the part of the flag; see `definition`'s metadata."""
    found: dict[str, frozenset[int]] = {}
    for mark in marks.split(",") if isinstance(marks, str) and marks else ():
        part, _, place = mark.rpartition(":")
        if place.isdecimal():
            found[part] = found.get(part, frozenset()) | {int(place)}
    return found


def _slices(split: Split) -> tuple[Slice, ...]:
    ends = [0]
    for _, weight in split.arms:
        ends.append(ends[-1] + weight)
    return tuple(Slice(variant, *span) for (variant, _), span in zip(split.arms, pairwise(ends), strict=True))
