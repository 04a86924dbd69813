"""``python -m benchmarks``: measure everything and write docs/benchmarks.md."""

from __future__ import annotations

from pathlib import Path

from benchmarks import aborting, calling, history, intake, resolving
from benchmarks.report import Section, page
from benchmarks.stack import embedded_stack

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"


def main() -> None:
    """Measure, print, write."""
    sections: list[Section] = []
    for measure_here in (resolving.measure, calling.measure):
        sections.append(measure_here())
        print("\n" + sections[-1].markdown(), flush=True)
    with embedded_stack() as at:
        for measure in (aborting.measure, intake.measure, history.measure):
            sections.append(measure(at))
            print("\n" + sections[-1].markdown(), flush=True)
    PAGE.write_text(page(sections))


if __name__ == "__main__":
    main()
