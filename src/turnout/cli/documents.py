"""Files that people write: YAML or JSON, read with the line of everything, and judged with every problem at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar, cast

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from turnout.cli.failures import InvalidFile, usage
from turnout.cli.idfiles import with_ids
from turnout.cli.lines import line_of
from turnout.domain.errors import InvalidInput, Problem
from turnout.domain.flags import Flag, parse_flags
from turnout.strategies import RolloutSpec, parse_spec

Kind = Literal["flags", "rollout"]
Read = TypeVar("Read")

STDIN = "-"
_ROLLOUT_FIELDS = frozenset({"flag", "candidate", "strategy", "gates", "guardrails"})


class _Loader(yaml.SafeLoader):
    """Plain data only. A date stays the text that was written: JSON, in which everything travels, has none."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Document:
    """A file as plain ``data``; ``name`` is how people know it (``<stdin>`` when it came from there)."""

    name: str
    data: object
    root: Node

    @property
    def kind(self) -> Kind | None:
        """What the file is by its content; None when it is neither."""
        if not isinstance(self.data, dict):
            return None
        fields = {str(field) for field in cast("dict[object, object]", self.data)}
        if "flags" in fields:
            return "flags"
        return "rollout" if fields & _ROLLOUT_FIELDS else None

    def located(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """``problems`` with their lines, in the order of the file."""
        with_lines = (replace(problem, line=problem.line or line_of(self.root, problem.path)) for problem in problems)
        return tuple(sorted(with_lines, key=lambda problem: problem.line or 0))


def load(source: str) -> Document:
    """Read the file ``source``, or standard input for ``-``.

    Raises:
        Failure: it cannot be read.
        InvalidFile: it is no YAML, or a file of ids that it names cannot be used; every problem has its line.
    """
    name = "<stdin>" if source == STDIN else source
    document = parse(name, _read(source))
    return _with_ids(document, Path() if source == STDIN else Path(source).parent)


def parse(name: str, text: str) -> Document:
    """``text`` as a document.

    Raises:
        InvalidFile: it is no YAML, says a key twice, or is empty.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
        if root is None:
            remedy = "begin with flag: for a rollout, or flags:"
            raise InvalidFile(name, [Problem("", "the file is empty", remedy, line=1)])
        problems = [*_faults(root, (), set())]
        if problems:
            raise InvalidFile(name, problems)
        return Document(name, yaml.load(text, Loader=_Loader), root)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise InvalidFile(name, [_syntax_problem(error, text)]) from error
    except RecursionError:
        raise InvalidFile(name, [Problem("", "is nested too deeply", "flatten it", line=1)]) from None


def read_spec(document: Document) -> RolloutSpec:
    """The rollout spec in ``document``. Raises InvalidFile with every problem and its line."""
    return _judged(document, parse_spec)


def read_flags(document: Document) -> tuple[Flag, ...]:
    """The flags in ``document``. Raises InvalidFile with every problem and its line."""
    return _judged(document, parse_flags)


def unknown_kind(document: Document) -> InvalidFile:
    """Says that ``document`` is neither a rollout nor flags."""
    remedy = "a rollout has flag:, candidate:, strategy: and gates:; a flag file has flags:"
    return InvalidFile(document.name, document.located([Problem("", "is neither a rollout nor a flag file", remedy)]))


def _with_ids(document: Document, folder: Path) -> Document:
    if document.kind != "rollout":
        return document
    data, problems = with_ids(document.data, folder)
    if problems:
        raise InvalidFile(document.name, document.located(problems))
    return replace(document, data=data)


def _judged(document: Document, judge: Callable[[object], Read]) -> Read:
    try:
        return judge(document.data)
    except InvalidInput as error:
        raise InvalidFile(document.name, document.located(error.problems)) from error


def _read(source: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if source == STDIN else Path(source).read_bytes()
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise usage(f"{source} is not UTF-8 text ({error.reason}); save it as UTF-8") from error
    except OSError as error:
        raise usage(f"cannot read {source}: {error.strerror}; name a file, or - for standard input") from error


def _syntax_problem(error: yaml.YAMLError, text: str) -> Problem:
    remedy = "check the indentation, colons and quotes there"
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        what = " ".join(filter(None, (error.problem, error.context)))
        return Problem("", f"is not YAML: {what}", remedy, line=mark.line + 1 if mark else 1)
    position = getattr(error, "position", 0)
    line = text.count("\n", 0, position if isinstance(position, int) else 0) + 1
    return Problem("", "is not YAML: it holds a character that YAML forbids", "remove it", line=line)


def _faults(node: Node, above: tuple[int, ...], seen: set[int]) -> Iterator[Problem]:
    """Keys that are said twice and aliases that contain themselves, anywhere below ``node``."""
    if id(node) in above:
        remedy = "write it out, or leave it out"
        yield Problem("", "an alias refers to what contains it", remedy, line=node.start_mark.line + 1)
    if id(node) in seen:
        return
    seen.add(id(node))
    inside = (*above, id(node))
    if isinstance(node, MappingNode):
        yield from _repeated(node)
        for key, value in node.value:
            yield from _faults(key, inside, seen)
            yield from _faults(value, inside, seen)
    elif isinstance(node, SequenceNode):
        for item in node.value:
            yield from _faults(item, inside, seen)


def _repeated(node: MappingNode) -> Iterator[Problem]:
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, ScalarNode):
            continue
        line, identity = key.start_mark.line + 1, (key.tag, key.value)
        if identity in lines:
            remedy = "keep one of them: YAML would silently drop the other"
            yield Problem(key.value, f"is written twice, first in line {lines[identity]}", remedy, line=line)
        else:
            lines[identity] = line
