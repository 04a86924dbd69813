"""The generated reference of the command line."""

from __future__ import annotations

from turnout.cli.reference import DEFAULT, reference


def test_the_reference_is_up_to_date() -> None:
    """docs/reference/cli.md is what the commands generate."""
    assert DEFAULT.read_text(encoding="utf-8") == reference()


def test_the_reference_has_every_command() -> None:
    """Commands, their required options and all exit codes are documented."""
    text = reference()
    for name in (
        "up",
        "demo",
        "doctor",
        "validate",
        "plan",
        "start",
        "list",
        "status",
        "history",
        "watch",
        "analyse",
        "pause",
        "resume",
        "promote",
        "approve",
        "abort",
        "rollback",
        "resolve",
        "explain",
        "flags apply",
        "flags list",
        "flags get",
        "flags stop",
        "flags restore",
        "flags delete",
    ):
        assert f"## `turnout {name}`" in text
    assert "`--reason`, `-r`, required" in text
    assert "| 130 | interrupted by Ctrl-C |" in text
