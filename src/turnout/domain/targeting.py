"""The conditions a rule may use: the part of JSONLogic on which the flagd engines give the same answer.

========================================================  ==================================================
``true``, ``false``                                       everybody, nobody
``{var: beta}``                                           a boolean attribute is true
``{"===": [{var: plan}, "pro"]}``, ``"!=="``              an attribute is, or is not, a text
``{in: [{var: country}, [DE, AT]]}``                      an attribute is one of some texts
``{in: ["beta", {var: groups}]}``                         a list has a member, or a text contains a text
``{starts_with: [{var: id}, "eu-"]}``, ``ends_with``      how a text begins or ends; case matters
``{sem_ver: [{var: app}, ">=", "2.1.0"]}``                a version compares: ``= != < <= > >= ^ ~``
``{and: […]}``, ``{or: […]}``, ``{"!": c}``               of other conditions
``{if: [c, a, b]}``                                       of other conditions, with an else
========================================================  ==================================================

``targetingKey`` is the unit; ``{var: address.city}`` looks into a structure. An attribute that is missing or
of another type makes a comparison false, never an error. What the engines disagree on is refused: order of
numbers, comparison with numbers or booleans, loose equality, arithmetic. ``check`` says so with a remedy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pydantic import JsonValue

from turnout.domain.bucketing import MAX_TOTAL
from turnout.domain.errors import Problem
from turnout.domain.problems import suggestion
from turnout.domain.versions import COMPARISONS, exact_version

MAX_DEPTH: Final = 20
"""How deep conditions may be nested."""

PUBLISHED_DEPTH: Final = 100
"""How deep published conditions may be nested: those of prerequisites are inside those of the flag."""

UNIT: Final = "targetingKey"
"""The name under which a condition reads the unit."""

FLAG_KEY: Final = "$flagd.flagKey"
"""The name under which a condition reads the flag's key."""

_SEGMENT: Final = r"[A-Za-z0-9_:/-]+"
_NAME: Final = re.compile(rf"(?!\d+$){_SEGMENT}(?:\.(?!\d+(?:\.|$))(?!__proto__){_SEGMENT})*")
_PUBLISHED_NAME: Final = re.compile(rf"{_SEGMENT}(?:\.{_SEGMENT})*")

_REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("<", "<=", ">", ">="),
            "the engines disagree on the order of mistyped values: have the service send a text attribute"
            ' (age_group: "18-25") and compare it with === or in, or a version and use sem_ver',
        ),
        "==": "write ===: the engines disagree on loose equality",
        "!=": "write !==: the engines disagree on loose equality",
        "!!": "leave it out: a condition is true or false already",
        "?:": "write if",
        "fractional": "give the rule a split: {variant: percentage}",
    }
)


def check(expression: JsonValue, path: str, *, published: bool = False) -> list[Problem]:
    """Everything in ``expression`` that is no condition of the table above; empty when it may be published.

    ``path`` is where the expression stands in the user's document. ``published`` also accepts the indices
    that ``published_form`` adds, memberships, and the depth that prerequisites need.
    """
    return list(_Checker(published).condition(expression, path, 1))


def published_form(condition: JsonValue) -> JsonValue:
    """A checked ``condition`` as it is published: the same meaning, in the form on which every engine agrees.

    ``{in: [text, attribute]}`` is guarded, since some engines fail when the attribute is a number; the
    guard lets texts pass, and lists that do not begin with an empty text. ``!`` always gets a list.
    """
    if not isinstance(condition, dict):
        return condition
    ((operator, argument),) = condition.items()
    match operator, argument:
        case "and" | "or" | "if", list():
            return {operator: [published_form(item) for item in argument]}
        case "!", _:
            inner = argument[0] if isinstance(argument, list) else argument
            return {"!": [published_form(inner)]}
        case "in", [str(), {"var": str(name)} as attribute] if name != FLAG_KEY:
            is_text: JsonValue = {"starts_with": [attribute, ""]}
            is_list: JsonValue = {"var": f"{name}.0"}
            return {"and": [{"or": [is_text, is_list]}, condition]}
        case _:
            return condition


