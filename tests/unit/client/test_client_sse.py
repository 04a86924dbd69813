"""Reading server-sent events as they arrive."""

from __future__ import annotations

import pytest

from turnout.client import sse
from turnout.client.sse import Event, Parser

BODY = (
    b'\xef\xbb\xbf: a comment\n\nid: 7\nevent: snapshot\ndata: {"a":\xe2\x80\xa8 1}\n\n'
    b"data: one\r\ndata:two\r\n\r\n"
    b"event: nothing\n\n"
    b"retry: 3\rnoise\rdata\rdata:  spaced\r\r"
    b"data: unfinished\n"
)
EVENTS = [
    Event("snapshot", '{"a":\u2028 1}'.encode(), "7"),
    Event("message", b"one\ntwo", "7"),
    Event("message", b"\n spaced", "7"),
]


def test_every_kind_of_line_is_understood() -> None:
    """Comments, names, ids, several data lines, all line ends, and U+2028 in the data, which is no line end."""
    assert list(Parser().feed(BODY)) == EVENTS


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_chunks_may_end_anywhere(size: int) -> None:
    """However the body is cut into chunks, the events are the same."""
    parser = Parser()
    chunks = [BODY[start : start + size] for start in range(0, len(BODY), size)]
    assert [event for chunk in chunks for event in parser.feed(chunk)] == EVENTS


def test_an_event_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that never ends its event does not fill the memory; events in a row may be longer than the limit."""
    monkeypatch.setattr(sse, "LARGEST", 100)
    parser = Parser()
    for _ in range(10):
        assert len(list(parser.feed(b"data: " + b"x" * 50 + b"\n\n"))) == 1
    for _ in range(2):
        assert list(parser.feed(b"data: " + b"x" * 40)) == []
    with pytest.raises(ValueError, match="larger than"):
        list(parser.feed(b"x" * 20))
