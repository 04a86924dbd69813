"""Names of flags, variants, rules and segments."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,200}")
# The first two change the path of a URL, the last one is no ordinary property in JavaScript.
_RESERVED: Final = frozenset({".", "..", "__proto__"})


def _name(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError('is a boolean, not a name; quote it ("on"): YAML reads on, off, yes and no as booleans')
    if isinstance(value, int | float):
        raise ValueError('is a number, not a name; quote it ("1")')
    if isinstance(value, str) and (not _NAME.fullmatch(value) or value in _RESERVED):
        raise ValueError("is not a name; use at most 200 letters, digits and . _ -")
    return value


Name = Annotated[str, BeforeValidator(_name)]
"""A flag's key, or the name of a variant, rule or segment: at most 200 of ``A-Z a-z 0-9 . _ -``."""
