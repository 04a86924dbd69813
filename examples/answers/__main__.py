"""``python -m examples.answers``, which is ``turnout demo``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from types import FrameType

# Searches of many threads at once gain nothing from a numerical library with threads of its own, and on a busy
# machine these wait for each other. It reads this when it is loaded, so before anything else.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ.setdefault(_name, "1")

LONGEST = 420
"""Seconds. Nothing in the demo waits for ever, but a hang would be worse than a failure."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo: 0 when one rollout completed and the other was rolled back, 1 when not, 130 for Ctrl-C."""
    options = _arguments(argv)
    # The demo runs on its own, whatever controller this shell is set up for.
    for name in [name for name in os.environ if name.startswith("TURNOUT_")]:
        del os.environ[name]
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGALRM, _interrupt)
    signal.alarm(LONGEST)
    try:
        return _play(options)
    except KeyboardInterrupt:
        _complain("stopped")
        return 130
    # Whatever it is: what was started has been stopped, and a person gets one line.
    except Exception as error:
        _complain(f"{type(error).__name__}: {error}")
        if options.data is None:
            _complain("the logs are gone with the temporary directory; run it with --data DIR to keep them")
        return 1


def _play(options: argparse.Namespace) -> int:
    from .demo import Options, run

    with tempfile.TemporaryDirectory(prefix="turnout-demo-", ignore_cleanup_errors=True) as temporary:
        data = Path(options.data or temporary).resolve()
        data.mkdir(parents=True, exist_ok=True)
        chosen = Options(data, options.documents, options.users, options.rate)
        if options.output == "json":
            with redirect_stdout(sys.stderr):
                summary = run(chosen)
            print(json.dumps(summary.data()))
        else:
            summary = run(chosen)
            print("\n── measured ──", *summary.lines(), sep="\n")
    for failure in summary.failures():
        _complain(failure)
    return 1 if any(summary.failures()) else 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m examples.answers",
        description="Two answer systems, simulated users, a rollout that completes and one that is rolled back.",
    )
    parser.add_argument("--documents", type=_at_least(400), metavar="N", help="index only the first N documents [all]")
    parser.add_argument("--users", type=_at_least(100), default=400, metavar="N", help="simulated users [%(default)s]")
    parser.add_argument("--rate", type=_at_least(50), default=300, metavar="N", help="questions a second [%(default)s]")
    parser.add_argument("--data", metavar="DIR", help="keep everything in DIR [a temporary directory, removed]")
    parser.add_argument("--output", choices=("text", "json"), default="text", help="json: the summary alone on stdout")
    options = parser.parse_args(argv)
    if options.data is not None and Path(options.data).exists() and any(Path(options.data).iterdir()):
        # Flags that an earlier run has moved would make another story of this one.
        parser.error(f"--data {options.data} is not empty; name a new directory")
    return options


def _at_least(least: int) -> Callable[[str], int]:
    """Reads a number that must not be below ``least``, which would give too little evidence."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a whole number of at least {least} (got {text!r})")
        return int(text)

    return read


def _interrupt(signum: int, _frame: FrameType | None) -> None:
    if signum == signal.SIGALRM:
        raise TimeoutError(f"not done after {LONGEST} s")
    raise KeyboardInterrupt


def _complain(text: str) -> None:
    sys.stderr.write(f"turnout demo: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
