"""Durations as people write and read them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from turnout.domain.durations import Duration, format_duration, parse_duration

FIELD: TypeAdapter[timedelta] = TypeAdapter(Duration)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("10m", 600),
        ("24h", 86_400),
        ("7d", 604_800),
        ("2w", 1_209_600),
        ("250ms", 0.25),
        ("1h30m", 5_400),
        ("1.5h", 5_400),
        (" 90s ", 90),
        ("PT1H", 3_600),
        ("P1DT2H3M4.5S", 93_784.5),
        (timedelta(minutes=2), 120),
    ],
)
def test_what_is_a_duration(text: object, seconds: float) -> None:
    """Numbers with units, one after the other, or ISO 8601."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value", ["", " ", "24", 24, 1.5, None, True, "h", "24 h", "-1h", "1h!", "1H", "P", "PT", "P1Y"]
)
def test_what_is_none(value: object) -> None:
    """A number without a unit, an unknown unit or other words are refused with what to write."""
    with pytest.raises(ValueError, match="write a number with a unit, such as 30s, 10m, 24h or 7d"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.5, "0.5s"),
        (9.25, "9.25s"),
        (59.6, "1m"),
        (90, "1m 30s"),
        (3_600, "1h"),
        (3_661, "1h 1m"),
        (86_400 * 3 + 3_600 * 6 + 59, "3d 6h"),
        (-90, "-1m 30s"),
        (-0.5, "-0.5s"),
    ],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    """At most two units, the largest first."""
    assert format_duration(timedelta(seconds=seconds)) == text


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=4_000)))
def test_a_field_reads_what_it_writes(value: timedelta) -> None:
    """Written to JSON and read back a duration is the same, to the microsecond: payloads of rollouts rely on it."""
    assert FIELD.validate_json(FIELD.dump_json(value)) == value


def test_a_field_writes_as_people_do() -> None:
    """In JSON a duration has one unit where it can."""
    written = [
        FIELD.dump_python(timedelta(**unit), mode="json") for unit in ({"days": 2}, {"hours": 36}, {"seconds": 90})
    ]
    assert written == ["2d", "36h", "90s"]


def test_a_field_names_what_is_wrong() -> None:
    """A bad value is a validation error with the remedy."""
    with pytest.raises(ValidationError, match="is not a duration"):
        FIELD.validate_python(24)