@dataclass(frozen=True, slots=True)
class Membership:
    """Whether the unit, hashed after ``seed``, falls into the one of ``parts`` called ``name``, or outside of it.

    Without a unit it never holds. Only the compiler of flags writes it; a rule has a split instead.
    """

    seed: str
    parts: tuple[tuple[str, int], ...]
    name: str
    inside: bool = True

    def published(self) -> JsonValue:
        """It as JSONLogic on which every engine agrees."""
        unit: JsonValue = {"var": UNIT}
        arms: list[JsonValue] = [[name, weight] for name, weight in self.parts]
        drawn: JsonValue = {"fractional": [{"cat": [self.seed, unit]}, *arms]}
        return {"if": [unit, {"===" if self.inside else "!==": [drawn, self.name]}, False]}


def membership_of(node: JsonValue) -> Membership | None:
    """``node`` as a membership, or None when it is none."""
    match node:
        case {"if": [{"var": "targetingKey"}, {**compared}, False], **others} if len(compared) == 1 and not others:
            ((operator, operands),) = compared.items()
        case _:
            return None
    match operator, operands:
        case (
            "===" | "!==",
            [{"fractional": [{"cat": [str(seed), {"var": "targetingKey"}]}, *arms], **others}, str(name)],
        ) if not others and (parts := _parts(arms)):
            return Membership(seed, parts, name, operator == "===")
        case _:
            return None


def _parts(arms: list[JsonValue]) -> tuple[tuple[str, int], ...]:
    """Named whole weights above 0; nothing if that is not what they are."""
    parts: list[tuple[str, int]] = []
    for arm in arms:
        match arm:
            case [str(name), int(weight)] if weight > 0 and not isinstance(weight, bool):
                parts.append((name, weight))
            case _:
                return ()
    return tuple(parts) if sum(weight for _, weight in parts) <= MAX_TOTAL else ()


