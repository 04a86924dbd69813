"""What the package offers, and what its smallest parts promise."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

import turnout
import turnout.client
from turnout import Assignment, InvalidInput, Turnout
from turnout.client.disk import Cache, cache_file, default_folder

NOWHERE = "http://127.0.0.1:9"


def test_every_public_name_is_there_and_sorted() -> None:
    """What ``__all__`` lists can be had, in sorted order, and ``dir`` tells it."""
    assert turnout.__all__ == sorted(turnout.__all__)
    assert all(getattr(turnout, name) for name in turnout.__all__)
    assert set(turnout.__all__) <= set(dir(turnout))
    assert turnout.client.__all__ == sorted(turnout.client.__all__)
    assert turnout.Turnout is turnout.client.Turnout


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails like that of any module."""
    with pytest.raises(AttributeError, match="Turnuot"):
        _ = turnout.Turnuot  # type: ignore[attr-defined]  # it must not exist


def test_errors_are_those_of_the_domain() -> None:
    """The errors at the top are the very classes that are raised."""
    from turnout.domain import errors

    assert turnout.InvalidInput is errors.InvalidInput
    assert issubclass(turnout.RolloutOpen, turnout.TurnoutError)


@pytest.mark.parametrize("setting", ["queue_size", "poll_every", "stream_every", "timeout"])
def test_a_setting_that_cannot_work_is_refused(setting: str) -> None:
    """The constructor names the bad setting."""
    with pytest.raises(InvalidInput, match=setting):
        Turnout(NOWHERE, cache_dir=None, wait=0, **{setting: 0})


def test_resolving_never_raises() -> None:
    """Whatever is passed, the caller gets its default and is told what is wrong."""
    hostile = type("Hostile", (), {"__hash__": None, "__eq__": lambda *_: 1 / 0})()
    with Turnout(NOWHERE, cache_dir=None, wait=0) as client:
        for flag, unit in [("f", "u"), (hostile, "u"), ("f", None), (None, 7)]:
            assignment = client.resolve(flag, unit, default=3, plan=hostile)  # type: ignore[arg-type]  # on purpose
            assert (assignment.value, assignment.variant, assignment.reason) == (3, None, "ERROR")
            assert assignment.error
            assert client.evaluate(flag, unit, {}).reason == "ERROR"  # type: ignore[arg-type]  # on purpose
        assert client.variant("f", "u", default="mine") == "mine"


def test_reporting_never_raises() -> None:
    """Nonsense is dropped and counted."""
    with Turnout(NOWHERE, cache_dir=None, wait=0) as client:
        assert not client.report(None, variant="v", unit="u", ok=True)  # type: ignore[arg-type]  # on purpose
        assert not client.report("f", variant="v", unit="\ud800", ok=True)
        assert not client.report("f", variant="v", unit=7, ok=True)  # type: ignore[arg-type]  # on purpose
        assert client.status.drops == {"invalid": 3}


def test_attributes_may_be_called_flag_and_unit() -> None:
    """The names of the parameters stay free for attributes."""
    with Turnout(NOWHERE, cache_dir=None, wait=0) as client:
        assert client.resolve("f", "u", flag="de", unit="kg", self="x").flag == "f"


def test_an_assignment_is_immutable() -> None:
    """An assignment is a value: equal by content, and nobody can change it."""
    assignment = Assignment("f", "v", 1, "STATIC", "u", 1, None)
    assert assignment == Assignment("f", "v", 1, "STATIC", "u", 1, None)
    with pytest.raises(AttributeError):
        assignment.variant = "w"  # type: ignore[misc]  # it must not work
    assert not hasattr(assignment, "__dict__")


def test_every_url_has_a_file_of_its_own(tmp_path: Path) -> None:
    """Different controllers never share a file, a trailing slash is no difference, and no password is in a name."""
    urls = ["http://a:1", "https://a:1", "http://a:2", "http://a-1", "http://a/1", "http://a.1", "http://a_1"]
    files = {cache_file(tmp_path, url) for url in urls}
    assert len(files) == len(urls)
    assert {file.parent for file in files} == {tmp_path}
    assert cache_file(tmp_path, "http://a/") == cache_file(tmp_path, "http://a")
    assert "secret" not in cache_file(tmp_path, "http://me:secret@a").name


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    """A saved document comes back whole, is replaced by the next, is its owner's alone, and leaves no debris."""
    cache = Cache(tmp_path / "deep" / "file.json")
    assert cache.load() is None
    cache.save(b"one")
    cache.save(b"two")
    loaded = cache.load()
    assert loaded is not None
    assert loaded[0] == b"two"
    assert loaded[1] >= 0
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["file.json"]
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / "deep" / "file.json").stat().st_mode) == 0o600


def test_no_path_keeps_nothing() -> None:
    """Without a path nothing is kept and nothing fails."""
    cache = Cache(None)
    cache.save(b"x")
    assert cache.load() is None


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the folder differs there")
def test_the_platform_says_where_caches_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG_CACHE_HOME counts, then the home folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "turnout"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".cache" / "turnout"
