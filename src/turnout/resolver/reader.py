"""Reading a flagd flag-definition document: every fault at once, or what each flag serves, as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast

from pydantic import JsonValue

from turnout.domain import targeting
from turnout.domain.bound import NOTHING, Bound
from turnout.domain.bucketing import MAX_TOTAL
from turnout.domain.errors import InvalidInput, Problem
from turnout.domain.problems import suggestion
from turnout.domain.targeting import UNIT

Metadata = dict[str, JsonValue]

Kind = Literal["prerequisite", "rule", "holdout", "layer", "exposure", "segment"]

_DOCUMENT_FIELDS: Final = ("$schema", "flags", "metadata")
_FLAG_FIELDS: Final = ("state", "variants", "defaultVariant", "targeting", "metadata")
_NOT_SERVED: Final = "write a variant's name, a fractional split, or an if of conditions and these"
_UNIT_READ: Final[JsonValue] = {"var": UNIT}


@dataclass(frozen=True, slots=True)
class Fixed:
    """One variant for everybody; None stands for the flag's default variant."""

    variant: str | None


@dataclass(frozen=True, slots=True)
class Split:
    """Arms and their weights, by the hash of ``seed`` and the unit; without a unit the flag's default variant."""

    seed: str
    arms: tuple[tuple[str | None, int], ...]


Served = Fixed | Split


@dataclass(frozen=True, slots=True)
class Branch:
    """What is served to whom ``condition`` holds for."""

    kind: Kind
    name: str
    condition: JsonValue
    served: Served


@dataclass(frozen=True, slots=True)
class Override:
    """What the environment's ``variable`` with this ``value`` makes a flag serve."""

    variable: str
    value: str
    served: Served


@dataclass(frozen=True, slots=True)
class FlagPlan:
    """One flag: the first branch whose condition holds decides, then ``rest``; no ``rest`` means no targeting.

    ``bound`` and ``override`` are what the environment says of it, ``instead`` what it says in place of ``rest`` alone;
    ``from_file`` tells that it is a flag file's.
    """

    key: str
    enabled: bool
    variants: Mapping[str, JsonValue]
    default: str | None
    branches: tuple[Branch, ...]
    rest: Served | None
    metadata: Metadata
    bound: Bound = NOTHING
    override: Override | None = None
    instead: Override | None = None
    from_file: bool = False

    @property
    def stopped(self) -> bool:
        """Whether an emergency stop is published."""
        return self.metadata.get("stopped") is True


@dataclass(frozen=True, slots=True)
class DocumentPlan:
    """All flags of a document, and the metadata of the set."""

    flags: tuple[FlagPlan, ...]
    metadata: Metadata
    revision: int
    store_id: str


def read_document(document: Mapping[str, object]) -> DocumentPlan:
    """``document`` as data. One bad flag refuses the whole: raises InvalidInput with every fault found."""
    reader = _Reader()
    plan = reader.document(cast("Mapping[str, JsonValue]", document))
    if reader.problems:
        raise InvalidInput(reader.problems)
    return plan