class _Checker:
    """Checks one condition, as a person writes it or as it is published."""

    def __init__(self, published: bool) -> None:
        self._published = published
        self._names = _PUBLISHED_NAME if published else _NAME
        self._deepest = PUBLISHED_DEPTH if published else MAX_DEPTH
        self._operators: dict[str, Callable[[JsonValue, str, int], Iterator[Problem]]] = {
            "var": self._var,
            "===": self._equality,
            "!==": self._equality,
            "in": self._membership,
            "starts_with": self._affix,
            "ends_with": self._affix,
            "sem_ver": self._version,
            "and": self._some,
            "or": self._some,
            "!": self._negation,
            "if": self._choice,
        }

    def condition(self, node: JsonValue, path: str, depth: int) -> Iterator[Problem]:
        if isinstance(node, bool) or (self._published and membership_of(node) is not None):
            return
        if not isinstance(node, dict) or len(node) != 1:
            yield _wrong(
                path,
                "is not a condition",
                node,
                'write true, false or one operator: {"===": [{var: plan}, "pro"]}',
            )
            return
        ((operator, argument),) = node.items()
        if depth > self._deepest:
            yield Problem(
                path, f"is nested deeper than {self._deepest} conditions", "split the rule into several rules"
            )
        elif operator in self._operators:
            yield from self._operators[operator](argument, f"{path}.{operator}", depth)
        else:
            # YAML gives keys that are no text.
            yield self._unknown(str(operator), path)

    def _unknown(self, operator: str, path: str) -> Problem:
        remedy = _REMEDIES.get(operator) or suggestion(operator, list(self._operators))
        if not remedy.startswith("known here"):
            remedy += "; allowed are " + ", ".join(self._operators)
        return Problem(path, f"operator {operator!r} is not allowed", remedy)

    def _var(self, argument: JsonValue, path: str, _depth: int) -> Iterator[Problem]:
        if argument == FLAG_KEY or (isinstance(argument, str) and self._names.fullmatch(argument)):
            return
        if argument == "$flagd.timestamp":
            yield _wrong(path, "conditions have no clock", argument, "let a rollout change traffic over time")
            return
        remedy = "name one attribute with ASCII letters, digits and _ - : / (a dot looks into a structure)"
        yield _wrong(path, "is not the name of an attribute", argument, remedy)

    def _attribute(self, node: JsonValue, path: str) -> Iterator[Problem]:
        match node:
            case {"var": name, **rest} if not rest:
                yield from self._var(name, f"{path}.var", 0)
            case _:
                yield _wrong(path, "has to be an attribute", node, "write {var: name} first")

    def _equality(self, argument: JsonValue, path: str, _depth: int) -> Iterator[Problem]:
        match argument:
            case [attribute, str()]:
                yield from self._attribute(attribute, f"{path}[0]")
            case [attribute, bool()]:
                remedy = 'a boolean attribute is a condition itself: {var: beta} or {"!": {var: beta}}'
                yield _wrong(f"{path}[1]", "the engines disagree on comparison with a boolean", argument[1], remedy)
                yield from self._attribute(attribute, f"{path}[0]")
            case [attribute, int() | float()]:
                remedy = "have the service send a text attribute, and quote the text here"
                yield _wrong(f"{path}[1]", "the engines disagree on comparison with a number", argument[1], remedy)
                yield from self._attribute(attribute, f"{path}[0]")
            case _:
                yield _wrong(path, "compares an attribute with a text", argument, 'write [{var: plan}, "pro"]')

    def _membership(self, argument: JsonValue, path: str, _depth: int) -> Iterator[Problem]:
        match argument:
            case [str(), {"var": _} as attribute]:
                yield from self._attribute(attribute, f"{path}[0]")
            case [attribute, [_, *_] as members]:
                yield from self._attribute(attribute, f"{path}[0]")
                yield from _not_texts(members, f"{path}[1]")
            case _:
                remedy = "write [{var: country}, [DE, AT]] or [beta, {var: groups}]"
                yield _wrong(path, "looks for an attribute in a list of texts", argument, remedy)

    def _affix(self, argument: JsonValue, path: str, _depth: int) -> Iterator[Problem]:
        match argument:
            case [attribute, str()]:
                yield from self._attribute(attribute, f"{path}[0]")
            case _:
                yield _wrong(
                    path,
                    "compares an attribute with a text",
                    argument,
                    'write [{var: email}, "@example.org"]',
                )

    def _version(self, argument: JsonValue, path: str, _depth: int) -> Iterator[Problem]:
        match argument:
            case [attribute, str(comparison), str(version)]:
                yield from self._attribute(attribute, f"{path}[0]")
                if comparison not in COMPARISONS:
                    yield _wrong(f"{path}[1]", "is no comparison", comparison, f"one of {' '.join(COMPARISONS)}")
                if exact_version(version) is None:
                    yield _wrong(f"{path}[2]", "is no version", version, "write all three numbers: 2.1.0")
            case _:
                yield _wrong(
                    path,
                    "compares an attribute with a version",
                    argument,
                    'write [{var: app}, ">=", "2.1.0"]',
                )

    def _some(self, argument: JsonValue, path: str, depth: int) -> Iterator[Problem]:
        if not isinstance(argument, list) or not argument:
            yield _wrong(path, "joins a list of conditions", argument, "give it at least one")
            return
        for index, item in enumerate(argument):
            yield from self.condition(item, f"{path}[{index}]", depth + 1)

    def _negation(self, argument: JsonValue, path: str, depth: int) -> Iterator[Problem]:
        match argument:
            case [inner]:
                yield from self.condition(inner, f"{path}[0]", depth + 1)
            case list():
                yield _wrong(path, "negates one condition", argument, "join several with and or or")
            case _:
                yield from self.condition(argument, path, depth + 1)

    def _choice(self, argument: JsonValue, path: str, depth: int) -> Iterator[Problem]:
        if isinstance(argument, list) and len(argument) >= 3 and len(argument) % 2:
            yield from self._some(argument, path, depth)
        else:
            yield _wrong(path, "needs a condition, a then and an else", argument, "write [condition, then, else]")


def _not_texts(members: list[JsonValue], path: str) -> Iterator[Problem]:
    for index, member in enumerate(members):
        if not isinstance(member, str):
            remedy = "quote it: only texts compare alike everywhere (YAML reads a bare no or off as false)"
            yield _wrong(f"{path}[{index}]", "is not a text", member, remedy)


def _wrong(path: str, message: str, value: JsonValue, remedy: str) -> Problem:
    shown = repr(value)
    return Problem(path, message, remedy, shown if len(shown) <= 60 else shown[:57] + "...")
