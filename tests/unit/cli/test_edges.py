"""Options, failures and checks of the machine."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from turnout.cli import health, main
from turnout.cli.commands.resolving import attributes_of
from turnout.cli.commands.running import become
from turnout.cli.failures import ExitCode, Failure, failure_of
from turnout.cli.http import read, segment
from turnout.cli.render.health import finding_line
from turnout.cli.session import DEFAULT_URL, Options, session_of
from turnout.cli.views import RolloutView, listed, told_of
from turnout.domain.errors import CommandRefused, Conflict, Forbidden, InvalidInput, NotFound, TurnoutError, Unavailable


def test_attributes_are_text_unless_json_is_asked_for() -> None:
    """NAME=TEXT is a text, NAME:=JSON anything; only the first equals sign counts."""
    written = ["plan=pro", "beta:=true", 'groups:=["a"]', "q=a=b", "empty="]
    assert attributes_of(written) == {"plan": "pro", "beta": True, "groups": ["a"], "q": "a=b", "empty": ""}


@pytest.mark.parametrize("text", ["plan", "=x", ":=1", "beta:=tru"])
def test_attributes_that_are_none(text: str) -> None:
    """What is no attribute is a usage error that shows how to write one."""
    with pytest.raises(Failure, match="write --attr") as caught:
        attributes_of([text])
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInput([]), 1),
        (NotFound("x"), 3),
        (Conflict("x"), 4),
        (CommandRefused("x"), 4),
        (Forbidden("x"), 4),
        (Unavailable("x"), 5),
        (TurnoutError("x"), 1),
    ],
)
def test_every_error_has_its_exit_code(error: TurnoutError, code: int) -> None:
    """Exit codes follow the kind of error, and the line names its code."""
    failure = failure_of(error)
    assert failure.exit_code == code
    assert all(error.code in line for line in failure.lines())


def test_options_after_the_command_win_over_the_environment() -> None:
    """The command line wins over TURNOUT_URL, which wins over the default."""
    environ = {"TURNOUT_URL": "http://env/", "TURNOUT_TOKEN": "secret"}
    assert session_of(Options(), {}).target.url == DEFAULT_URL
    assert session_of(Options(), environ).target.url == "http://env"
    session = session_of(Options(url="http://after").over(Options(url="http://before", actor="bob")), environ)
    assert (session.target.url, session.target.actor, session.target.token) == ("http://after", "bob", "secret")


def test_newer_answers_are_read_and_foreign_ones_are_not() -> None:
    """Unknown fields are passed over; an answer without the known ones is called strange."""
    fields = {"id": "r", "flag": "f", "strategy": "s", "candidate": "c", "stable": "p", "state": "running"}
    assert read(RolloutView, {**fields, "tomorrow": 1}).flag == "f"
    with pytest.raises(Failure, match="no usable RolloutView"):
        read(RolloutView, {"state": "running"})
    with pytest.raises(Failure, match="holds no flags"):
        listed({"rollouts": []}, "flags")
    assert told_of({"rollout_id": "other", "decisions": []}, "mine") == ()


def test_keys_are_one_segment_of_the_path() -> None:
    """A slash in a key does not reach another resource."""
    assert segment("a/../b") == "a%2F..%2Fb"


def test_without_its_packages_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bare library has the command, but not what it needs."""
    for name in [name for name in sys.modules if name.startswith("turnout.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 5
    assert "pip install 'turnout[cli]'" in capsys.readouterr().err


def test_programs_of_the_checkout_are_missed_with_a_remedy() -> None:
    """From the bare library `up` says where it runs from."""
    with pytest.raises(Failure, match="runs from a checkout") as caught:
        become("no_such_package.up", [], "turnout up")
    assert caught.value.exit_code is ExitCode.UNAVAILABLE


def test_the_data_directory_has_to_be_writable(tmp_path: Path) -> None:
    """A directory that will be created is fine; one below a file is not."""
    (tmp_path / "file").write_text("")
    assert health.data_directory({"TURNOUT_DATA": str(tmp_path / "new" / "data")}).level == "ok"
    assert health.data_directory({"TURNOUT_DATA": str(tmp_path / "file" / "data")}).level == "fail"


def test_the_temporal_program() -> None:
    """A name that is no program fails; none at all only warns, since a server may be elsewhere."""
    assert health.temporal_program({"TEMPORAL_BIN": "/no/such/program"}).level == "fail"
    assert health.temporal_program({"TEMPORAL_BIN": sys.executable}).level == "ok"


@pytest.mark.parametrize(("second", "level"), [(3, "ok"), (30, "warn"), (300, "fail")])
def test_clocks_that_are_apart(second: int, level: str) -> None:
    """A few seconds are fine, more warn, above a minute fails."""
    response = httpx.Response(200, headers={"Date": "Mon, 01 Jun 2026 08:00:00 GMT"})
    now = datetime(2026, 6, 1, 8, second // 60, second % 60, tzinfo=UTC)
    assert health.clock(response, now).level == level


def test_an_old_python_fails_with_a_remedy() -> None:
    """A finding is one line with level, name and what to do."""
    found = health.python_version((3, 10, 1))
    assert str(finding_line(found)) == "fail  python: 3.10.1; install Python 3.11 or newer"


def test_a_database_of_another_schema(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A database that is not there warns, one that cannot be opened fails; both say what to do."""
    monkeypatch.setenv("TURNOUT_DATABASE", f"sqlite+aiosqlite:///{tmp_path}/none.db")
    assert (health.database().level, "turnout up" in health.database().remedy) == ("warn", True)
    monkeypatch.setenv("TURNOUT_DATABASE", "nonsense://x")
    assert health.database().level == "fail"
