"""``python -m api.openapi [--check] [FILE]``: write the OpenAPI description, or check that the file is current."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from api.app import create_app
from api.engine import TemporalEngine
from api.feed import Hub
from api.metrics import Metrics
from api.services import Services, utc_now
from turnout.testing.stores import memory_stores

DEFAULT_FILE: Final = Path(__file__).parents[1] / "docs" / "reference" / "openapi.json"


def description() -> str:
    """The description as the file holds it."""
    stores = memory_stores()
    services = Services(
        flags=stores.flags,
        rollouts=stores.rollouts,
        outcomes=stores.outcomes,
        freezes=stores.freezes,
        budgets=stores.budgets,
        engine=TemporalEngine({}),
        hub=Hub(stores.flags, 1.0, utc_now),
        metrics=Metrics(),
    )
    return json.dumps(create_app(services).openapi(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check; 1: the file is not current."""
    parser = argparse.ArgumentParser(prog="python -m api.openapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail unless the file is current")
    parser.add_argument("file", nargs="?", type=Path, default=DEFAULT_FILE)
    options = parser.parse_args(argv)
    made = description()
    if options.check:
        if options.file.is_file() and options.file.read_text(encoding="utf-8") == made:
            return 0
        sys.stderr.write(f"{options.file} is not current; run: python -m api.openapi\n")
        return 1
    options.file.parent.mkdir(parents=True, exist_ok=True)
    options.file.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
