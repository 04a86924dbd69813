"""Which outcomes count for comparisons."""

from __future__ import annotations

import pytest

from turnout.domain.outcomes import Outcome


@pytest.mark.parametrize(
    ("decided_by", "drawn"),
    [
        (None, True),
        ("traffic", True),
        ("static", True),
        ("default", True),
        ("rule:staff", False),
        ("fallback:breaker_open", False),
        ("segment:berlin", True),
        ("holdout:everyone", False),
        ("layer:search", False),
        ("stopped", False),
    ],
)
def test_only_what_traffic_decided_was_drawn(decided_by: str | None, drawn: bool) -> None:
    """Rules, holdouts, layers and stops serve whom they choose; all else is traffic, also in a segment or at 100 %."""
    fields = {"id": "1", "flag": "f", "variant": "v", "unit": "u", "decided_by": decided_by}
    assert Outcome.model_validate(fields).drawn is drawn


@pytest.mark.parametrize(
    ("fields", "arm"),
    [
        ({}, "v"),
        ({"decided_by": "traffic"}, "v"),
        ({"decided_by": "segment:berlin"}, "v@berlin"),
        ({"mode": "shadow"}, "v:shadow"),
        ({"mode": "shadow", "decided_by": "segment:berlin"}, "v:shadow"),
    ],
)
def test_segments_and_shadows_are_arms_of_their_own(fields: dict[str, str], arm: str) -> None:
    """What was served, what a segment was served and what was made in shadow never mix."""
    outcome = Outcome.model_validate({"id": "1", "flag": "f", "variant": "v", "unit": "u", **fields})
    assert outcome.arm == arm


def test_a_shadow_counts_whatever_served_the_user() -> None:
    """Its sample is drawn on its own."""
    fields = {"id": "1", "flag": "f", "variant": "v", "unit": "u", "mode": "shadow", "decided_by": "rule:staff"}
    assert Outcome.model_validate(fields).drawn
