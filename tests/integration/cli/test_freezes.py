"""turnout freezes against the real API."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.integration.cli.runner import Turnout


@pytest.fixture(autouse=True)
def _in_berlin() -> Iterator[None]:
    """Whoever writes a time without an offset means the clock on the wall."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def test_a_freeze_from_its_begin_to_its_end(turnout: Turnout) -> None:
    """Added by local time, listed, lifted; JSON is the API's own answer."""
    empty = turnout("freezes", "list")
    assert empty.out.startswith("no freezes")
    words = ("freezes", "add", "--from", "2099-12-20", "--to", "2100-01-04T08:00", "--reason", "holidays")
    added = turnout(*words, "--flag", "checkout", "--output", "json", actor="carol")
    assert (added.json["start"], added.json["end"]) == ("2099-12-20T00:00:00+01:00", "2100-01-04T08:00:00+01:00")
    assert (added.json["by"], added.json["flags"]) == ("carol", ["checkout"])
    ongoing = turnout("freezes", "add", "-r", "incident")
    assert ongoing.out.rstrip().endswith("until it is removed: incident")
    assert "all flags frozen from" in ongoing.out
    rows = turnout("freezes", "list").out.splitlines()[1:]
    assert [("incident" in row, "now" in row) for row in rows] == [(True, True), (False, False)]
    id_ = added.json["id"]
    assert turnout("freezes", "remove", id_, "--reason", "no holidays").out == f"{id_}: removed\n"
    assert turnout("freezes", "remove", id_, "--reason", "again").code == 3
    assert turnout("freezes", "remove", ongoing.out.split(":")[0], "--reason", "over").code == 0


def test_what_is_no_time(turnout: Turnout) -> None:
    """A bad option is a usage error that says what to write."""
    ran = turnout("freezes", "add", "--from", "tomorrow", "--reason", "x")
    assert ran.code == 2
    assert "--from tomorrow is no time; write one such as 2026-12-20" in ran.err
    backwards = turnout("freezes", "add", "--from", "2099-12-20", "--to", "2099-12-19", "--reason", "x")
    assert backwards.code != 0
    assert "write a later end" in backwards.err
