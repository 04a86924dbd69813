"""A flag file as what a client serves beneath the controller's flags."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from turnout.domain.errors import InvalidInput, Problem
from turnout.domain.flags import initial_traffic, parse_flags
from turnout.domain.prerequisites import requirement_problems
from turnout.domain.snapshot import PublishedFlag, document


def read_flag_file(path: str | os.PathLike[str] | None) -> Mapping[str, object] | None:
    """The flags in the file at ``path``, as `turnout flags apply` takes them, as a flag document; None without one.

    Raises InvalidInput when the file cannot be read, or a flag is wrong. YAML needs PyYAML; JSON needs nothing.
    """
    if path is None:
        return None
    flags = parse_flags(_data(Path(path)))
    if problems := requirement_problems({flag.key: flag for flag in flags}):
        raise InvalidInput(problems)
    return document([PublishedFlag(definition=flag, traffic=initial_traffic(flag)) for flag in flags], 0, "")


def _data(path: Path) -> object:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput([Problem("flags_file", f"cannot be read: {error}", "name a file", str(path))]) from error
    try:
        return json.loads(text) if path.suffix == ".json" else _yaml(path, text)
    except ValueError as error:
        raise InvalidInput([Problem("flags_file", f"is no flag file: {error}", "mend it there", str(path))]) from error


def _yaml(path: Path, text: str) -> object:
    if find_spec("yaml") is None:
        remedy = "pip install pyyaml, or write the file as JSON with a name that ends in .json"
        raise InvalidInput([Problem("flags_file", "is YAML, which nothing here reads", remedy, str(path))])
    import yaml

    try:
        found: object = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    return found
