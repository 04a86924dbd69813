"""Pointers into JSON documents: ``data.items[0].value``, with any key in brackets: ``labels["a.b"]``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, cast

from pydantic import AfterValidator

_STEP = re.compile(r"""(?:^|(?<!^)\.)(?P<key>[^.\[\]"\s]+)|\[(?P<index>\d{1,9})\]|\[(?P<quoted>"(?:[^"\\]|\\.)*")\]""")


def parse_pointer(text: str) -> tuple[str | int, ...]:
    """The keys and indexes that ``text`` walks; empty text is the document itself.

    Raises:
        ValueError: ``text`` is no pointer; the message says from where on.
    """
    steps, at = list[str | int](), 0
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            raise ValueError(f'is no pointer from {text[at : at + 40]!r} on; write data.items[0].value or data["a.b"]')
        steps.append(_step(found))
        at = found.end()
    return tuple(steps)


def _checked(text: str) -> str:
    parse_pointer(text)
    return text


Pointer = Annotated[str, AfterValidator(_checked)]
"""A path into a JSON document, as a person writes it."""


def _step(found: re.Match[str]) -> str | int:
    if found["key"] is not None:
        return found["key"]
    return int(found["index"]) if found["index"] is not None else cast(str, json.loads(found["quoted"]))


def walk(document: object, pointer: str) -> object:
    """What ``pointer`` leads to in ``document``; None where a key or index is absent or null on the way.

    Raises:
        ValueError: no pointer, or a step asks a key of what is no object or an index of what is no array.
    """
    here = document
    for step in parse_pointer(pointer):
        if here is None:
            return None
        here = _item(here, step) if isinstance(step, int) else _member(here, step)
    return here


def _member(here: object, key: str) -> object:
    if not isinstance(here, Mapping):
        raise ValueError(f"finds {kind_of(here)} where the key {key!r} needs an object")
    return cast(Mapping[str, object], here).get(key)


def _item(here: object, index: int) -> object:
    if not isinstance(here, list):
        raise ValueError(f"finds {kind_of(here)} where the index {index} needs an array")
    items = cast(Sequence[object], here)
    return items[index] if index < len(items) else None


def kind_of(value: object) -> str:
    """What JSON calls ``value``: ``a text``, ``an array``…"""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list():
            return "an array"
        case _:
            return "an object"
