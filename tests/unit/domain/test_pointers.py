"""Pointers into JSON documents."""

from __future__ import annotations

import pytest

from turnout.domain.pointers import parse_pointer, walk

DOCUMENT = {"data": {"items": [{"value": 1.5}, {"value": None}], "a.b": {'say "hi"': 3}}, "ok": True, "empty": None}


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("", ()),
        ("data", ("data",)),
        ("data.items[0].value", ("data", "items", 0, "value")),
        ("[0][12]", (0, 12)),
        ('labels["a.b"].x', ("labels", "a.b", "x")),
        (r'["say \"hi\""]', ('say "hi"',)),
        ("naïve-key_1", ("naïve-key_1",)),
    ],
)
def test_pointers(text: str, steps: tuple[str | int, ...]) -> None:
    """Keys with dots between, indexes and quoted keys in brackets."""
    assert parse_pointer(text) == steps


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (".data", ".data"),
        ("data.", "."),
        ("data..x", "..x"),
        ("data[x]", "[x]"),
        ("data[-1]", "[-1]"),
        ("a b", " b"),
        ('data["x]', '["x]'),
        ("data]", "]"),
        ("data[0]x y", "x y"),
    ],
)
def test_what_is_no_pointer(text: str, rest: str) -> None:
    """The error shows from where on it is not understood, and what to write."""
    with pytest.raises(ValueError, match="is no pointer from") as error:
        parse_pointer(text)
    assert repr(rest) in str(error.value)
    assert "write data.items[0].value" in str(error.value)


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("", DOCUMENT),
        ("ok", True),
        ("data.items[0].value", 1.5),
        ("data.items[1].value", None),
        ("data.items[7].value", None),
        ("data.nothing.below", None),
        ("empty.below[3]", None),
        (r'data["a.b"]["say \"hi\""]', 3),
    ],
)
def test_walking(pointer: str, found: object) -> None:
    """What is there is found; what is absent or null on the way is None."""
    assert walk(DOCUMENT, pointer) == found


@pytest.mark.parametrize(
    ("pointer", "words"),
    [
        ("data.items.value", "finds an array where the key 'value' needs an object"),
        ("data[0]", "finds an object where the index 0 needs an array"),
        ("ok.x", "finds true or false where the key 'x' needs an object"),
        ("data.items[0].value.x", "finds a number where the key 'x' needs an object"),
    ],
)
def test_a_step_that_does_not_fit(pointer: str, words: str) -> None:
    """A document of another shape is an error that names both, not an absent value."""
    with pytest.raises(ValueError, match=words):
        walk(DOCUMENT, pointer)


def test_a_text_is_no_array() -> None:
    """Indexing a text would give a letter; it is refused."""
    with pytest.raises(ValueError, match="finds a text where the index 0 needs an array"):
        walk({"a": "text"}, "a[0]")
