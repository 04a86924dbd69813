"""The documents: the docstrings of Python's standard library, read without importing any of it."""

from __future__ import annotations

import ast
import os
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from .terms import words

# Packages that are no library: tests, applications, generated text.
SKIPPED = frozenset({"ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tests", "turtledemo"})
FEWEST_WORDS = 6

_SENTENCE_END = re.compile(r"(?<=[.!?])\s|\n\s*\n")


@dataclass(frozen=True, slots=True)
class Document:
    """One docstring: ``id`` is the dotted name, ``title`` the first sentence, ``text`` all of it."""

    id: str
    title: str
    text: str


def load(limit: int | None = None) -> tuple[Document, ...]:
    """Return the public modules, classes and functions that have a docstring, ordered by module.

    No text occurs twice: of equal docstrings the first one counts. ``limit`` keeps only the first so many
    documents and reads no more files than these need. Raises ``ValueError`` if ``limit`` is below one and
    ``FileNotFoundError`` if this Python comes without the source of its library.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit: must be at least 1, or None for all documents (got {limit})")
    root = Path(sysconfig.get_path("stdlib"))
    documents = tuple(islice(_documents(root), limit))
    if not documents:
        raise FileNotFoundError(f"no Python source under {root}; run on a Python that ships its library's source")
    return documents


def _documents(root: Path) -> Iterator[Document]:
    ids: set[str] = set()
    texts: set[str] = set()
    for module, path in sorted(_modules(root)):
        for name, text in _docstrings(ast.parse(path.read_bytes()), module):
            if name not in ids and text not in texts and len(words(text)) >= FEWEST_WORDS:
                ids.add(name)
                texts.add(text)
                yield Document(name, first_sentence(text), text)


def _modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Every public module under ``root`` as (dotted name, source file)."""
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if _is_public(name) and name not in SKIPPED]
        package = Path(folder).relative_to(root).parts
        for file in map(Path, files):
            if file.suffix == ".py" and file.stem == "__init__" and package:
                yield ".".join(package), folder / file
            elif file.suffix == ".py" and _is_public(file.stem):
                yield ".".join((*package, file.stem)), folder / file


def _is_public(name: str) -> bool:
    # What is no identifier cannot be imported: site-packages, config-3.12-x86_64-linux-gnu.
    return name.isidentifier() and not name.startswith("_")


def _docstrings(module: ast.Module, name: str) -> Iterator[tuple[str, str]]:
    """The docstrings of a module and of the public definitions in it as (dotted name, text)."""
    text = ast.get_docstring(module)
    if text:
        yield name, text
    yield from _inside(module, name)


def _inside(node: ast.AST, prefix: str) -> Iterator[tuple[str, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if _is_public(child.name):
                yield from _definition(child, f"{prefix}.{child.name}")
        elif isinstance(child, ast.If | ast.Try):
            yield from _inside(child, prefix)


def _definition(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> Iterator[tuple[str, str]]:
    text = ast.get_docstring(node)
    if text:
        yield name, text
    if isinstance(node, ast.ClassDef):
        yield from _inside(node, name)


def first_sentence(text: str) -> str:
    """The first sentence of ``text``, or its first paragraph if that ends sooner, on one line."""
    return " ".join(_SENTENCE_END.split(text, maxsplit=1)[0].split())
