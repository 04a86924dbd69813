"""What `turnout doctor` found."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from turnout.cli.health import Finding, Level

_STYLES: dict[Level, str] = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def findings_view(findings: Sequence[Finding]) -> RenderableType:
    """One line a check, with the remedy where one is needed."""
    return Group(*(finding_line(finding) for finding in findings))


def finding_line(finding: Finding) -> Text:
    """``warn  temporal: the program was not found; pip install …``."""
    remedy = f"; {finding.remedy}" if finding.remedy else ""
    line = Text(f"{finding.level:<4}", style=_STYLES[finding.level])
    return line.append(f"  {finding.name}: {finding.text}{remedy}", style="default not bold")
