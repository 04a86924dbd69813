"""Pages of the documentation that are generated: written anew, or compared with what is there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def kept_up(file: Path, text: str, module: str, arguments: Sequence[str]) -> int:
    """Write ``text`` to ``file``; with ``--check`` only say whether it is there already (1 when it is not).

    ``module`` is what a person runs to write it.
    """
    if "--check" not in arguments:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return 0
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{file} is out of date; run: python -m {module}\n")
    return 1
