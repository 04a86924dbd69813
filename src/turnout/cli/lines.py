"""Where in a YAML file a problem is: from dotted paths back to line numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_INDEX = re.compile(r"\[(\d+)\]\.?")
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class Place:
    """A node and the 1-based line where a person would look for it: that of its key, or its own."""

    line: int
    node: Node


def line_of(root: Node, path: str) -> int:
    """The line of ``path`` (``gates[0].min``, empty for the document); of the nearest enclosing node when there is
    no such node, because a field is missing or an alias of it was meant."""
    place, rest = Place(root.start_mark.line + 1, root), path
    while rest:
        found = _step(place.node, rest)
        if found is None:
            break
        place, rest = found
    return place.line


def _step(node: Node, path: str) -> tuple[Place, str] | None:
    """The child of ``node`` that ``path`` begins with, and what is left of the path."""
    if isinstance(node, MappingNode):
        return _entry(node, path)
    match = _INDEX.match(path)
    if not isinstance(node, SequenceNode) or match is None or int(match[1]) >= len(node.value):
        return None
    item = node.value[int(match[1])]
    return Place(item.start_mark.line + 1, item), path[match.end() :]


def _entry(node: MappingNode, path: str) -> tuple[Place, str] | None:
    """The entry whose key ``path`` begins with. Keys may hold dots, so the longest one that fits wins."""
    fitting = [
        (key.value, Place(key.start_mark.line + 1, value))
        for key, value in node.value
        if isinstance(key, ScalarNode) and _fits(key.value, path)
    ]
    if fitting:
        name, place = max(fitting, key=lambda pair: len(pair[0]))
        return place, path[len(name) :].removeprefix(".")
    merged = [value for key, value in node.value if key.tag == _MERGE]
    found = (_step(value, path) for value in merged if isinstance(value, MappingNode))
    return next((entry for entry in found if entry), None)


def _fits(key: str, path: str) -> bool:
    return bool(key) and path.startswith(key) and path[len(key) : len(key) + 1] in ("", ".", "[")
