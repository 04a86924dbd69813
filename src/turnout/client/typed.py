"""Values of flags with the type that the caller reads them as."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, TypeVar, cast

from turnout.resolver import Resolution
from turnout.resolver.conditions import Attributes

_log = logging.getLogger("turnout.client")

Value = TypeVar("Value")
Anything = object

_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "boolean": (bool,),
    "string": (str,),
    "number": (int, float),
    "object": (dict,),
}


class TypedReads(ABC):
    """Reads values strictly: a flag of another type gives the default, and is named in the log once."""

    def __init__(self) -> None:
        self._mistyped: Final[set[tuple[str, str]]] = set()

    @abstractmethod
    def evaluate(self, flag: str, unit: str | None, attributes: Attributes) -> Resolution:
        """The resolver's whole answer. Never raises and never waits."""

    def boolean(self, flag: str, unit: str | None, default: bool, /, **attributes: Anything) -> bool:
        """The value of a boolean flag; ``default`` when there is none, or it has another type.

        Never raises and never waits. ``unit`` may be None where nothing is split by it.
        """
        return self._read(self.evaluate(flag, unit, attributes), "boolean", default)

    def string(self, flag: str, unit: str | None, default: str, /, **attributes: Anything) -> str:
        """The value of a text flag, like `boolean`."""
        return self._read(self.evaluate(flag, unit, attributes), "string", default)

    def number(self, flag: str, unit: str | None, default: float, /, **attributes: Anything) -> float:
        """The value of a number flag, like `boolean`; an integer where the variant's value is one."""
        return self._read(self.evaluate(flag, unit, attributes), "number", default)

    def _read(self, resolution: Resolution, kind: str, default: Value) -> Value:
        value = resolution.value
        if resolution.variant is None:
            return default
        if isinstance(value, _KINDS[kind]) and isinstance(value, bool) is (kind == "boolean"):
            return cast("Value", value)
        if (resolution.key, kind) not in self._mistyped:
            self._mistyped.add((resolution.key, kind))
            _log.warning(
                "flag %r is read as a %s, but the value of %r is a %s: callers get their own default (said once)",
                resolution.key,
                kind,
                resolution.variant,
                type(value).__name__,
            )
        return default

    # The last one: below it, the name would not mean Python's type.
    def object(
        self, flag: str, unit: str | None, default: Mapping[str, Any], /, **attributes: Anything
    ) -> Mapping[str, Any]:
        """The value of an object flag, like `boolean`. It is shared: read it, never change it."""
        return self._read(self.evaluate(flag, unit, attributes), "object", default)
