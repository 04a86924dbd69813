"""Flags that depend on other flags: ``requires: {other-flag: variant}``.

A flag whose prerequisite gives the caller another variant than the required one serves its stable variant. No engine
has an operator that reads another flag, so the prerequisite's whole targeting is published as a condition of the flag
that requires it: all flags of a document are compiled together, and every change of one reaches both at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import JsonValue

from turnout.domain.errors import Problem
from turnout.domain.flags import Flag
from turnout.domain.problems import suggestion
from turnout.domain.targeting import FLAG_KEY, UNIT, Membership
from turnout.domain.versions import COMPARISONS, exact_version, lenient_version

MAX_CHAIN: Final = 5
"""How many flags may require each other in a row, below the first."""

MAX_REQUIRED: Final = 50
"""How many prerequisites a flag may have, those of its prerequisites included: each is published with the flag."""

Definition = Mapping[str, JsonValue]

_UNIT_READ: Final[JsonValue] = {"var": UNIT}


def unmet(key: str, definition: Definition | None, variant: str) -> JsonValue:
    """The condition that flag ``key``, published as ``definition``, does not give ``variant``.

    A flag that is missing or disabled never gives one.
    """
    if definition is None or definition.get("state") != "ENABLED":
        return {"!": [False]}
    return {"!": [_gives(key, definition.get("targeting"), variant, str(definition.get("defaultVariant")))]}


def requirement_problems(flags: Mapping[str, Flag]) -> list[Problem]:
    """What is wrong with the prerequisites among ``flags``, all there are by key: unknown ones, cycles, long chains."""
    problems = [problem for flag in flags.values() for problem in _unknown(flag, flags)]
    if problems:
        return problems
    for key in flags:
        cycle = _cycle(key, flags)
        # Each cycle once, from its first flag.
        if cycle and key == min(cycle):
            remedy = "remove one of these requirements"
            problems.append(
                Problem(f"flags.{key}.requires", "the flags require each other", remedy, " -> ".join(cycle))
            )
    return problems or [problem for key in flags for problem in _excess(key, flags)]


def _unknown(flag: Flag, flags: Mapping[str, Flag]) -> Iterator[Problem]:
    for key, variant in flag.requires.items():
        path, other = f"flags.{flag.key}.requires.{key}", flags.get(key)
        if other is None:
            yield Problem(path, f"there is no flag {key!r}", suggestion(key, list(flags)), variant)
        elif variant not in other.variants:
            remedy = suggestion(variant, list(other.variants))
            yield Problem(path, f"flag {key!r} has no variant {variant!r}", remedy, variant)


def _cycle(start: str, flags: Mapping[str, Flag]) -> list[str]:
    """The way from ``start`` over requirements back to it; empty when there is none."""
    came_from: dict[str, str] = {}
    waiting = [start]
    while waiting:
        key = waiting.pop()
        for other in flags[key].requires:
            if other == start:
                way = [start, key]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if other not in came_from:
                came_from[other] = key
                waiting.append(other)
    return []


def _excess(key: str, flags: Mapping[str, Flag]) -> Iterator[Problem]:
    path, level, count = f"flags.{key}.requires", list(flags[key].requires), 0
    for _ in range(MAX_CHAIN):
        count += len(level)
        if count > MAX_REQUIRED:
            remedy = f"keep at most {MAX_REQUIRED}, those of prerequisites included"
            yield Problem(path, "the flag depends on too many others", remedy)
            return
        level = [other for one in level for other in flags[one].requires]
    if level:
        yield Problem(path, f"more than {MAX_CHAIN} flags require each other in a row", "shorten the chain", level[0])


def _gives(key: str, node: JsonValue, variant: str, default: str) -> JsonValue:
    """The condition that the targeting ``node`` of flag ``key`` results in ``variant``."""
    match node:
        case None:
            return variant == default
        case str():
            return node == variant
        case {"fractional": list(arms)}:
            return _drawn(key, arms, variant, default)
        case {"if": [_, {"fractional": [{"cat": [str(seed), _]}, *arms]}, None]}:
            return _drawn(seed, arms, variant, default)
        case {"if": [*pairs, rest]}:
            conditions = [bound(condition, key) for condition in pairs[::2]]
            answers = [_gives(key, served, variant, default) for served in [*pairs[1::2], rest]]
            return _choice(conditions, answers)
        case _:
            raise AssertionError(f"not a targeting: {node!r}")


def _choice(conditions: list[JsonValue], answers: list[JsonValue]) -> JsonValue:
    """An ``if`` over conditions, or what all of its answers are."""
    if all(answer is answers[0] for answer in answers) and isinstance(answers[0], bool):
        return answers[0]
    chain: list[JsonValue] = []
    for condition, answer in zip(conditions, answers[:-1], strict=True):
        chain += [condition, answer]
    return {"if": [*chain, answers[-1]]}


def _drawn(seed: str, arms: list[JsonValue], variant: str, default: str) -> JsonValue:
    """The condition that a split gives ``variant``; without a unit it gives ``default``."""
    parts = tuple((str(arm[0]), int(str(arm[1]))) for arm in arms if isinstance(arm, list))
    if variant not in dict(parts):
        return {"!": [_UNIT_READ]} if variant == default else False
    # Without a unit a membership never holds, whichever side it asks for.
    member = Membership(seed, parts, variant, inside=variant != default).published()
    return {"!": [member]} if variant == default else member


def bound(condition: JsonValue, key: str) -> JsonValue:
    """``condition`` of flag ``key`` for use in another flag: what it says of the flag's key is decided here."""
    if not isinstance(condition, dict):
        return condition
    ((operator, argument),) = condition.items()
    match operator, argument:
        case "var", _:
            return bool(key) if argument == FLAG_KEY else condition
        case "and" | "or" | "if", list():
            return {operator: [bound(item, key) for item in argument]}
        case "!", [inner]:
            return {"!": [bound(inner, key)]}
        case "in", [str(text), {"var": "$flagd.flagKey"}]:
            return text in key
        case _, [{"var": "$flagd.flagKey"}, *operands]:
            return _decided(operator, key, operands)
        case _:
            return condition


def _decided(operator: str, key: str, operands: list[JsonValue]) -> bool:
    match operator, operands:
        case "===" | "!==", [other]:
            return (key == other) is (operator == "===")
        case "in", [list(members)]:
            return key in members
        case "starts_with", [str(text)]:
            return key.startswith(text)
        case "ends_with", [str(text)]:
            return key.endswith(text)
        case "sem_ver", [str(comparison), str(text)]:
            version, wanted = lenient_version(key), exact_version(text)
            return version is not None and wanted is not None and COMPARISONS[comparison](version, wanted)
        case _:
            raise AssertionError(f"unchecked condition: {operator} {operands!r}")
