"""The `turnout` command."""

from __future__ import annotations

import sys

_NEEDED = ("typer", "rich", "yaml")


def main() -> None:
    """Run the command line. Without the packages of the `cli` extra it says what to install."""
    try:
        from turnout.cli.app import build
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _NEEDED:
            raise
        sys.stderr.write(f"turnout: the command needs the package {error.name}; run: pip install 'turnout[cli]'\n")
        sys.exit(5)
    build(rich=sys.stdout.isatty())()