class _Reader:
    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def document(self, document: Mapping[str, JsonValue]) -> DocumentPlan:
        self._known_fields(document, _DOCUMENT_FIELDS, "")
        flags = document.get("flags")
        if not isinstance(flags, dict):
            self._wrong("flags", "is not a mapping of keys to flags", flags, "write {key: {state: …, variants: …}}")
            flags = {}
        metadata = self._metadata(document.get("metadata"), "metadata")
        revision, store_id = metadata.get("revision", 0), metadata.get("storeId", "")
        if isinstance(revision, bool) or not isinstance(revision, int) or revision < 0:
            self._wrong("metadata.revision", "is not a revision", revision, "use a whole number of 0 or more")
            revision = 0
        if not isinstance(store_id, str):
            self._wrong("metadata.storeId", "is not the name of a store", store_id, "use a text")
        plans = tuple(self._flag(str(key), flag, f"flags.{key}") for key, flag in flags.items())
        return DocumentPlan(plans, metadata, revision, str(store_id))

    def _flag(self, key: str, flag: JsonValue, path: str) -> FlagPlan:
        if not isinstance(flag, dict):
            self._wrong(path, "is not a flag", flag, "write {state: ENABLED, variants: {…}}")
            flag = {"state": "ENABLED", "variants": {"none": False}}
        self._known_fields(flag, _FLAG_FIELDS, f"{path}.")
        state = flag.get("state")
        if state not in {"ENABLED", "DISABLED"}:
            self._wrong(f"{path}.state", "is not a state", state, "use ENABLED or DISABLED")
        variants = self._variants(flag.get("variants"), f"{path}.variants")
        default = flag.get("defaultVariant")
        if default is not None and not (isinstance(default, str) and default in variants):
            self._wrong(f"{path}.defaultVariant", "is no variant", default, suggestion(str(default), list(variants)))
        metadata = self._metadata(flag.get("metadata"), f"{path}.metadata")
        pairs, rest = self._targeting(key, flag.get("targeting"), f"{path}.targeting")
        branches = _named(pairs, metadata)
        known = default if isinstance(default, str) else None
        return FlagPlan(key, state != "DISABLED", variants, known, branches, rest, metadata)

    def _variants(self, variants: JsonValue, path: str) -> dict[str, JsonValue]:
        if not isinstance(variants, dict) or not variants:
            self._wrong(path, "there are none", variants, "write {name: value}")
            return {}
        for name, value in variants.items():
            if value is None:
                self._wrong(f"{path}.{name}", "has no value", value, "give it one")
        return variants

    def _metadata(self, metadata: JsonValue, path: str) -> Metadata:
        if metadata is None:
            return {}
        if not isinstance(metadata, dict):
            self._wrong(path, "is not a mapping", metadata, "write {name: value}")
            return {}
        for name, value in metadata.items():
            if not isinstance(value, str | int | float):
                self._wrong(f"{path}.{name}", "is no value of metadata", value, "use a text, number or boolean")
        return metadata

    def _targeting(self, key: str, node: JsonValue, path: str) -> tuple[list[tuple[JsonValue, Served]], Served | None]:
        """The branches of ``node``, and what it serves when none of their conditions holds."""
        if not isinstance(node, dict):
            if node is not None:
                self._wrong(path, "is no targeting", node, "leave it out, or write an operator")
            return [], None
        if not node:
            return [], None
        pairs: list[tuple[JsonValue, Served]] = []
        while (arguments := _choice(node)) is not None:
            # Without an else, the result is null.
            padded = arguments if len(arguments) % 2 else [*arguments, None]
            for index in range(0, len(padded) - 1, 2):
                if targeting.membership_of(padded[index]) is None:
                    self.problems += targeting.check(padded[index], f"{path}.if[{index}]", published=True)
                served = self._served(key, padded[index + 1], f"{path}.if[{index + 1}]")
                pairs.append((padded[index], served))
            node, path = padded[-1], f"{path}.if[{len(padded) - 1}]"
        return pairs, self._served(key, node, path)

    def _served(self, key: str, node: JsonValue, path: str) -> Served:
        match node:
            case None | bool() | str():
                return Fixed(_variant(node))
            case {"fractional": [{"cat": _}, *_]}:
                remedy = 'write {"if": [{var: targetingKey}, {fractional: …}, null]}'
                self.problems.append(Problem(path, "the split has a seed, but no guard for a missing unit", remedy))
            case {"fractional": list(arms), **others} if not others:
                return self._split(key, arms, f"{path}.fractional")
            case {"if": [read, {"fractional": [{"cat": [str(seed), unit]}, *arms], **others}, None]} if (
                read == unit == _UNIT_READ and not others
            ):
                return self._split(seed, arms, f"{path}.if[1].fractional")
            case _:
                self._wrong(path, "is not something to serve", node, _NOT_SERVED)
        return Fixed(None)

    def _split(self, seed: str, arms: list[JsonValue], path: str) -> Served:
        read = [self._arm(arm, f"{path} arm {number}") for number, arm in enumerate(arms, 1)]
        total = sum(weight for _, weight in read)
        if total > MAX_TOTAL:
            self._wrong(path, f"the weights sum to more than {MAX_TOTAL}", total, "divide them all")
        return Split(seed, tuple(read)) if total else Fixed(None)

    def _arm(self, arm: JsonValue, path: str) -> tuple[str | None, int]:
        match arm:
            case [None | bool() | str() as name]:
                return _variant(name), 1
            case [None | bool() | str() as name, int(weight)] if weight >= 0 and not isinstance(weight, bool):
                return _variant(name), weight
            case _:
                self._wrong(path, "is not an arm", arm, "write [variant, weight], the weight a whole number")
                return None, 0

    def _known_fields(self, owner: Mapping[str, JsonValue], fields: tuple[str, ...], prefix: str) -> None:
        for name in owner:
            if name not in fields:
                self.problems.append(Problem(f"{prefix}{name}", "unknown field", suggestion(str(name), list(fields))))

    def _wrong(self, path: str, message: str, value: JsonValue, remedy: str) -> None:
        shown = repr(value)
        self.problems.append(Problem(path, message, remedy, shown if len(shown) <= 60 else shown[:57] + "..."))


def _choice(node: JsonValue) -> list[JsonValue] | None:
    """The arguments of an ``if`` over conditions; None for anything else, also for the guard of a split."""
    match node:
        case {"if": [_, {"fractional": [{"cat": _}, *_]}, None]}:
            return None
        case {"if": [_, _, *_] as arguments, **others} if not others:
            return arguments
        case _:
            return None


def _variant(name: str | bool | None) -> str | None:
    """A result as a variant's name: flagd turns booleans into texts."""
    return str(name).lower() if isinstance(name, bool) else name


def _named(pairs: list[tuple[JsonValue, Served]], metadata: Metadata) -> tuple[Branch, ...]:
    """The branches with the names that the metadata lists, or numbered if it does not."""
    names: list[tuple[Kind, str]] = [
        *(("prerequisite", name) for name in _list(metadata, "requires")),
        *(("rule", name) for name in _list(metadata, "rules")),
        *(("holdout", name) for name in _list(metadata, "holdout")),
        *(("layer", name) for name in _list(metadata, "layer")),
        *(("exposure", name) for name in _list(metadata, "exposure")),
        *(("segment", name) for name in _list(metadata, "segments")),
    ]
    if len(names) != len(pairs):
        names = [("rule", str(number)) for number in range(1, len(pairs) + 1)]
    return tuple(
        Branch(kind, name, condition, served) for (kind, name), (condition, served) in zip(names, pairs, strict=True)
    )


def _list(metadata: Metadata, field: str) -> Iterator[str]:
    names = metadata.get(field)
    yield from names.split(",") if isinstance(names, str) and names else ()
