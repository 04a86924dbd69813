"""Whom a cohort or region is about: from what a person writes as ``match`` to a condition that every engine can ask.

===================================  =================================================================
``{plan: beta}``                     an attribute is this text; several attributes all have to fit
``{plan: [beta, pilot]}``            an attribute is one of these texts
``{internal: true}``                 a boolean attribute is true, or false
``{ids: [ann, bob]}``                the unit is one of these
``{file: staff.txt}``                the same, an id a line; read by the command line, never by a server
``{if: {…}}``                        a condition as in a flag's rules, see `turnout.domain.targeting`
===================================  =================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, cast

from pydantic import BeforeValidator, JsonValue

from turnout.domain import targeting
from turnout.domain.errors import Problem
from turnout.domain.model import Frozen
from turnout.domain.problems import Faults

MOST_IDS: Final = 10_000
"""How many units one match may list: every resolver holds them all."""

LONGEST_ID: Final = 200

FILE, IDS, IF = "file", "ids", "if"
_WAYS: Final = (IDS, FILE, IF)
_USUAL: Final = "write {plan: beta}, {ids: [ann, bob]} or {if: {…}}"


class Matched(Frozen):
    """Those for whom ``condition`` holds; ``size`` is roughly how many bytes it takes to publish it."""

    condition: JsonValue
    size: int = 0


def read_match(written: object) -> object:
    """What stands under ``match`` as a `Matched`; one already read is given back. Raises Faults."""
    if isinstance(written, Matched):
        return written
    shown = repr(written)[:60]
    if not isinstance(written, dict) or not written:
        raise Faults([Problem("", "matches nobody", _USUAL, shown)])
    match = cast("dict[str, JsonValue]", written)
    problems = list(_problems(match))
    if problems:
        raise Faults(problems)
    condition = _condition(match)
    return Matched(condition=condition, size=len(repr(condition).encode()))


Match = Annotated[Matched, BeforeValidator(read_match)]
"""A ``match`` in a model."""


def among(attribute: str, texts: tuple[str, ...]) -> JsonValue:
    """The condition that ``attribute`` is one of ``texts``."""
    return {"in": [{"var": attribute}, list(texts)]}


def _condition(match: Mapping[str, JsonValue]) -> JsonValue:
    if IF in match:
        return match[IF]
    if IDS in match:
        return among(targeting.UNIT, tuple(dict.fromkeys(cast("list[str]", match[IDS]))))
    every = [_attribute(name, value) for name, value in match.items()]
    return every[0] if len(every) == 1 else {"and": every}


def _attribute(name: str, value: JsonValue) -> JsonValue:
    attribute: JsonValue = {"var": name}
    match value:
        case bool():
            return attribute if value else {"!": [attribute]}
        case list():
            return {"in": [attribute, value]}
        case _:
            return {"===": [attribute, value]}


def _problems(match: Mapping[str, JsonValue]) -> Iterator[Problem]:
    ways = [way for way in _WAYS if way in match]
    others = [name for name in match if name not in _WAYS]
    if len(ways) > 1 or (ways and others):
        found = " and ".join(map(str, match))
        yield Problem("", "mixes ways to match", "make a cohort of each, or join attributes in if: {or: […]}", found)
    elif IDS in match:
        yield from _id_problems(match[IDS])
    elif FILE in match:
        remedy = "validate and start with the turnout command, which reads it, or send its lines as ids:"
        yield Problem(FILE, "is a file, which only the command line reads", remedy, repr(match[FILE]))
    elif IF in match:
        yield from targeting.check(match[IF], IF)
    else:
        yield from _attribute_problems(match)


def _id_problems(ids: JsonValue) -> Iterator[Problem]:
    if not isinstance(ids, list) or not ids:
        yield Problem(IDS, "is no list of units", "write ids: [ann, bob]", repr(ids)[:60])
        return
    if len(ids) > MOST_IDS:
        remedy = "have the service send an attribute that tells who is in it, and match that"
        yield Problem(IDS, f"lists more than {MOST_IDS} units, and every resolver holds them", remedy, str(len(ids)))
        return
    for index, unit in enumerate(ids):
        if not isinstance(unit, str) or not 0 < len(unit) <= LONGEST_ID:
            remedy = f"write a text of 1 to {LONGEST_ID} characters, in quotes if it looks like a number"
            yield Problem(f"{IDS}[{index}]", "is no unit", remedy, repr(unit)[:60])


def _attribute_problems(match: Mapping[str, JsonValue]) -> Iterator[Problem]:
    for name, value in match.items():
        # YAML gives keys and members that are no text: a bare no, off or 1.
        if not isinstance(cast("object", name), str):
            yield Problem(str(name), "is no name of an attribute", "quote it", repr(name))
        elif isinstance(value, str | bool):
            yield from targeting.check(_attribute(name, value), name)
        elif isinstance(value, list) and value:
            for problem in targeting.check(_attribute(name, value), name):
                yield Problem(problem.path.replace(".in[1]", ""), problem.message, problem.remedy, problem.value)
        else:
            remedy = "write a text (quote numbers), a list of texts, true or false"
            yield Problem(name, "is nothing an attribute can be matched with", remedy, repr(value)[:60])
