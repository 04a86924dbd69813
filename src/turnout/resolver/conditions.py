"""From a checked condition to a function that decides it, with the results of flagd's JSONLogic engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isnan
from typing import cast

from pydantic import JsonValue

from turnout.domain.bucketing import splitter
from turnout.domain.targeting import FLAG_KEY, UNIT, membership_of
from turnout.domain.versions import COMPARISONS, exact_version, lenient_version

Attributes = Mapping[str, object]
Condition = Callable[[str | None, Attributes], bool]

# A union would be built anew by each call that tests for it.
_CONTAINERS = (list, str)
_EMPTIABLE = (str, int, list)


def compile_condition(node: JsonValue, key: str) -> Condition:
    """``node``, which ``targeting.check`` found no fault with, as a function of the unit and its attributes.

    ``key`` is that of the flag. Conditions are only ever asked whether they hold, so null counts as false.
    """
    if not isinstance(node, dict):
        return _constant(bool(node))
    membership = membership_of(node)
    if membership is not None:
        parts = [(name == membership.name) is membership.inside for name, _ in membership.parts]
        weights = [weight for _, weight in membership.parts]
        return splitter(membership.seed, list(zip(parts, weights, strict=True)), False)
    ((operator, argument),) = node.items()
    match operator, argument:
        case "var", str(name):
            return _reading(name, key, _attribute_holds(name))
        case "!", [inner]:
            return _negation(compile_condition(inner, key))
        case "!", inner:
            return _negation(compile_condition(inner, key))
        case (("and" | "or" | "if"), list()):
            return _JOINS[operator]([compile_condition(item, key) for item in argument])
        case "in", [str(text), {"var": str(name)}]:
            return _reading(name, key, _contains(text, name))
        case _, [{"var": str(name)}, *operands]:
            return _reading(name, key, _COMPARISONS[operator](name, operands))
        case _:
            raise AssertionError(f"unchecked condition: {node!r}")


def _constant(answer: bool) -> Condition:
    return lambda _unit, _attributes: answer


def _reading(name: str, key: str, condition: Condition) -> Condition:
    """``condition``, which reads attribute ``name``, with what ``{var: name}`` stands for in its place.

    The unit is never an attribute, even if one has its name. Plain attributes, the usual case, cost nothing.
    """
    if name == FLAG_KEY:
        return lambda unit, _attributes: condition(unit, {name: key})
    first, *rest = name.split(".")
    if first == UNIT:
        return lambda unit, _attributes: condition(unit, {name: _walk(unit, rest)})
    if rest:
        return lambda unit, attributes: condition(unit, {name: _walk(attributes.get(first), rest)})
    return condition


def _walk(value: object, path: list[str]) -> object:
    for part in path:
        if isinstance(value, dict):
            value = cast("dict[str, object]", value).get(part)
        elif isinstance(value, _CONTAINERS):
            value = _item(cast("list[object] | str", value), part)
        else:
            return None
    return value


def _item(values: list[object] | str, part: str) -> object:
    """``part`` of a list or text, which may be an index or ``length``, as in JavaScript."""
    if part == "length":
        return len(values)
    # A longer index is beyond any list, and Python refuses to convert very long ones.
    if not part.isdecimal() or len(part) > 9 or part != str(int(part)) or int(part) >= len(values):
        return None
    return values[int(part)]


def _attribute_holds(name: str) -> Condition:
    def holds(_unit: str | None, attributes: Attributes) -> bool:
        value = attributes.get(name)
        return value is True or _truthy(value)

    return holds


def _truthy(value: object) -> bool:
    """As in JavaScript, but that an empty list is false."""
    if isinstance(value, float):
        return value != 0.0 and not isnan(value)
    if isinstance(value, _EMPTIABLE):
        return bool(cast("object", value))
    return value is not None


def _negation(inner: Condition) -> Condition:
    return lambda unit, attributes: not inner(unit, attributes)


def _all_of(conditions: list[Condition]) -> Condition:
    def holds(unit: str | None, attributes: Attributes) -> bool:
        for condition in conditions:  # noqa: SIM110 - all() over a generator takes three times as long
            if not condition(unit, attributes):
                return False
        return True

    return holds


def _any_of(conditions: list[Condition]) -> Condition:
    def holds(unit: str | None, attributes: Attributes) -> bool:
        for condition in conditions:  # noqa: SIM110 - any() over a generator takes three times as long
            if condition(unit, attributes):
                return True
        return False

    return holds


def _choice(conditions: list[Condition]) -> Condition:
    *pairs, otherwise = conditions
    branches = list(zip(pairs[::2], pairs[1::2], strict=True))

    def holds(unit: str | None, attributes: Attributes) -> bool:
        for condition, answer in branches:
            if condition(unit, attributes):
                return answer(unit, attributes)
        return otherwise(unit, attributes)

    return holds


def _contains(text: str, name: str) -> Condition:
    def holds(_unit: str | None, attributes: Attributes) -> bool:
        value = attributes.get(name)
        return isinstance(value, _CONTAINERS) and text in cast("list[object] | str", value)

    return holds


def _equal(name: str, operands: list[JsonValue]) -> Condition:
    text = operands[0]
    return lambda _unit, attributes: attributes.get(name) == text


def _unequal(name: str, operands: list[JsonValue]) -> Condition:
    text = operands[0]
    return lambda _unit, attributes: attributes.get(name) != text


def _one_of(name: str, operands: list[JsonValue]) -> Condition:
    members = frozenset(cast("list[str]", operands[0]))

    def holds(_unit: str | None, attributes: Attributes) -> bool:
        value = attributes.get(name)
        return isinstance(value, str) and value in members

    return holds


def _begins(name: str, operands: list[JsonValue]) -> Condition:
    prefix = str(operands[0])

    def holds(_unit: str | None, attributes: Attributes) -> bool:
        value = attributes.get(name)
        return isinstance(value, str) and value.startswith(prefix)

    return holds


def _ends(name: str, operands: list[JsonValue]) -> Condition:
    suffix = str(operands[0])

    def holds(_unit: str | None, attributes: Attributes) -> bool:
        value = attributes.get(name)
        return isinstance(value, str) and value.endswith(suffix)

    return holds


def _version(name: str, operands: list[JsonValue]) -> Condition:
    compare, wanted = COMPARISONS[str(operands[0])], exact_version(str(operands[1]))

    def holds(_unit: str | None, attributes: Attributes) -> bool:
        version = lenient_version(attributes.get(name))
        return version is not None and wanted is not None and compare(version, wanted)

    return holds


_JOINS: Mapping[str, Callable[[list[Condition]], Condition]] = {"and": _all_of, "or": _any_of, "if": _choice}

_COMPARISONS: Mapping[str, Callable[[str, list[JsonValue]], Condition]] = {
    "===": _equal,
    "!==": _unequal,
    "in": _one_of,
    "starts_with": _begins,
    "ends_with": _ends,
    "sem_ver": _version,
}
