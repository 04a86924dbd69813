"""Files that list units: ``match: {file: staff.txt}`` becomes ``match: {ids: […]}`` before it leaves this machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

from turnout.domain.errors import Problem
from turnout.domain.matching import FILE, IDS, LONGEST_ID, MOST_IDS

_LARGEST: Final = MOST_IDS * (LONGEST_ID + 2)
_COMMENT: Final = "#"


def with_ids(data: object, folder: Path) -> tuple[object, list[Problem]]:
    """A copy of ``data`` in which every ``match`` by file lists its ids, and what went wrong.

    Paths in ``data`` begin at ``folder``. A file has an id a line, in UTF-8; empty lines and those that begin with
    ``#`` do not count.
    """
    problems: list[Problem] = []
    return _filled(data, "", folder, problems), problems


def _filled(node: object, path: str, folder: Path, problems: list[Problem]) -> object:
    if isinstance(node, list):
        items = cast("list[object]", node)
        return [_filled(item, f"{path}[{index}]", folder, problems) for index, item in enumerate(items)]
    if not isinstance(node, dict):
        return node
    fields = cast("dict[object, object]", node)
    return {
        name: _match(value, f"{path}.{name}".removeprefix("."), folder, problems)
        if name == "match"
        else _filled(value, f"{path}.{name}".removeprefix("."), folder, problems)
        for name, value in fields.items()
    }


def _match(match: object, path: str, folder: Path, problems: list[Problem]) -> object:
    match match:
        case {"file": str(name)} if len(cast("Mapping[object, object]", match)) == 1:
            try:
                return {IDS: _ids(folder / name)}
            except _Unusable as error:
                problems.append(Problem(f"{path}.{FILE}", error.why, error.remedy, name))
        case _:
            pass
    return match


class _Unusable(Exception):
    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(why)
        self.why, self.remedy = why, remedy


def _ids(file: Path) -> list[str]:
    try:
        with file.open("rb") as opened:
            raw = opened.read(_LARGEST + 1)
        lines = raw.decode("utf-8-sig").splitlines()
    except OSError as error:
        remedy = "name a file, relative to the one that names it"
        raise _Unusable(f"cannot be read: {error.strerror}", remedy) from error
    except UnicodeDecodeError as error:
        raise _Unusable(f"is not UTF-8 text ({error.reason})", "save it as UTF-8") from error
    if len(raw) > _LARGEST:
        remedy = "have the service send an attribute that tells who is in it, and match that"
        raise _Unusable(f"lists more than {MOST_IDS} units", remedy)
    ids = [line.strip() for line in lines if line.strip() and not line.startswith(_COMMENT)]
    if not ids:
        raise _Unusable("lists no unit", "write an id a line")
    return ids
