"""How alike two answers are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.client.comparing import exact, token_overlap


@pytest.mark.parametrize(
    ("stable", "candidate", "agreement"),
    [
        ("The cat sat.", "the CAT sat", 1.0),
        ("a b c d", "a b", 2 * 2 / 6),
        ("a a b", "a b b", 2 * 2 / 6),
        ("one", "two", 0.0),
        ("", "...", 1.0),
        ("", "word", 0.0),
        ({"k": 1}, {"k": 1}, 1.0),
    ],
)
def test_words_in_common(stable: object, candidate: object, agreement: float) -> None:
    """Twice the common words over all words, each counted as often as it occurs."""
    assert token_overlap(stable, candidate) == pytest.approx(agreement)


@given(st.text(), st.text())
def test_overlap_is_symmetric_and_bounded(one: str, two: str) -> None:
    """From 0 to 1, the same both ways, 1 for equal texts."""
    assert token_overlap(one, two) == token_overlap(two, one)
    assert 0 <= token_overlap(one, two) <= 1
    assert token_overlap(one, one) == 1


def test_exact() -> None:
    """Equality, as the answers define it."""
    assert exact([1, 2], [1, 2]) == 1.0
    assert exact("a", "A") == 0.0
