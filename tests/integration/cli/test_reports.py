"""turnout report against canned answers."""

from __future__ import annotations

from pathlib import Path

from tests.integration.cli.canned import FLAG, Canned
from tests.integration.cli.runner import Turnout
from tests.unit.cli.test_report import found, report

REPORT = "GET", f"/v1/rollouts/{FLAG}/report"


def test_a_report(canned: Canned, tmp_path: Path) -> None:
    """A table for a person, the API's answer for a program, and a page in a file."""
    answer = report(found()).model_dump(mode="json")
    canned.answers[REPORT] = 200, answer
    turnout = Turnout(canned.url)
    told = turnout("report", FLAG)
    assert (told.code, "deploy new" in told.out) == (0, True)
    assert turnout("report", FLAG, "--output", "json").json == answer
    file = tmp_path / "report.html"
    assert turnout("report", FLAG, "--html", str(file)).out == f"{file}: report on engine\n"
    assert file.read_text().startswith("<!doctype html>")


def test_a_page_that_cannot_be_written(canned: Canned, tmp_path: Path) -> None:
    """The file is named, and nothing else happens."""
    canned.answers[REPORT] = 200, report(found()).model_dump(mode="json")
    ran = Turnout(canned.url)("report", FLAG, "--html", str(tmp_path / "no" / "report.html"))
    assert ran.code == 2
    assert "report.html cannot be written" in ran.err
