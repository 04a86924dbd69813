"""What every measurement gives, and how it becomes a page."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Section:
    """One measurement: its method in a few sentences, and a table."""

    title: str
    method: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The section as Markdown."""
        lines = [f"## {self.title}", "", self.method, ""]
        lines.append("| " + " | ".join(self.header) + " |")
        lines.append("|" + "---|" * len(self.header))
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        return "\n".join(lines)


def machine() -> str:
    """The machine in one line."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _cpu_info() if line.startswith("model name")),
        platform.processor() or "unknown processor",
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} × {model}, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value with at least ``share`` of ``values`` at or below it."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


def page(sections: Sequence[Section]) -> str:
    """The whole page."""
    top = [
        "# Benchmarks",
        "",
        "Written by `make bench`; run it on your machine. Client, API, worker, Temporal and the store all share the",
        "one machine below, so these are figures of the whole embedded stack, not of a part of it.",
        "",
        f"Machine: {machine()}. Date: {datetime.now(UTC):%Y-%m-%d}.",
    ]
    return "\n".join(top) + "\n\n" + "\n\n".join(section.markdown() for section in sections) + "\n"


def _cpu_info() -> list[str]:
    info = Path("/proc/cpuinfo")
    return info.read_text().splitlines() if info.exists() else []
