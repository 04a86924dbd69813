"""Semantic versions, against the library that flagd's Python engine uses."""

from __future__ import annotations

import pytest
import semver
from hypothesis import given
from hypothesis import strategies as st

from turnout.domain.versions import COMPARISONS, exact_version, lenient_version

identifiers = st.sampled_from(["0", "1", "10", "2", "rc", "alpha", "a-1", "-", "1a", "RC"])
prereleases = st.lists(identifiers, min_size=0, max_size=3).map(".".join)


@st.composite
def versions(draw: st.DrawFn) -> str:
    numbers = ".".join(str(draw(st.sampled_from([0, 1, 10]))) for _ in range(3))
    prerelease, build = draw(prereleases), draw(st.sampled_from(["", "b1", "001"]))
    return numbers + (f"-{prerelease}" if prerelease else "") + (f"+{build}" if build else "")


@given(versions(), versions())
def test_order_is_that_of_semver(one: str, other: str) -> None:
    """Two versions compare as the semver library says."""
    a, b = exact_version(one), exact_version(other)
    assert a is not None
    assert b is not None
    expected = semver.Version.parse(one).compare(other)
    assert COMPARISONS["<"](a, b) == (expected < 0)
    assert COMPARISONS["="](a, b) == (expected == 0)
    assert COMPARISONS[">="](a, b) == (expected >= 0)


@pytest.mark.parametrize("text", ["1", "1.2", "01.2.3", "1.2.3.4", "v1.2.3", " 1.2.3", "1.2.3-", "1.2.3-01", "", "x"])
def test_an_exact_version_has_three_numbers(text: str) -> None:
    """Anything but a full version is none."""
    assert exact_version(text) is None


@pytest.mark.parametrize(
    ("value", "same"),
    [("v1.2", "1.2.0"), ("V3", "3.0.0"), (2, "2.0.0"), (1.5, "1.5.0"), ("1.2-rc.1", "1.2.0-rc.1"), ("1+b", "1.0.0")],
)
def test_an_attribute_may_be_a_short_version(value: object, same: str) -> None:
    """A leading v is dropped and missing numbers are zero."""
    assert lenient_version(value) == exact_version(same)


@pytest.mark.parametrize("value", [None, True, [], {}, "", "1.2.3.4", " 1.3.0 ", "latest", "9" * 5000])
def test_other_attributes_are_no_version(value: object) -> None:
    """What is no version gives None, never an error."""
    assert lenient_version(value) is None


@pytest.mark.parametrize(
    ("one", "other", "caret", "tilde"),
    [("1.2.3", "1.2.9", True, True), ("1.2.3", "1.3.0", True, False), ("2.0.0", "1.0.0", False, False)],
)
def test_caret_and_tilde(one: str, other: str, caret: bool, tilde: bool) -> None:
    """The caret asks for the same major version, the tilde for the same minor one too."""
    a, b = exact_version(one), exact_version(other)
    assert a is not None
    assert b is not None
    assert (COMPARISONS["^"](a, b), COMPARISONS["~"](a, b)) == (caret, tilde)
